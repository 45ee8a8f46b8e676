package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// flushWithin bounds how long the end waits for a collector to take the last spans.
const flushWithin = 2 * time.Second

// newTracing makes the tracer provider that OpenTelemetry's variables ask for; nil when
// they ask for none. Exporter, sampler and limits are read from them by the SDK
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
func newTracing(getenv func(string) (string, bool), log *slog.Logger) (*sdktrace.TracerProvider, error) {
	if !asksForTracing(getenv) {
		return nil, nil
	}
	logTracing(log)
	described, err := resource.New(context.Background(), // what comes later wins
		resource.WithAttributes(semconv.ServiceName("zenduty-bridge"), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, usageError{fmt.Errorf("tracing: OTEL_RESOURCE_ATTRIBUTES: %w", err)}
	}
	exporter, err := autoexport.NewSpanExporter(context.Background())
	if err != nil {
		return nil, usageError{fmt.Errorf("tracing: OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_PROTOCOL: %w", err)}
	}
	return sdktrace.NewTracerProvider(sdktrace.WithResource(described), sdktrace.WithBatcher(exporter)), nil
}

// asksForTracing: OpenTelemetry's own default is to export to a collector on this
// machine. Here it is to export nothing until a variable names an exporter or a collector.
func asksForTracing(getenv func(string) (string, bool)) bool {
	value := func(name string) string {
		v, _ := getenv(name)
		return v
	}
	exporter := value("OTEL_TRACES_EXPORTER")
	switch {
	case strings.EqualFold(value("OTEL_SDK_DISABLED"), "true"), exporter == "none":
		return false
	}
	return exporter != "" || value("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// logTracing has the SDK say in our log what goes wrong in the background, such as a
// collector that is away. It knows no other place for that than a global one.
func logTracing(log *slog.Logger) {
	reports := rate.Sometimes{First: 3, Interval: time.Minute}
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		reports.Do(func() { log.Warn("tracing: spans may be lost, webhooks are not", "error", err) })
	}))
}

// tracerProvider is what the parts are given; nil without tracing.
func (s *service) tracerProvider() trace.TracerProvider {
	if s.tracing == nil {
		return nil // not an interface that holds a nil
	}
	return s.tracing
}

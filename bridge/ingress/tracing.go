package ingress

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/zenduty-bridge/zenduty-bridge/publisher/tracing"
)

// traced gives each request a span, a child of the sender's if it sent a traceparent.
// Without a provider h is returned as it is, so that nothing is paid for.
func traced(h http.Handler, provider trace.TracerProvider) http.Handler {
	if provider == nil {
		return h
	}
	return otelhttp.NewHandler(h, "webhook", otelhttp.WithTracerProvider(provider),
		otelhttp.WithMeterProvider(noop.NewMeterProvider()), otelhttp.WithPropagators(propagation.TraceContext{}))
}

// traceparent is what the webhook's message carries on: the request's span or, where
// none is made, what the sender sent, if it is valid.
func traceparent(r *http.Request) string {
	if sc := trace.SpanContextFromContext(r.Context()); sc.IsValid() {
		return tracing.Text(sc)
	}
	sent := r.Header["Traceparent"]
	if len(sent) != 1 || !tracing.Parse(sent[0]).IsValid() {
		return ""
	}
	return sent[0]
}

// describe tells the request's span, if it is recorded, what HTTP does not know of it.
// id is empty for a webhook that is not held.
func (s *Server) describe(c echo.Context, source, outcome, id string) {
	span := trace.SpanFromContext(c.Request().Context())
	if !span.IsRecording() {
		return
	}
	if c.Path() == route && c.Request().Method == http.MethodPost {
		span.SetName("POST /webhooks/{source}")
		span.SetAttributes(semconv.HTTPRoute("/webhooks/{source}"))
	}
	if client := s.client(c.Request()); client.IsValid() { // otelhttp takes the sender's word for it
		span.SetAttributes(semconv.ClientAddress(client.String()))
	}
	span.SetAttributes(attribute.String("zenduty_bridge.source", source), attribute.String("zenduty_bridge.outcome", outcome))
	if id != "" {
		span.SetAttributes(attribute.String("zenduty_bridge.webhook.id", id))
	}
}

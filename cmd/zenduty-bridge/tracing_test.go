package main

import (
	"io"
	"log/slog"
	"strings"
	"testing"
)

func TestTracingIsOffUntilAsked(t *testing.T) {
	const exporter, endpoint, tracesEndpoint, disabled = "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SDK_DISABLED"
	for _, test := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"OTEL_SERVICE_NAME": "bridge", exporter: "", endpoint: ""}, false},
		{map[string]string{exporter: "otlp"}, true},
		{map[string]string{exporter: "console"}, true},
		{map[string]string{endpoint: "http://collector:4318"}, true},
		{map[string]string{tracesEndpoint: "http://collector:4318/v1/traces"}, true},
		{map[string]string{endpoint: "http://collector:4318", exporter: "none"}, false},
		{map[string]string{endpoint: "http://collector:4318", disabled: "True"}, false},
		{map[string]string{exporter: "otlp", disabled: "false"}, true},
	} {
		getenv := func(name string) (string, bool) {
			value, ok := test.env[name]
			return value, ok
		}
		if got := asksForTracing(getenv); got != test.want {
			t.Errorf("%v: %v", test.env, got)
		}
	}
}

func TestBadTracingIsWrongUsage(t *testing.T) {
	for name, test := range map[string]struct{ variable, value, says string }{
		"exporter":   {"OTEL_TRACES_EXPORTER", "carrier-pigeon", "OTEL_TRACES_EXPORTER"},
		"protocol":   {"OTEL_EXPORTER_OTLP_PROTOCOL", "morse", "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"attributes": {"OTEL_RESOURCE_ATTRIBUTES", "nonsense", "OTEL_RESOURCE_ATTRIBUTES"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
			t.Setenv(test.variable, test.value)
			asked := func(string) (string, bool) { return "otlp", true }
			_, err := newTracing(asked, slog.New(slog.NewTextHandler(io.Discard, nil)))
			if err == nil || exitCode(err) != exitUsage || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

package ingress

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher/tracing"
)

const (
	sent    = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	notKept = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00" // the sender does not record it
)

// send posts the sample with these traceparents and returns the answer's status.
func send(t *testing.T, addr string, p post, traceparents ...string) int {
	t.Helper()
	r := p.request(t, addr)
	for _, value := range traceparents {
		r.Header.Add("Traceparent", value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// recording is Options with which all requests that are sampled are recorded.
func recording() (*tracetest.SpanRecorder, Options) {
	spans := tracetest.NewSpanRecorder()
	return spans, Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))}
}

// ended is the one span that has. It ends before so short an answer is sent.
func ended(t *testing.T, spans *tracetest.SpanRecorder) sdktrace.ReadOnlySpan {
	t.Helper()
	if n := len(spans.Ended()); n != 1 {
		t.Fatalf("%d spans have ended", n)
	}
	return spans.Ended()[0]
}

func TestRequestIsASpan(t *testing.T) {
	for _, test := range []struct {
		name   string
		post   post
		err    error // of Accept
		span   string
		code   codes.Code
		expect map[string]string
	}{
		{"accepted", post{header: signed(sample)}, nil, "POST /webhooks/{source}", codes.Unset, map[string]string{
			"http.response.status_code": "200", "http.route": "/webhooks/{source}",
			"zenduty_bridge.source": "zenduty", "zenduty_bridge.outcome": "accepted", "zenduty_bridge.webhook.id": "id",
		}},
		{"refused", post{}, nil, "POST /webhooks/{source}", codes.Unset, map[string]string{
			"http.response.status_code": "401", "http.route": "/webhooks/{source}",
			"zenduty_bridge.source": "zenduty", "zenduty_bridge.outcome": "missing_signature",
		}},
		{"the spool is full", post{header: signed(sample)}, spool.ErrFull, "POST /webhooks/{source}", codes.Error, map[string]string{
			"http.response.status_code": "503", "http.route": "/webhooks/{source}",
			"zenduty_bridge.source": "zenduty", "zenduty_bridge.outcome": "spool_full",
		}},
		{"no such path", post{path: "/x"}, nil, "POST", codes.Unset, map[string]string{
			"http.response.status_code": "404", "zenduty_bridge.source": "unknown", "zenduty_bridge.outcome": "not_found",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			spans, options := recording()
			addr, _ := serve(t, &accepter{err: test.err}, options)
			send(t, addr, test.post, sent)
			span := ended(t, spans)
			if got := tracing.Text(span.Parent()); got != sent || span.SpanKind() != trace.SpanKindServer {
				t.Errorf("%v, a child of %s", span.SpanKind(), got)
			}
			if span.Name() != test.span || span.Status().Code != test.code {
				t.Errorf("%q %v, want %q %v", span.Name(), span.Status(), test.span, test.code)
			}
			got := map[string]string{}
			for _, a := range span.Attributes() {
				if key := string(a.Key); strings.HasPrefix(key, "zenduty_bridge.") || key == "http.route" || key == "http.response.status_code" {
					got[key] = a.Value.String()
				}
				if strings.Contains(a.Value.String(), signed(sample)["X-SIGNATURE"]) {
					t.Errorf("the signature is in %s", a.Key)
				}
			}
			if diff := cmp.Diff(test.expect, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The webhook carries the request's span; what is recorded is also an exemplar.
func TestWebhookCarriesItsRequestsSpan(t *testing.T) {
	for name, sent := range map[string]string{"recorded": sent, "not recorded": notKept, "without": ""} {
		t.Run(name, func(t *testing.T) {
			spans, options := recording()
			a := &accepter{}
			addr, registry := serve(t, a, options)
			if status := send(t, addr, post{header: signed(sample)}, sent); status != http.StatusOK {
				t.Fatal(status)
			}
			carried, exemplar := tracing.Parse(a.taken[0].Traceparent), durationExemplar(t, registry)
			if sent == notKept {
				if carried.TraceID().String() != sent[3:35] || carried.IsSampled() || exemplar != "" || len(spans.Ended()) > 0 {
					t.Errorf("carries %s, exemplar %q, %d spans", a.taken[0].Traceparent, exemplar, len(spans.Ended()))
				}
				return
			}
			if span := ended(t, spans).SpanContext(); carried.SpanID() != span.SpanID() || !carried.IsSampled() || exemplar != span.TraceID().String() {
				t.Errorf("carries %s, exemplar %q, the span is %s", a.taken[0].Traceparent, exemplar, tracing.Text(span))
			}
		})
	}
}

// durationExemplar is the trace of the exemplar of webhook_duration; empty for none.
func durationExemplar(t *testing.T, r *prometheus.Registry) string {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "zenduty_bridge_webhook_duration_seconds" {
			continue
		}
		for _, bucket := range f.GetMetric()[0].GetHistogram().GetBucket() {
			for _, label := range bucket.GetExemplar().GetLabel() {
				return label.GetValue()
			}
		}
	}
	return ""
}

func TestWithoutTracingTheWebhookCarriesWhatWasSent(t *testing.T) {
	for _, test := range []struct {
		name string
		sent []string
		want string
	}{
		{"valid", []string{sent}, sent},
		{"valid, not recorded by the sender", []string{notKept}, notKept},
		{"none", nil, ""},
		{"two", []string{sent, sent}, ""},
		{"not valid", []string{"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"}, ""},
		{"endless", []string{"01" + sent[2:] + strings.Repeat("-x", 4000)}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := &accepter{}
			addr, registry := serve(t, a, Options{})
			if status := send(t, addr, post{header: signed(sample)}, test.sent...); status != http.StatusOK {
				t.Fatal(status)
			}
			if got := a.taken[0].Traceparent; got != test.want {
				t.Errorf("carries %q, want %q", got, test.want)
			}
			if got := durationExemplar(t, registry); got != "" {
				t.Errorf("exemplar of a trace that nobody here records: %s", got)
			}
		})
	}
}

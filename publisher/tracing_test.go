package publisher

import (
	"bytes"
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/zenduty-bridge/zenduty-bridge/publisher/tracing"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// attributes are a span's, as text.
func attributes(s sdktrace.ReadOnlySpan) map[string]string {
	texts := map[string]string{}
	for _, a := range s.Attributes() {
		texts[string(a.Key)] = a.Value.String()
	}
	return texts
}

func TestPublishIsASpanThatTheMessageCarries(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, func(o *server.Options) { o.MaxPayload = 4096 })
	spans, registry := tracetest.NewSpanRecorder(), prometheus.NewRegistry()
	p := newPublisher(t, s.ClientURL(), func(o *Options) {
		o.TracerProvider, o.Registerer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), registry
	})
	ensure(t, p)
	traced, untraced, large := incident("a"), incident("b"), incident("c")
	traced.Traceparent, large.Traceparent = parent, parent
	large.Data = bytes.Repeat([]byte("x"), 5000)
	for _, m := range []*Message{traced, untraced, large} {
		send(t, p, m)
	}
	ended := spans.Ended()
	if len(ended) != 3 {
		t.Fatalf("%d spans", len(ended))
	}

	span := ended[0]
	if got := tracing.Text(span.Parent()); got != parent || span.SpanKind() != trace.SpanKindProducer || span.Name() != "publish "+DefaultSubject {
		t.Errorf("%v %q, a child of %s", span.SpanKind(), span.Name(), got)
	}
	if diff := cmp.Diff(map[string]string{
		"messaging.system": "nats", "messaging.operation.name": "publish", "messaging.operation.type": "send",
		"messaging.destination.name": "zenduty.incident.triggered.svc", "messaging.destination.template": DefaultSubject,
		"messaging.message.id": "a", "messaging.message.body.size": "9", "zenduty_bridge.webhook.id": "a",
		"zenduty_bridge.stream.name": "ZENDUTY", "zenduty_bridge.stream.sequence": "1", "zenduty_bridge.duplicate": "false",
	}, attributes(span)); diff != "" {
		t.Error(diff)
	}
	if got, err := stream(t, s.ClientURL()).GetMsg(context.Background(), 1); err != nil || got.Header["traceparent"][0] != tracing.Text(span.SpanContext()) {
		t.Errorf("the message carries %v, the span is %s (%v)", got.Header, tracing.Text(span.SpanContext()), err)
	}

	if ended[1].Parent().IsValid() || !ended[1].SpanContext().IsSampled() {
		t.Errorf("a webhook without a trace begins one: %+v", ended[1].Parent())
	}
	if refused := ended[2]; refused.Status().Code != codes.Error || attributes(refused)["error.type"] != "too_large" {
		t.Errorf("refused: %+v %v", refused.Status(), attributes(refused))
	}
	// A bucket keeps its last one.
	if got := exemplars(t, registry, "zenduty_bridge_publish_duration_seconds"); !got[span.SpanContext().TraceID().String()] && !got[ended[1].SpanContext().TraceID().String()] {
		t.Errorf("exemplars %v", got)
	}
}

// exemplars are the traces that a histogram's buckets name.
func exemplars(t *testing.T, r *prometheus.Registry, name string) map[string]bool {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	traces := map[string]bool{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, bucket := range f.GetMetric()[0].GetHistogram().GetBucket() {
			for _, label := range bucket.GetExemplar().GetLabel() {
				traces[label.GetValue()] = true
			}
		}
	}
	return traces
}

func TestSpansAreNamedByWhatIsPublished(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	spans := tracetest.NewSpanRecorder()
	p := newPublisher(t, s.ClientURL(), func(o *Options) {
		o.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	})
	ensure(t, p)
	unkeyable, canary, replay := incident("b"), incident("c"), incident("a")
	unkeyable.Quarantined, canary.Canary = true, true
	replay.Replay, replay.SubjectPrefix = "r1", "again"
	for _, m := range []*Message{incident("a"), unkeyable, canary, replay} {
		send(t, p, m)
	}
	type named struct{ span, message, webhook string }
	var got []named
	for _, span := range spans.Ended() {
		of := attributes(span)
		got = append(got, named{span.Name(), of["messaging.message.id"], of["zenduty_bridge.webhook.id"]})
	}
	if diff := cmp.Diff([]named{
		{"publish " + DefaultSubject, "a", "a"},
		{"publish zenduty.quarantine.{source}", "b", "b"},
		{"publish zenduty.canary.{source}", "c", "c"},
		{"publish again." + DefaultSubject, "a.r1", "a"},
	}, got, cmp.AllowUnexported(named{})); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutTracingTheMessageCarriesWhatTheSenderSent(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	registry := prometheus.NewRegistry()
	p := newPublisher(t, s.ClientURL(), func(o *Options) { o.Registerer = registry })
	ensure(t, p)
	traced, untraced := incident("a"), incident("b")
	traced.Traceparent = parent
	send(t, p, traced)
	send(t, p, untraced)
	for sequence, want := range map[uint64][]string{1: {parent}, 2: nil} {
		got, err := stream(t, s.ClientURL()).GetMsg(context.Background(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Header["traceparent"]); diff != "" {
			t.Errorf("message %d: %s", sequence, diff)
		}
	}
	if got := exemplars(t, registry, "zenduty_bridge_publish_duration_seconds"); len(got) > 0 {
		t.Errorf("exemplars of traces that are not recorded: %v", got)
	}
}

package bridge

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/zenduty-bridge/zenduty-bridge/publisher/tracing"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func acceptTraced(t *testing.T, b *Bridge) error {
	t.Helper()
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), tracing.Parse(traceparent))
	_, err := b.Accept(ctx, Webhook{Source: "zenduty", Body: body("inc", 1), Received: time.Now(), Traceparent: traceparent})
	return err
}

func TestAcceptIsASpan(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	s := openSpool(t, vfs.NewMem())
	b := New(s, newBroker(), Options{Logger: quiet, TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))})
	for range 2 {
		if err := acceptTraced(t, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := acceptTraced(t, b); err == nil {
		t.Error("taken by a closed spool")
	}
	ended := spans.Ended()
	if len(ended) != 3 {
		t.Fatalf("%d spans", len(ended))
	}
	id := idText(webhookID("zenduty", body("inc", 1)))
	for i, span := range ended {
		if got := tracing.Text(span.Parent()); got != traceparent || span.Name() != "append" {
			t.Errorf("%q, a child of %s", span.Name(), got)
		}
		want, got := map[string]string{"zenduty_bridge.webhook.id": id}, map[string]string{}
		if i < 2 {
			want["zenduty_bridge.duplicate"] = fmt.Sprint(i == 1)
		}
		for _, a := range span.Attributes() {
			got[string(a.Key)] = a.Value.String()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("span %d: %s", i, diff)
		}
	}
	for _, span := range ended[:2] {
		events := span.Events()
		if len(events) != 1 || events[0].Name != "commit" || events[0].Time.Before(span.StartTime()) || events[0].Time.After(span.EndTime()) {
			t.Errorf("from %v to %v: %+v", span.StartTime(), span.EndTime(), events)
		}
	}
	if status := ended[2].Status(); status.Code != codes.Error || !strings.Contains(status.Description, "closed") {
		t.Errorf("refused: %+v", status)
	}
}

// The trace outlives the process: it is on disk with its webhook. With tracing it is
// the exemplar of the lag as well.
func TestTraceGoesOnAfterARestart(t *testing.T) {
	fs, fake := vfs.NewMem(), newBroker()
	s := openSpool(t, fs)
	if err := acceptTraced(t, New(s, fake, Options{Logger: quiet})); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSpool(t, fs)
	defer s.Close()
	registry := prometheus.NewRegistry()
	b := New(s, fake, Options{Logger: quiet, Registerer: registry, TracerProvider: sdktrace.NewTracerProvider()})
	accept(t, b, body("another", 1))
	runUntilDrained(t, b)
	fake.calls.Wait()
	got := map[string]string{}
	for _, m := range fake.stream {
		got[m.Incident] = m.Traceparent
	}
	if diff := cmp.Diff(map[string]string{"inc": traceparent, "another": ""}, got); diff != "" {
		t.Error(diff)
	}
	var lag dto.Metric
	if err := b.lag.Write(&lag); err != nil {
		t.Fatal(err)
	}
	exemplars := 0
	for _, bucket := range lag.GetHistogram().GetBucket() {
		for _, label := range bucket.GetExemplar().GetLabel() {
			exemplars++
			if label.GetValue() != traceparent[3:35] {
				t.Errorf("exemplar %s", label.GetValue())
			}
		}
	}
	if exemplars != 1 || lag.GetHistogram().GetSampleCount() != 2 {
		t.Errorf("%d exemplars of %d", exemplars, lag.GetHistogram().GetSampleCount())
	}
}

// Envelopes were written before there was a traceparent in them.
func TestOldEnvelopeHasNoTrace(t *testing.T) {
	const old = "010400077a656e64757479037261770764656661756c740974726967676572656401730169" + "00"
	data, err := hex.DecodeString(old)
	if err != nil {
		t.Fatal(err)
	}
	want := envelope{
		Source: "zenduty", Rendering: "raw", Key: "default", EventType: "triggered", Service: "s", Incident: "i", Time: time.Unix(0, 2),
	}
	got, err := decodeEnvelope(data)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if diff := cmp.Diff(old, hex.EncodeToString(want.encode())); diff != "" {
		t.Errorf("without a trace it is not what it was: %s", diff)
	}
	want.Traceparent = traceparent
	data = want.encode()
	if got, err := decodeEnvelope(data); got.Traceparent != traceparent || err != nil {
		t.Errorf("%q, %v", got.Traceparent, err)
	}
	if _, err := decodeEnvelope(data[:len(data)-1]); err == nil {
		t.Error("a trace cut short is decoded")
	}
}

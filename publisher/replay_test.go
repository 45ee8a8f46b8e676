package publisher

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A replay is another message of the same event: JetStream does not take it for a
// duplicate, and drops it when it is sent twice.
func TestPublishReplay(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	registry := prometheus.NewRegistry()
	p := newPublisher(t, s.ClientURL(), func(o *Options) { o.Registerer = registry })
	ensure(t, p)
	again := incident("a")
	again.Replay = "r1"
	for _, step := range []struct {
		message *Message
		want    Ack
	}{
		{incident("a"), Ack{Stream: "ZENDUTY", Sequence: 1}},
		{again, Ack{Stream: "ZENDUTY", Sequence: 2}},
		{again, Ack{Stream: "ZENDUTY", Sequence: 2, Duplicate: true}},
	} {
		if r := send(t, p, step.message); r.err != nil || r.ack != step.want {
			t.Fatalf("%+v: %+v", step.message, r)
		}
	}
	got, err := stream(t, s.ClientURL()).GetMsg(context.Background(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != "zenduty.incident.triggered.svc" || got.Header.Get(ReplayHeader) != "r1" || got.Header.Get(nats.MsgIdHdr) != "a.r1" || got.Header.Get("ce-id") != "a" {
		t.Errorf("%s %v", got.Subject, got.Header)
	}
	want := "# HELP zenduty_bridge_published_total Webhooks acknowledged by JetStream, by event type.\n# TYPE zenduty_bridge_published_total counter\n" +
		"zenduty_bridge_published_total{event_type=\"replay\"} 2\nzenduty_bridge_published_total{event_type=\"triggered\"} 1\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "zenduty_bridge_published_total"); err != nil {
		t.Error(err)
	}
}

// Under a prefix it goes where a stream takes it, the alias in its place, and is an
// error where none does.
func TestPublishUnderAPrefix(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), func(o *Options) { o.Services = map[string]string{"svc": "checkout"} })
	ensure(t, p)
	m := incident("a")
	m.Replay, m.SubjectPrefix = "r1", "again.here"
	if r := send(t, p, m); r.err == nil || r.err.Reason != ReasonNoStream || r.err.Permanent {
		t.Fatalf("without a stream: %+v", r)
	}
	js, err := jetstream.New(p.nc)
	if err != nil {
		t.Fatal(err)
	}
	other, err := js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "AGAIN", Subjects: []string{"again.here.>"}})
	if err != nil {
		t.Fatal(err)
	}
	if r := send(t, p, m); r.err != nil || r.ack != (Ack{Stream: "AGAIN", Sequence: 1}) {
		t.Fatalf("with a stream: %+v", r)
	}
	if got, err := other.GetMsg(context.Background(), 1); err != nil || got.Subject != "again.here.zenduty.incident.triggered.checkout" {
		t.Errorf("%+v, %v", got, err)
	}
	if m.SubjectPrefix != "again.here" {
		t.Error("the message was changed")
	}
}

func TestCheckPrefix(t *testing.T) {
	for _, good := range []string{"again", "again.here", "zenduty"} {
		if err := CheckPrefix(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "again.", ".again", "a..b", "*", "a.>", "$JS.API", "a b", strings.Repeat("a.", 128) + "a"} {
		if err := CheckPrefix(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

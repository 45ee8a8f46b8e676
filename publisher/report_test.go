package publisher

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The reports follow the server, and change nothing there.
func TestReports(t *testing.T) {
	began := time.Now()
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), nil)
	eventually(t, "a connection", p.Ready)
	connected := p.Connection()
	if !connected.Connected || connected.URL != s.ClientURL() || connected.Server != s.Name() || connected.Version == "" || connected.Since.Before(began) {
		t.Errorf("connected: %+v", connected)
	}
	if r := p.StreamReport(t.Context()); r.Error != "there is no such stream" || r.Name != "ZENDUTY" {
		t.Errorf("without stream: %+v", r)
	}
	js := connectJetStream(t, s.ClientURL())
	if _, err := js.Stream(t.Context(), "ZENDUTY"); err == nil {
		t.Error("to report has made the stream")
	}

	theirs := jetstream.StreamConfig{Name: "ZENDUTY", Subjects: []string{"zenduty.>"}, Storage: jetstream.MemoryStorage}
	if _, err := js.CreateStream(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "zenduty.x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	r := p.StreamReport(t.Context())
	if r.Error != "" || r.Messages != 1 || r.Last != 1 || r.First != 1 || r.Bytes == 0 || r.Replicas != 1 || r.Created.Before(began) ||
		!strings.Contains(strings.Join(r.Drift, "; "), "storage: is Memory, should be File") {
		t.Errorf("of somebody else's stream: %+v", r)
	}

	s.Shutdown()
	eventually(t, "the loss of the connection", func() bool {
		lost := p.Connection()
		return !lost.Connected && lost.URL == "" && lost.Since.After(connected.Since)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if r := p.StreamReport(ctx); r.Error != "there is no connection to NATS" {
		t.Errorf("without connection: %+v", r)
	}
}

package publisher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// runServer starts a real nats-server on a free port, or on the one given.
func runServer(t testing.TB, dir string, port int, change func(*server.Options)) *server.Server {
	t.Helper()
	options := &server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true}
	if port == 0 {
		options.Port = server.RANDOM_PORT
	}
	if change != nil {
		change(options)
	}
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server is not ready")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

func newPublisher(t testing.TB, url string, change func(*Options)) *Publisher {
	t.Helper()
	options := Options{URL: url, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if change != nil {
		change(&options)
	}
	p, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-p.quit:
		default:
			p.Close()
		}
	})
	return p
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s for: %s", what)
		}
	}
}

// ensure waits for the connection and makes the stream, and tries again as the relay
// does: a server may refuse to make one while it clears away its namesake's files.
func ensure(t testing.TB, p *Publisher) (state StreamState) {
	t.Helper()
	eventually(t, "ready", p.Ready)
	eventually(t, "the stream", func() (ok bool) {
		var err error
		if state, err = p.Stream(context.Background()); err != nil {
			t.Log(err)
		}
		return err == nil
	})
	return state
}

type result struct {
	ack Ack
	err *Error
}

// send publishes and waits for the outcome.
func send(t *testing.T, p *Publisher, m *Message) result {
	t.Helper()
	done := make(chan result, 2)
	p.Publish(m, func(ack Ack, err *Error) { done <- result{ack, err} })
	select {
	case r := <-done:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("no outcome after 20 s")
		return result{}
	}
}

func incident(id string) *Message {
	return &Message{ID: id, Source: "zenduty", EventType: "triggered", Service: "svc", Incident: "inc", Time: time.Unix(1, 0), Data: []byte(`{"n":"` + id + `"}`)}
}

func stream(t *testing.T, url string) jetstream.Stream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(context.Background(), "ZENDUTY")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPublish(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	registry := prometheus.NewRegistry()
	p := newPublisher(t, s.ClientURL(), func(o *Options) {
		o.Services = map[string]string{"svc": "checkout"}
		o.Registerer = registry
	})
	ensure(t, p)

	live := make(chan *nats.Msg, 8)
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.ChanSubscribe("zenduty.incident.*", live); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}

	m := incident("a")
	if r := send(t, p, m); r.err != nil || r.ack != (Ack{Stream: "ZENDUTY", Sequence: 1}) {
		t.Fatalf("first: %+v", r)
	}
	if r := send(t, p, m); r.err != nil || r.ack != (Ack{Stream: "ZENDUTY", Sequence: 1, Duplicate: true}) {
		t.Fatalf("again: %+v", r)
	}
	if r := send(t, p, &Message{ID: "q", Source: "zenduty", Quarantined: true, Data: []byte("?")}); r.err != nil || r.ack.Sequence != 2 {
		t.Fatalf("quarantined: %+v", r)
	}

	got, err := stream(t, s.ClientURL()).GetMsg(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != "zenduty.incident.triggered.checkout" || !bytes.Equal(got.Data, m.Data) {
		t.Errorf("stream has %q on %s", got.Data, got.Subject)
	}
	for _, added := range []string{"Nats-Sequence", "Nats-Stream", "Nats-Subject", "Nats-Time-Stamp"} {
		got.Header.Del(added) // by the server, when a message is read directly
	}
	if diff := cmp.Diff(header(m), got.Header); diff != "" {
		t.Error(diff)
	}
	if got, err := stream(t, s.ClientURL()).GetMsg(context.Background(), 2); err != nil || got.Subject != "zenduty.quarantine.zenduty" {
		t.Errorf("quarantined: %+v, %v", got, err)
	}
	select {
	case msg := <-live:
		if msg.Subject != "zenduty.incident.triggered" || !bytes.Equal(msg.Data, m.Data) || msg.Header.Get("Nats-Subject") != "zenduty.incident.triggered.checkout" {
			t.Errorf("live feed has %+v", msg)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing on the live feed")
	}

	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
	want := `
		# HELP zenduty_bridge_published_total Webhooks acknowledged by JetStream, by event type.
		# TYPE zenduty_bridge_published_total counter
		zenduty_bridge_published_total{event_type="quarantine"} 1
		zenduty_bridge_published_total{event_type="triggered"} 2
		# HELP zenduty_bridge_nats_connected 1 while a connection to NATS stands.
		# TYPE zenduty_bridge_nats_connected gauge
		zenduty_bridge_nats_connected 1
	`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "zenduty_bridge_published_total", "zenduty_bridge_nats_connected"); err != nil {
		t.Error(err)
	}
}

func TestErrorClasses(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, func(o *server.Options) { o.MaxPayload = 4096 })
	p := newPublisher(t, s.ClientURL(), func(o *Options) { o.AckTimeout = 300 * time.Millisecond })
	ensure(t, p)
	js := stream(t, s.ClientURL())
	change := func(edit func(*jetstream.StreamConfig)) {
		t.Helper()
		config := js.CachedInfo().Config
		edit(&config)
		if _, err := p.js.UpdateStream(context.Background(), config); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(name string, m *Message, reason string, permanent bool) {
		t.Helper()
		if r := send(t, p, m); r.err == nil || r.err.Reason != reason || r.err.Permanent != permanent {
			t.Errorf("%s: %+v, want %s, permanent %v", name, r, reason, permanent)
		}
	}
	big := incident("big")
	big.Data = bytes.Repeat([]byte("x"), 5000)
	expect("over the server's max_payload", big, "too_large", true)

	change(func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 })
	expect("over the stream's max_msg_size", incident(strings.Repeat("i", 200)), "too_large", true)

	change(func(c *jetstream.StreamConfig) { c.MaxMsgSize, c.MaxMsgs, c.Discard = -1, 1, jetstream.DiscardNew })
	if r := send(t, p, incident("fits")); r.err != nil {
		t.Fatalf("the one that fits: %+v", r)
	}
	expect("stream full, discard new", incident("full"), "stream_full", false)

	if err := p.js.DeleteStream(context.Background(), "ZENDUTY"); err != nil {
		t.Fatal(err)
	}
	expect("no stream", incident("lost"), "no_stream", false)
	ensure(t, p)
	if r := send(t, p, incident("again")); r.err != nil {
		t.Errorf("once the stream is made again: %+v", r)
	}
}

func TestServerComesLateAndGoes(t *testing.T) {
	dir := t.TempDir()
	s := runServer(t, dir, 0, nil)
	clientURL := s.ClientURL()
	s.Shutdown()
	s.WaitForShutdown()
	var log syncBuffer
	p := newPublisher(t, clientURL, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	if r := send(t, p, incident("early")); r.err == nil || r.err.Permanent || r.err.Reason != "disconnected" {
		t.Errorf("while NATS is away: %+v", r)
	}
	if p.Ready() {
		t.Error("ready without NATS")
	}
	back := runServer(t, dir, portOf(t, clientURL), nil)
	<-p.Changed()
	ensure(t, p)
	if r := send(t, p, incident("late")); r.err != nil {
		t.Errorf("once NATS is there: %+v", r)
	}
	back.Shutdown()
	eventually(t, "not ready", func() bool { return !p.Ready() })
	<-p.Changed()
	eventually(t, "the log tells of the disconnect", func() bool { return strings.Contains(log.String(), "disconnected from NATS") })
}

// What stands behind a new connection may have lost what must be there first: it
// is looked at before it is used.
func TestNewConnectionIsLookedAtFirst(t *testing.T) {
	dir := t.TempDir()
	s := runServer(t, dir, 0, nil)
	port := portOf(t, s.ClientURL())
	p := newPublisher(t, s.ClientURL(), nil)
	eventually(t, "connected", p.Ready)
	if r := send(t, p, incident("zeroth")); r.err == nil || r.err.Reason != "disconnected" || r.err.Uncertain {
		t.Errorf("over the first connection, that nobody has looked at: %+v", r)
	}
	ensure(t, p)
	if r := send(t, p, incident("first")); r.err != nil {
		t.Fatal(r.err)
	}
	s.Shutdown()
	s.WaitForShutdown()
	eventually(t, "disconnected", func() bool { return !p.Ready() })
	runServer(t, dir, port, nil)
	eventually(t, "connected again", p.Ready)
	if r := send(t, p, incident("second")); r.err == nil || r.err.Reason != "disconnected" || r.err.Uncertain {
		t.Errorf("over a connection that nobody has looked at: %+v", r)
	}
	ensure(t, p)
	if r := send(t, p, incident("third")); r.err != nil || r.ack.Sequence != 2 {
		t.Errorf("over one that has been looked at: %+v", r)
	}
}

func TestClose(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), nil)
	ensure(t, p)
	p.Close()
	if r := send(t, p, incident("a")); r.err == nil || r.err.Reason != "disconnected" {
		t.Errorf("after Close: %+v", r)
	}
	if p.Ready() {
		t.Error("ready after Close")
	}
}

func TestManyOutcomesOnceEach(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), func(o *Options) { o.AckTimeout = 2 * time.Second })
	ensure(t, p)
	const n = 2000
	var mu sync.Mutex
	outcomes := map[int]int{}
	for i := range n {
		p.Publish(incident(fmt.Sprint(i)), func(Ack, *Error) {
			mu.Lock()
			defer mu.Unlock()
			outcomes[i]++
		})
		if i == n/2 {
			s.Shutdown() // half of them meet a broken connection
		}
	}
	eventually(t, "an outcome of each", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(outcomes) == n
	})
	p.Close()
	for i, times := range outcomes {
		if times != 1 {
			t.Fatalf("message %d had %d outcomes", i, times)
		}
	}
	if len(p.unacked) != 0 {
		t.Errorf("%d are still waited for", len(p.unacked))
	}
}

func TestBadOptions(t *testing.T) {
	if _, err := New(Options{URL: "nats://x:notaport"}); err == nil || !strings.Contains(err.Error(), "connect to NATS") {
		t.Errorf("bad URL: %v", err)
	}
	_, err := New(Options{URL: "nats://127.0.0.1:1", Auth: []nats.Option{nats.UserCredentials("/nonexistent.creds")}})
	if err == nil {
		t.Error("missing credentials file: no error")
	}
}

func TestClassifyUnknown(t *testing.T) {
	err := classify(errors.New("something new"))
	if err.Permanent || err.Reason != "other" {
		t.Errorf("an unknown error is %+v", err)
	}
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func portOf(t *testing.T, clientURL string) int {
	t.Helper()
	u, err := url.Parse(clientURL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

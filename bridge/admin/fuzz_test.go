package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/nats-io/nats.go"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// FuzzAPI sends whatever requests to the whole server of a bridge that holds
// webhooks. Every answer is one that is described, with the body that is described;
// none is a server error; and none without the token shows or changes what is guarded.
func FuzzAPI(f *testing.F) {
	d, b := readDescription(f), holdingBridge(f)
	defer func() { b.close() }()
	for _, one := range calls {
		target := apiPrefix + strings.Replace(one.path, "{id}", b.ids[2], 1) + one.args
		f.Add(one.method, target, "Host: localhost:8081", []byte(one.body), false)
		f.Add(one.method, target, "Host: localhost:8081", []byte(one.body), true)
	}
	f.Add("DELETE", apiPrefix+"/quarantine/"+b.ids[0], "Host: bridge.example\r\nAuthorization: Bearer "+fuzzToken, []byte{}, true)
	f.Add("POST", apiPrefix+"/replays", "Host: evil.example\r\nSec-Fetch-Site: cross-site", []byte(`{"ids":["`+b.ids[0]+`"],"rate":1e-9,"subject_prefix":"a.>"}`), false)
	f.Add("GET", apiPrefix+"/webhooks?id="+b.ids[0]+"&limit=%zz;", "Host: [::1]:8081", []byte{}, true)
	f.Add("HEAD", apiPrefix+"/../api//v1/./status", "Host: 127.0.0.1", []byte{}, false)
	f.Add("OPTIONS", "*", "Host: localhost", []byte("{}"), true)
	f.Fuzz(func(t *testing.T, method, target, header string, body []byte, token bool) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\n" + header + "\r\n\r\n")))
		if err != nil {
			t.Skip("no request")
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		answer := httptest.NewRecorder()
		b.server(token).http.Handler.ServeHTTP(answer, r)
		checkAnswer(t, d, r, answer)
		if operation, guarded := operationOf(r, d); guarded && token && answer.Code < 300 && !strings.Contains(header, fuzzToken) {
			t.Errorf("%s without the token: %d", operation, answer.Code)
		}
		switch answer.Code {
		case http.StatusCreated:
			b.stopReplays(t)
		case http.StatusAccepted, http.StatusNoContent: // the next request finds what this one found
			b.close()
			b = holdingBridge(t)
		}
	})
}

const fuzzToken = "open-sesame"

// operationOf is the operation that r was taken for, "" for none, and whether it is
// described as guarded.
func operationOf(r *http.Request, d *described) (operation string, guarded bool) {
	if _, path, ok := strings.Cut(r.Pattern, " "); !ok || !strings.HasPrefix(path, apiPrefix) {
		return "", false
	}
	return r.Pattern, d.guarded[r.Pattern]
}

func checkAnswer(t *testing.T, d *described, r *http.Request, answer *httptest.ResponseRecorder) {
	t.Helper()
	code, body := answer.Code, answer.Body.Bytes()
	operation, _ := operationOf(r, d)
	switch {
	case code >= 500:
		t.Errorf("%s %s: %d %s", r.Method, r.URL, code, body)
	case code >= 300 && code < 400:
		return // to the same path, cleaned
	case operation != "":
		method, path, _ := strings.Cut(operation, " ")
		d.check(t, method, strings.TrimPrefix(path, apiPrefix), answer.Result(), body)
	}
	if code < 400 || !strings.HasPrefix(r.Pattern, "/api/") {
		return
	}
	var p Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Status != code || p.Detail == "" || answer.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: %d %v %s", r.Method, r.URL, code, answer.Header(), body)
	}
}

// fuzzedBridge is a bridge on a disk in memory with a broker that takes nearly
// everything.
type fuzzedBridge struct {
	spool   *spool.Spool
	replays *bridge.Replays
	kill    context.CancelFunc
	ended   chan error
	ids     []string // of what it holds: two events, one that was refused, one that cannot be keyed
	servers [2]*Server
}

func holdingBridge(t testing.TB) *fuzzedBridge {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := spool.Open("spool", spool.Options{FS: vfs.NewMem(), Logger: quiet, BallastBytes: -1, SweepEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	running := bridge.New(store, takingBroker{}, bridge.Options{Logger: quiet, Sources: []string{"zenduty"}})
	b := &fuzzedBridge{spool: store, ended: make(chan error, 1)}
	for _, body := range []string{
		`{"payload":{"event_type":"triggered","incident":{"unique_id":"i","incident_number":5}}}`,
		`{"payload":{"event_type":"resolved","incident":{"unique_id":"i","incident_number":5}}}`,
		`{"payload":{"event_type":"` + refusedEvent + `","incident":{"unique_id":"j","service":{"unique_id":"s"}}}}`,
		"no JSON",
	} {
		receipt, err := running.Accept(context.Background(), bridge.Webhook{Source: "zenduty", Rendering: "raw", Key: "default", Body: []byte(body), Received: past})
		if err != nil {
			t.Fatal(err)
		}
		b.ids = append(b.ids, receipt.ID)
	}
	if b.replays, err = bridge.NewReplays(running, nil); err != nil {
		t.Fatal(err)
	}
	delivered := make(chan struct{})
	close(delivered)
	if err := running.Run(context.Background(), delivered); err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(context.Background())
	b.kill = kill
	go func() { b.ended <- running.Run(ctx, nil) }()
	for n, token := range []string{"", fuzzToken} {
		b.servers[n] = New(func() error { return nil }, Options{Token: token, Logger: quiet, API: API{
			Status: bridgeStub{}, Webhooks: running, Quarantine: running, Audit: bridgeStub{}, Replays: b.replays,
		}})
		b.servers[n].access.loopback.Store(true)
	}
	return b
}

// server is one that asks for the token, or not.
func (b *fuzzedBridge) server(token bool) *Server {
	if token {
		return b.servers[1]
	}
	return b.servers[0]
}

func (b *fuzzedBridge) stopReplays(t *testing.T) {
	t.Helper()
	for _, one := range b.replays.List() {
		if _, err := b.replays.Stop(context.Background(), one.ID); err != nil {
			t.Error(err)
		}
	}
}

func (b *fuzzedBridge) close() {
	b.replays.Close()
	b.kill()
	<-b.ended
	_ = b.spool.Close() // nothing in it is looked at any more
}

// takingBroker acknowledges everything but refusedEvent, and keeps nothing.
type takingBroker struct{}

const refusedEvent = "too.large"

func (takingBroker) Publish(m *publisher.Message, done func(publisher.Ack, *publisher.Error)) {
	if m.EventType == refusedEvent {
		go done(publisher.Ack{}, &publisher.Error{Reason: publisher.ReasonTooLarge, Permanent: true, Err: nats.ErrMaxPayload})
		return
	}
	go done(publisher.Ack{Stream: "ZENDUTY", Sequence: 1}, nil)
}
func (takingBroker) Ready() bool              { return true }
func (takingBroker) Changed() <-chan struct{} { return nil }
func (takingBroker) StreamName() string       { return "ZENDUTY" }
func (takingBroker) Stream(context.Context) (publisher.StreamState, error) {
	return publisher.StreamState{Created: past, First: 1, Last: 1 << 60, DuplicateWindow: time.Minute}, nil
}
func (takingBroker) Find(context.Context, map[string]bool, uint64) (map[string]uint64, error) {
	return nil, nil
}
func (takingBroker) IDAt(context.Context, uint64) (string, error) { return "", nil }

package admin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/health"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// bridgeStub answers everything with what a busy bridge could say, or with an error.
type bridgeStub struct{ err error }

func wholeAPI(err error) API {
	stub := bridgeStub{err}
	return API{Status: stub, Webhooks: stub, Quarantine: stub, Audit: stub, Replays: stub}
}

var (
	past = time.Date(2025, 3, 1, 12, 0, 0, 5, time.UTC)
	held = bridge.Held{
		ID: "0123456789abcdefghijklmnopqrstuv", Seq: 7, Bytes: 900, Received: past,
		Source: "zenduty", Rendering: "raw", Key: "default", EventType: "triggered", Service: "s", Incident: "i", Number: 5, Happened: past,
		State: bridge.StateQuarantined, Settled: past, Lag: 0.1, Attempts: 2, Stream: "ZENDUTY", Sequence: 3, Found: true,
		Kind: bridge.KindUnkeyable, Reason: "no JSON", DuplicatesRefused: 1,
	}
)

func (s bridgeStub) Status(context.Context) (Status, error) {
	return Status{
		Version: "v1", Commit: "c", Started: past, Now: past,
		Report: bridge.Report{
			Spool: bridge.SpoolReport{MaxBytes: 1, OldestPending: past, Refuses: "full"},
			Relay: bridge.RelayReport{
				Waits: &bridge.Wait{For: bridge.ForStream, Since: past, Why: "it is away"}, LastAcknowledged: past,
				Recent: bridge.Flow{Seconds: 60, Acknowledged: 6, PerSecond: 0.1, MeanLag: 0.2, MaxLag: 0.3},
			},
			LastWebhook: &held,
		},
		Replay: &replay,
		NATS:   publisher.ConnectionReport{Connected: true, Since: past, URL: "nats://n", Server: "n", Version: "2", Cluster: "c", Error: "e"},
		Stream: publisher.StreamReport{Name: "ZENDUTY", Created: past, Replicas: 1, Drift: []string{"storage: is memory, should be file"}, Error: "e"},
		Sources: []Source{{
			Name: "zenduty", Signature: "auto", LastWebhook: past, Webhooks: map[string]uint64{"accepted": 1},
			Matches: []Match{{Rendering: "raw", Key: "default", Webhooks: 1}},
			Keys:    []Key{{Name: "default", NotBefore: past, NotAfter: past, State: KeyExpired, LastUsed: past}, {Name: "next", State: KeyValid}},
		}},
	}, s.err
}

func (s bridgeStub) Trace(_ context.Context, q bridge.Query) (bridge.Trace, error) {
	return bridge.Trace{Webhooks: []bridge.Held{held}, More: q.Limit == 1, Since: past}, s.err
}

func (s bridgeStub) Body(context.Context, string) ([]byte, error) { return []byte("<html>"), s.err }

func (s bridgeStub) Quarantine(context.Context, uint64, int) (bridge.QuarantinePage, error) {
	return bridge.QuarantinePage{Webhooks: []bridge.Held{held}, Next: 8}, s.err
}

func (s bridgeStub) Quarantined(context.Context, string) (bridge.Held, error) { return held, s.err }

func (s bridgeStub) Retry(context.Context, string) (bridge.Held, error) { return held, s.err }

var replay = bridge.Replay{
	ID: "0123abcd", State: bridge.ReplayFailed, Started: past, Ended: past, Counting: true,
	Request: bridge.ReplayRequest{
		ReplayFilter: bridge.ReplayFilter{
			From: past, To: past, IDs: []string{anID}, Sources: []string{"zenduty"}, Events: []string{"triggered"},
			Services: []string{"s"}, Incidents: []string{"i"},
		},
		SubjectPrefix: "again", Rate: 0.5,
	},
	Webhooks: 9, Published: 6, TooLarge: 1, Unreadable: 1, Position: 99, Error: "no stream",
}

func (s bridgeStub) Plan(_ context.Context, _ bridge.ReplayRequest, from uint64, _ time.Duration) (bridge.ReplayPlan, error) {
	return bridge.ReplayPlan{
		Webhooks: 2, Bytes: 3, First: past, Last: past, Groups: []bridge.ReplayGroup{{EventType: "triggered", Webhooks: 1}},
		Others: 1, Unreadable: 1, Next: from,
	}, s.err
}

func (s bridgeStub) Start(bridge.ReplayRequest) (bridge.Replay, error)   { return replay, s.err }
func (s bridgeStub) Resume(string) (bridge.Replay, error)                { return replay, s.err }
func (s bridgeStub) Stop(context.Context, string) (bridge.Replay, error) { return replay, s.err }
func (s bridgeStub) Get(string) (bridge.Replay, error)                   { return replay, s.err }
func (s bridgeStub) List() []bridge.Replay                               { return []bridge.Replay{replay} }

func (s bridgeStub) Drop(context.Context, string) error { return s.err }

func (bridgeStub) Audit(context.Context) (health.Audit, error) {
	return health.Audit{At: past, Findings: []publisher.Finding{
		{Check: "no_ack", Severity: publisher.SeverityOK, What: "it does"},
		{Check: "rights", On: "a.b", Severity: publisher.SeverityError, What: "none", Why: "w", Remedy: "r"},
	}}, nil
}

// call is a request and how it must be answered.
type call struct {
	method, path string // the route's
	args         string // query, or what takes the place of {id}
	body         string
	header       http.Header
	token        string // that the bridge has
	host         string
	beyond       bool  // it comes from another machine, over TLS
	err          error // of the bridge
	status       int
}

const anID = "0123456789abcdefghijklmnopqrstuv"

var (
	evil      = http.Header{"Sec-Fetch-Site": {"cross-site"}} // a page of another origin
	bearer    = http.Header{"Authorization": {"Bearer secret"}}
	errClosed = fmt.Errorf("look: %w", spool.ErrClosed)
	errLate   = fmt.Errorf("look: %w", context.DeadlineExceeded)
)

// calls has each answer of each route at least once.
var calls = []call{
	{method: "GET", path: "/openapi.yaml", status: 200},
	{method: "GET", path: "/openapi.yaml", host: "evil.example", status: 403},
	{method: "GET", path: "/status", status: 200},
	{method: "GET", path: "/status", header: evil, status: 403},
	{method: "GET", path: "/status", token: "secret", status: 200},
	{method: "GET", path: "/status", token: "secret", host: "bridge.example", status: 403},
	{method: "GET", path: "/status", token: "secret", header: bearer, host: "bridge.example", status: 200},
	{method: "GET", path: "/status", token: "secret", header: bearer, host: "bridge.example", beyond: true, status: 200},
	{method: "GET", path: "/status", token: "other", header: bearer, beyond: true, status: 401},
	{method: "GET", path: "/status", beyond: true, status: 403},
	{method: "GET", path: "/status", host: "evil.example", status: 403},
	{method: "GET", path: "/status", err: errClosed, status: 503},

	{method: "GET", path: "/webhooks", args: "?id=" + anID, status: 200},
	{method: "GET", path: "/webhooks", args: "?incident=i&source=zenduty&limit=1", status: 200},
	{method: "GET", path: "/webhooks", args: "?number=5", token: "secret", status: 200},
	{method: "GET", path: "/webhooks", status: 400},
	{method: "GET", path: "/webhooks", args: "?id=x&number=5", status: 400},
	{method: "GET", path: "/webhooks", args: "?number=0", status: 400},
	{method: "GET", path: "/webhooks", args: "?number=five", status: 400},
	{method: "GET", path: "/webhooks", args: "?number=5&limit=1001", status: 400},
	{method: "GET", path: "/webhooks", args: "?id=x", err: bridge.ErrBadID, status: 400},
	{method: "GET", path: "/webhooks", args: "?number=5", host: "evil.example", status: 403},
	{method: "GET", path: "/webhooks", args: "?number=5", err: errLate, status: 503},

	{method: "GET", path: "/webhooks/{id}/body", status: 200},
	{method: "GET", path: "/webhooks/{id}/body", token: "secret", header: bearer, host: "bridge.example", status: 200},
	{method: "GET", path: "/webhooks/{id}/body", token: "secret", status: 401},
	{method: "GET", path: "/webhooks/{id}/body", host: "evil.example", status: 403},
	{method: "GET", path: "/webhooks/{id}/body", err: bridge.ErrBadID, status: 400},
	{method: "GET", path: "/webhooks/{id}/body", err: bridge.ErrNotHeld, status: 404},
	{method: "GET", path: "/webhooks/{id}/body", err: spool.ErrDamaged, status: 500},
	{method: "GET", path: "/webhooks/{id}/body", err: errClosed, status: 503},

	{method: "GET", path: "/quarantine", status: 200},
	{method: "GET", path: "/quarantine", args: "?from=8&limit=1000", status: 200},
	{method: "GET", path: "/quarantine", args: "?from=-1", status: 400},
	{method: "GET", path: "/quarantine", args: "?limit=0", status: 400},
	{method: "GET", path: "/quarantine", host: "evil.example", status: 403},
	{method: "GET", path: "/quarantine", err: errClosed, status: 503},

	{method: "GET", path: "/quarantine/{id}", status: 200},
	{method: "GET", path: "/quarantine/{id}", err: bridge.ErrBadID, status: 400},
	{method: "GET", path: "/quarantine/{id}", host: "evil.example", status: 403},
	{method: "GET", path: "/quarantine/{id}", err: bridge.ErrNotQuarantined, status: 404},
	{method: "GET", path: "/quarantine/{id}", err: errClosed, status: 503},

	{method: "DELETE", path: "/quarantine/{id}", status: 204},
	{method: "DELETE", path: "/quarantine/{id}", token: "secret", header: bearer, status: 204},
	{method: "DELETE", path: "/quarantine/{id}", err: bridge.ErrBadID, status: 400},
	{method: "DELETE", path: "/quarantine/{id}", token: "other", header: bearer, status: 401},
	{method: "DELETE", path: "/quarantine/{id}", header: evil, status: 403},
	{method: "DELETE", path: "/quarantine/{id}", err: bridge.ErrNotHeld, status: 404},
	{method: "DELETE", path: "/quarantine/{id}", err: errClosed, status: 503},

	{method: "POST", path: "/quarantine/{id}/retry", status: 202},
	{method: "POST", path: "/quarantine/{id}/retry", err: bridge.ErrBadID, status: 400},
	{method: "POST", path: "/quarantine/{id}/retry", token: "secret", status: 401},
	{method: "POST", path: "/quarantine/{id}/retry", header: evil, status: 403},
	{method: "POST", path: "/quarantine/{id}/retry", token: "secret", header: http.Header{"Sec-Fetch-Site": {"cross-site"}, "Authorization": {"Bearer secret"}}, status: 403},
	{method: "POST", path: "/quarantine/{id}/retry", err: bridge.ErrNotQuarantined, status: 404},
	{method: "POST", path: "/quarantine/{id}/retry", err: bridge.ErrUnkeyable, status: 409},
	{method: "POST", path: "/quarantine/{id}/retry", err: errLate, status: 503},

	{method: "GET", path: "/audit", status: 200},
	{method: "GET", path: "/audit", host: "evil.example", status: 403},

	{method: "GET", path: "/replays", token: "secret", status: 200},
	{method: "GET", path: "/replays", host: "evil.example", status: 403},

	{method: "POST", path: "/replays", body: `{}`, status: 201},
	{method: "POST", path: "/replays", body: `{"from":"2025-03-01T12:00:00Z","events":["triggered"],"rate":5}`, token: "secret", header: bearer, status: 201},
	{method: "POST", path: "/replays", body: `{"to":"2025-03-01T12:00:00Z","ids":["` + anID + `"],"sources":["zenduty"],"services":["s"],"incidents":["i","5"],"subject_prefix":"again"}`, status: 201},
	{method: "POST", path: "/replays", body: `{"dry_run":true,"next":7}`, status: 200},
	{method: "POST", path: "/replays", body: `{"next":7}`, status: 400},
	{method: "POST", path: "/replays", body: `{"form":"2025-03-01T12:00:00Z"}`, status: 400},
	{method: "POST", path: "/replays", body: `{"dry_run":true}`, err: bridge.ErrBadReplay, status: 400},
	{method: "POST", path: "/replays", body: `{}`, err: bridge.ErrBadReplay, status: 400},
	{method: "POST", path: "/replays", body: `{}`, token: "secret", status: 401},
	{method: "POST", path: "/replays", body: `{}`, header: evil, status: 403},
	{method: "POST", path: "/replays", body: `{}`, err: bridge.ErrReplayRuns, status: 409},
	{method: "POST", path: "/replays", body: `{}`, err: errClosed, status: 503},

	{method: "GET", path: "/replays/{id}", status: 200},
	{method: "GET", path: "/replays/{id}", host: "evil.example", status: 403},
	{method: "GET", path: "/replays/{id}", err: bridge.ErrNoReplay, status: 404},

	{method: "POST", path: "/replays/{id}/stop", status: 200},
	{method: "POST", path: "/replays/{id}/stop", token: "secret", status: 401},
	{method: "POST", path: "/replays/{id}/stop", header: evil, status: 403},
	{method: "POST", path: "/replays/{id}/stop", err: bridge.ErrNoReplay, status: 404},
	{method: "POST", path: "/replays/{id}/stop", err: errLate, status: 503},

	{method: "POST", path: "/replays/{id}/resume", status: 200},
	{method: "POST", path: "/replays/{id}/resume", token: "secret", status: 401},
	{method: "POST", path: "/replays/{id}/resume", header: evil, status: 403},
	{method: "POST", path: "/replays/{id}/resume", err: bridge.ErrNoReplay, status: 404},
	{method: "POST", path: "/replays/{id}/resume", err: bridge.ErrReplayDone, status: 409},
	{method: "POST", path: "/replays/{id}/resume", err: errClosed, status: 503},
}

func (c call) run(t *testing.T, d *described) {
	opts := Options{API: wholeAPI(c.err), Token: c.token}
	url := serve(t, func() error { return nil }, opts)
	if c.beyond {
		url = serveBeyond(t, true, opts)
	}
	path := strings.Replace(c.path, "{id}", anID, 1)
	r, err := http.NewRequest(c.method, url+apiPrefix+path+c.args, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = c.host
	for name := range c.header {
		r.Header.Set(name, c.header.Get(name))
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != c.status {
		t.Errorf("%d %s, want %d", response.StatusCode, body, c.status)
	}
	d.check(t, c.method, c.path, response, body)
	if response.StatusCode < 300 {
		d.checkInputs(t, c)
	}
}

// An answer about a fault of the bridge's own has fixed words; the log has the fault.
func TestFaultsAreForTheLog(t *testing.T) {
	for _, fault := range []error{errors.New("open /secret/place"), fmt.Errorf("%w: /secret/place", spool.ErrFailed), fmt.Errorf("%w: /secret/place", spool.ErrDamaged), fmt.Errorf("read /secret/place: %w", context.DeadlineExceeded)} {
		var log bytes.Buffer
		url := serve(t, func() error { return nil }, Options{API: wholeAPI(fault), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		status, text := request(t, http.MethodGet, url+"/api/v1/webhooks?number=5")
		if status < 500 || strings.Contains(text, "secret") || !strings.Contains(text, `"detail":"`) {
			t.Errorf("%v: %d %s", fault, status, text)
		}
		if !strings.Contains(log.String(), "/secret/place") || !strings.Contains(log.String(), "GET /api/v1/webhooks") {
			t.Errorf("%v is not in the log: %s", fault, &log)
		}
	}
}

// searched tells of each trace that is asked for, and lets it end on command.
type searched struct {
	Webhooks
	begun chan string
	end   chan struct{}
}

func (s searched) Trace(ctx context.Context, q bridge.Query) (bridge.Trace, error) {
	s.begun <- cmp.Or(q.ID, q.Incident, strconv.FormatInt(q.Number, 10))
	select {
	case <-s.end:
	case <-ctx.Done():
		return bridge.Trace{}, fmt.Errorf("search: %w", ctx.Err())
	}
	return bridge.Trace{}, nil
}

// One search goes over the whole spool at a time; a look for an id is none.
func TestOneSearchAtATime(t *testing.T) {
	s := searched{begun: make(chan string, 4), end: make(chan struct{})}
	handle := webhookRoutes(s)[0].handle
	ended := make(chan error, 3)
	begin := func(query string) {
		go func() {
			ended <- handle(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/?"+query, nil))
		}()
	}
	await := func(want string) {
		t.Helper()
		select {
		case got := <-s.begun:
			if got != want {
				t.Errorf("%s is begun, want %s", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s is not begun", want)
		}
	}
	begin("number=5")
	await("5")
	begin("incident=i")
	begin("id=x")
	await("x")
	impatient, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	r := httptest.NewRequestWithContext(impatient, http.MethodGet, "/?number=6", nil)
	if err := handle(httptest.NewRecorder(), r); problemOf(err).status != http.StatusServiceUnavailable {
		t.Errorf("a search that could not wait: %v", err)
	}
	s.end <- struct{}{}
	s.end <- struct{}{}
	await("i")
	if len(s.begun) != 0 {
		t.Error("who could not wait was let in")
	}
	s.end <- struct{}{}
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// What is no route, or not with that method, is told in the same form.
func TestNoRoute(t *testing.T) {
	url := serve(t, func() error { return nil }, Options{API: wholeAPI(nil)})
	for _, test := range []struct {
		method, path string
		status       int
		detail       string
	}{
		{"GET", "/api/", 404, "no such route"},
		{"GET", "/api/v1/nonsense", 404, "no such route"},
		{"PUT", "/api/v1/status", 405, "does not take that method"},
	} {
		status, text := request(t, test.method, url+test.path)
		if status != test.status || !strings.Contains(text, test.detail) {
			t.Errorf("%s %s: %d %s", test.method, test.path, status, text)
		}
	}
}

func TestReadJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"n":1}`: "", `{"n":1} `: "",
		``: "EOF", `{"n":"1"}`: "cannot unmarshal", `{"m":1}`: `unknown field "m"`, `{"n":1}{}`: "more than one JSON document",
		`{"n":` + strings.Repeat(" ", maxRequest) + `1}`: "too large",
	} {
		var v struct{ N int }
		r, err := http.NewRequest(http.MethodPost, "/", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		err = readJSON(httptest.NewRecorder(), r, &v)
		switch {
		case want == "" && (err != nil || v.N != 1):
			t.Errorf("%.20s: %v, %v", text, v, err)
		case want != "" && (!errors.Is(err, errBadRequest) || !strings.Contains(err.Error(), want)):
			t.Errorf("%.20s: %v, want %s", text, err, want)
		}
	}
}

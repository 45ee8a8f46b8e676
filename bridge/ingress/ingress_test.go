package ingress

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

const secret = "8b0c51d2-6f4e-4a57-9d3f-1c2e5a7b9d10"

// accepter remembers what it took; err and wait say how it fails.
type accepter struct {
	mu    sync.Mutex
	taken []bridge.Webhook
	err   error
	wait  bool // until the context ends
}

func (a *accepter) Accept(ctx context.Context, w bridge.Webhook) (bridge.Receipt, error) {
	if a.wait {
		<-ctx.Done()
		return bridge.Receipt{}, fmt.Errorf("append: %w", context.Cause(ctx))
	}
	if a.err != nil {
		return bridge.Receipt{}, a.err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Body = bytes.Clone(w.Body) // it is the sender's again afterwards
	for _, held := range a.taken {
		if bytes.Equal(held.Body, w.Body) {
			return bridge.Receipt{ID: "id", Status: bridge.Duplicate}, nil
		}
	}
	a.taken = append(a.taken, w)
	fields, err := zenduty.ReadFields(w.Body)
	if err != nil {
		return bridge.Receipt{ID: "id", Status: bridge.Quarantined}, nil
	}
	return bridge.Receipt{ID: "id", Status: bridge.Accepted, Canary: fields.EventType == bridge.CanaryEvent}, nil
}

func verifier(t testing.TB, mode zenduty.Mode, keys ...zenduty.Key) *zenduty.Verifier {
	t.Helper()
	v, err := zenduty.NewVerifier(mode, keys)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// serve runs a server on a free port of a real listener.
func serve(t *testing.T, a Accepter, opts Options) (addr string, registry *prometheus.Registry) {
	t.Helper()
	return serveSources(t, a, opts, func(*Source) {})
}

// serveSources is serve with changes to each source.
func serveSources(t *testing.T, a Accepter, opts Options, change func(*Source)) (addr string, registry *prometheus.Registry) {
	t.Helper()
	registry = prometheus.NewRegistry()
	opts.Registerer = registry
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	key := zenduty.Key{Name: "default", Secret: secret}
	sources := map[string]*Source{
		"zenduty": {Verifier: verifier(t, zenduty.ModeAuto, key)},
		"basic":   {Verifier: verifier(t, zenduty.ModeNone), BasicAuth: NewBasicAuth("zen", "pass:word")},
	}
	for _, source := range sources {
		change(source)
	}
	s := New(a, sources, opts)
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx, 0); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String(), registry
}

var sample = []byte(`{"payload": {"event_type": "triggered", "incident": {"unique_id": "i"}}}`)

var canaryBody = []byte(`{"payload": {"event_type": "` + bridge.CanaryEvent + `"}}`)

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

// post is one request of TestAnswers, and the answer it must get.
type post struct {
	name   string
	method string // default POST
	path   string // default /webhooks/zenduty
	body   []byte // default sample
	header map[string]string

	status  int
	outcome string
	answer  string // of a 200
	retry   bool   // Retry-After
}

func (p post) request(t *testing.T, addr string) *http.Request {
	t.Helper()
	if p.method == "" {
		p.method = http.MethodPost
	}
	if p.path == "" {
		p.path = "/webhooks/zenduty"
	}
	if p.body == nil {
		p.body = sample
	}
	r, err := http.NewRequest(p.method, "http://"+addr+p.path, bytes.NewReader(p.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range p.header {
		r.Header.Set(name, value)
	}
	return r
}

func signed(body []byte) map[string]string {
	return map[string]string{zenduty.SignatureHeader: zenduty.Sign(secret, body)}
}

func TestAnswers(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 2000)
	inner := []byte(`{"event_type":"resolved","incident":{}}`)
	basic := func(userPass string) map[string]string { return map[string]string{"Authorization": userPass} }
	for _, p := range []post{
		{name: "authentic", header: signed(sample), status: 200, outcome: "accepted", answer: `{"status":"accepted","id":"id"}`},
		{name: "authentic, header in other case", header: map[string]string{"x-signature": zenduty.Sign(secret, sample)}, status: 200, outcome: "accepted", answer: `{"status":"accepted","id":"id"}`},
		{name: "authentic, compressed", body: gzipped(sample), header: map[string]string{zenduty.SignatureHeader: zenduty.Sign(secret, sample), "Content-Encoding": "gzip"}, status: 200, outcome: "accepted", answer: `{"status":"accepted","id":"id"}`},
		{name: "authentic by json.dumps", body: inner, header: signed([]byte(`{"event_type": "resolved", "incident": {}}`)), status: 200, outcome: "accepted", answer: `{"status":"accepted","id":"id"}`},
		{name: "authentic, cannot be keyed", body: []byte("hello"), header: signed([]byte("hello")), status: 200, outcome: "quarantined", answer: `{"status":"quarantined","id":"id"}`},
		{name: "empty body, signed", body: []byte{}, header: signed(nil), status: 200, outcome: "quarantined", answer: `{"status":"quarantined","id":"id"}`},
		{name: "a canary", body: canaryBody, header: signed(canaryBody), status: 200, outcome: "canary", answer: `{"status":"accepted","id":"id"}`},
		{name: "no signature", status: 401, outcome: "missing_signature"},
		{name: "signature malformed", header: map[string]string{zenduty.SignatureHeader: "abc"}, status: 401, outcome: "malformed_signature"},
		{name: "signature wrong", header: signed([]byte("other")), status: 401, outcome: "wrong_signature"},
		{name: "basic auth", path: "/webhooks/basic", header: basic("Basic emVuOnBhc3M6d29yZA=="), status: 200, outcome: "accepted", answer: `{"status":"accepted","id":"id"}`},
		{name: "no credentials", path: "/webhooks/basic", status: 401, outcome: "missing_credentials"},
		{name: "credentials malformed", path: "/webhooks/basic", header: basic("Basic !!!"), status: 401, outcome: "missing_credentials"},
		{name: "credentials wrong", path: "/webhooks/basic", header: basic("Basic emVuOnBhc3M="), status: 401, outcome: "wrong_credentials"},
		{name: "unknown source", path: "/webhooks/other", header: signed(sample), status: 404, outcome: "unknown_source"},
		{name: "unknown path", path: "/", status: 404, outcome: "not_found"},
		{name: "unknown path below a source", path: "/webhooks/zenduty/x", status: 404, outcome: "unknown_source"},
		{name: "GET", method: http.MethodGet, status: 405, outcome: "method_not_allowed"},
		{name: "PUT", method: http.MethodPut, status: 405, outcome: "method_not_allowed"},
		{name: "too large", body: big, header: signed(big), status: 413, outcome: "too_large"},
		{name: "too large once unpacked", body: gzipped(big), header: map[string]string{zenduty.SignatureHeader: zenduty.Sign(secret, big), "Content-Encoding": "gzip"}, status: 413, outcome: "too_large"},
		{name: "unknown encoding", header: map[string]string{zenduty.SignatureHeader: zenduty.Sign(secret, sample), "Content-Encoding": "br"}, status: 400, outcome: "unreadable"},
		{name: "not gzip", header: map[string]string{zenduty.SignatureHeader: zenduty.Sign(secret, sample), "Content-Encoding": "gzip"}, status: 400, outcome: "unreadable"},
		{name: "gzip cut off", body: gzipped(sample)[:30], header: map[string]string{zenduty.SignatureHeader: zenduty.Sign(secret, sample), "Content-Encoding": "gzip"}, status: 400, outcome: "unreadable"},
	} {
		t.Run(p.name, func(t *testing.T) {
			addr, registry := serve(t, &accepter{}, Options{MaxBodyBytes: 1000})
			check(t, p, addr, registry)
		})
	}
}

func check(t *testing.T, p post, addr string, registry *prometheus.Registry) {
	t.Helper()
	response, err := http.DefaultClient.Do(p.request(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != p.status {
		t.Fatalf("status %d, want %d: %s", response.StatusCode, p.status, text)
	}
	if (response.Header.Get("Retry-After") != "") != p.retry {
		t.Errorf("Retry-After %q", response.Header.Get("Retry-After"))
	}
	checkBody(t, p, response, text)
	checkOutcome(t, p, registry)
}

func checkBody(t *testing.T, p post, response *http.Response, text []byte) {
	t.Helper()
	if p.status == 200 {
		if strings.TrimSpace(string(text)) != p.answer || response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s, want %s", response.Header.Get("Content-Type"), text, p.answer)
		}
		return
	}
	var got problem
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	want := problem{Type: "about:blank", Title: http.StatusText(p.status), Status: p.status, Detail: got.Detail}
	if diff := cmp.Diff(want, got); diff != "" || got.Detail == "" || response.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %s %s", response.Header.Get("Content-Type"), text, diff)
	}
	if (p.status == 401) != (response.Header.Get("WWW-Authenticate") != "") {
		t.Errorf("WWW-Authenticate %q", response.Header.Get("WWW-Authenticate"))
	}
	if p.status == 405 && response.Header.Get("Allow") == "" {
		t.Error("405 without Allow")
	}
}

// checkOutcome: exactly one request was counted, with that outcome, and no label
// is the sender's choice.
func checkOutcome(t *testing.T, p post, registry *prometheus.Registry) {
	t.Helper()
	source := "zenduty"
	switch {
	case strings.HasPrefix(p.path, "/webhooks/basic"):
		source = "basic"
	case p.outcome == "unknown_source", p.outcome == "not_found":
		source = "unknown"
	}
	want := map[string]float64{source + " " + p.outcome: 1}
	if diff := cmp.Diff(want, counted(t, registry)); diff != "" {
		t.Error(diff)
	}
}

// The time of the last webhook is that of a real one.
func TestLastWebhook(t *testing.T) {
	addr, registry := serve(t, &accepter{}, Options{})
	last := func() float64 {
		value := 0.0
		for _, m := range gather(t, registry, "zenduty_bridge_last_webhook_timestamp_seconds") {
			value += m.GetGauge().GetValue()
		}
		return value
	}
	for _, p := range []post{
		{body: canaryBody, header: signed(canaryBody), status: 200},
		{status: 401},
	} {
		answered(t, p, addr)
	}
	if last() != 0 {
		t.Errorf("a canary or a refusal is taken for a webhook: %v", last())
	}
	began := float64(time.Now().Unix())
	answered(t, post{header: signed(sample), status: 200}, addr)
	if got := last(); got < began || got > began+60 {
		t.Errorf("the last webhook came at %v, it is %v", got, began)
	}
}

func answered(t *testing.T, p post, addr string) {
	t.Helper()
	response, err := http.DefaultClient.Do(p.request(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != p.status {
		t.Errorf("status %d, want %d", response.StatusCode, p.status)
	}
}

func gather(t *testing.T, registry *prometheus.Registry, name string) []*dto.Metric {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()
		}
	}
	return nil
}

// counted is every count of webhooks_total but zeros, by source and outcome.
func counted(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "zenduty_bridge_webhooks_total" && m.GetCounter().GetValue() > 0 {
				counts[m.GetLabel()[1].GetValue()+" "+m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return counts
}

func TestAnswersOfTheStore(t *testing.T) {
	for _, test := range []struct {
		name     string
		accepter *accepter
		outcome  string
	}{
		{"full", &accepter{err: fmt.Errorf("accept: %w", spool.ErrFull)}, "spool_full"},
		{"failed", &accepter{err: fmt.Errorf("accept: %w", spool.ErrFailed)}, "spool_failed"},
		{"closing", &accepter{err: fmt.Errorf("accept: %w", spool.ErrClosed)}, "closing"},
		{"slow disk", &accepter{wait: true}, "deadline"},
		{"unforeseen", &accepter{err: errors.New("/secret/path: boom")}, "error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr, registry := serve(t, test.accepter, Options{AnswerDeadline: 50 * time.Millisecond})
			check(t, post{header: signed(sample), status: 503, outcome: test.outcome, retry: true}, addr, registry)
		})
	}
}

// An event that is too old is refused as what it is: authentic, and not to be repeated.
func TestStale(t *testing.T) {
	addr, registry := serve(t, &accepter{err: fmt.Errorf("accept: %w", bridge.ErrStale)}, Options{})
	check(t, post{header: signed(sample), status: 422, outcome: "stale"}, addr, registry)
}

func TestDuplicate(t *testing.T) {
	addr, _ := serve(t, &accepter{}, Options{})
	for _, want := range []string{`"accepted"`, `"duplicate"`, `"duplicate"`} {
		response, err := http.DefaultClient.Do(post{header: signed(sample)}.request(t, addr))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != 200 || !strings.Contains(string(text), want) {
			t.Errorf("%d %s, want %s", response.StatusCode, text, want)
		}
	}
}

func TestTwoSignaturesAreMalformed(t *testing.T) {
	addr, registry := serve(t, &accepter{}, Options{})
	r := post{header: signed(sample)}.request(t, addr)
	r.Header.Add(zenduty.SignatureHeader, "another")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 401 {
		t.Errorf("status %d", response.StatusCode)
	}
	checkOutcome(t, post{outcome: "malformed_signature"}, registry)
}

func TestTooManyFailures(t *testing.T) {
	addr, registry := serve(t, &accepter{}, Options{FailedAuthRate: 0.001, FailedAuthBurst: 3})
	var statuses []int
	for range 5 {
		response, err := http.DefaultClient.Do(post{}.request(t, addr))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode == 429 && response.Header.Get("Retry-After") != "1000" {
			t.Errorf("Retry-After %q", response.Header.Get("Retry-After"))
		}
		statuses = append(statuses, response.StatusCode)
	}
	if diff := cmp.Diff([]int{401, 401, 401, 429, 429}, statuses); diff != "" {
		t.Error(diff)
	}
	// The good one from the same address is taken all the same.
	response, err := http.DefaultClient.Do(post{header: signed(sample)}.request(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 {
		t.Errorf("a good webhook got %d because of others' bad ones", response.StatusCode)
	}
	if n := counted(t, registry)["zenduty rate_limited"]; n != 2 {
		t.Errorf("rate_limited is %v", n)
	}
}

// dialogue writes raw bytes and reads the answer's status line.
func dialogue(t *testing.T, addr string, write func(net.Conn)) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	write(conn)
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "closed: " + err.Error()
	}
	return strings.TrimSpace(line)
}

func TestRawConnections(t *testing.T) {
	head := "POST /webhooks/zenduty HTTP/1.1\r\nHost: x\r\n" + zenduty.SignatureHeader + ": " + zenduty.Sign(secret, sample) + "\r\n"
	opts := Options{MaxBodyBytes: 1000, HeaderTimeout: 200 * time.Millisecond, BodyTimeout: 400 * time.Millisecond}
	for _, test := range []struct {
		name  string
		write func(net.Conn)
		want  string
	}{
		{"in chunks", func(c net.Conn) {
			fmt.Fprintf(c, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", head, 10, sample[:10], len(sample)-10, sample[10:])
		}, "HTTP/1.1 200 OK"},
		{"slowly, but in time", func(c net.Conn) {
			fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(sample), sample[:10])
			time.Sleep(50 * time.Millisecond) // the slowness is the case under test
			_, _ = c.Write(sample[10:])
		}, "HTTP/1.1 200 OK"},
		{"too large in chunks", func(c net.Conn) {
			fmt.Fprintf(c, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, 1500, strings.Repeat("x", 1500))
		}, "HTTP/1.1 413 Request Entity Too Large"},
		{"too large by its own word, nothing sent", func(c net.Conn) {
			fmt.Fprintf(c, "%sContent-Length: 5000000000\r\n\r\n", head)
		}, "HTTP/1.1 413 Request Entity Too Large"},
		{"body too slow", func(c net.Conn) {
			fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(sample), sample[:10])
		}, "HTTP/1.1 400 Bad Request"},
		{"cut off", func(c net.Conn) {
			fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(sample), sample[:10])
			_ = c.(*net.TCPConn).CloseWrite()
		}, "HTTP/1.1 400 Bad Request"},
		{"bad chunk", func(c net.Conn) {
			fmt.Fprintf(c, "%sTransfer-Encoding: chunked\r\n\r\nzz\r\n", head)
		}, "HTTP/1.1 400 Bad Request"},
		{"unknown transfer encoding", func(c net.Conn) {
			fmt.Fprintf(c, "%sTransfer-Encoding: gzip\r\n\r\n", head)
		}, "HTTP/1.1 501 Not Implemented"},
		{"header too slow", func(c net.Conn) {
			fmt.Fprint(c, "POST /webhooks/zenduty HTTP/1.1\r\nHost:")
		}, "closed: EOF"},
		{"waits for 100 Continue", func(c net.Conn) {
			fmt.Fprintf(c, "%sExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", head, len(sample))
		}, "HTTP/1.1 100 Continue"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr, _ := serve(t, &accepter{}, opts)
			if got := dialogue(t, addr, test.write); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestShutdownAnswersWhatHasBegun(t *testing.T) {
	a := &accepter{}
	s := New(a, map[string]*Source{"zenduty": {Verifier: verifier(t, zenduty.ModeAuto, zenduty.Key{Name: "k", Secret: secret})}}, Options{})
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	stopped := make(chan error, 1)
	status := dialogue(t, l.Addr().String(), func(c net.Conn) {
		fmt.Fprintf(c, "POST /webhooks/zenduty HTTP/1.1\r\nHost: x\r\n%s: %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", zenduty.SignatureHeader, zenduty.Sign(secret, sample), len(sample))
		// 100 Continue is sent when the handler reads: the request has begun.
		if _, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))); err != nil {
			t.Error(err)
		}
		go func() { stopped <- s.Shutdown(context.Background(), 0) }()
		for { // until the listener is closed
			other, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				break
			}
			other.Close()
		}
		_, _ = c.Write(sample)
	})
	if status != "HTTP/1.1 200 OK" {
		t.Errorf("the request in hand got %q", status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if len(a.taken) != 1 {
		t.Errorf("%d webhooks taken", len(a.taken))
	}
}

func TestMetricsLint(t *testing.T) {
	addr, registry := serve(t, &accepter{}, Options{})
	response, err := http.DefaultClient.Do(post{header: signed(sample)}.request(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	want := `
		# HELP zenduty_bridge_signature_matches_total Authentic webhooks, by the rendering whose signature matched and the name of the key.
		# TYPE zenduty_bridge_signature_matches_total counter
		zenduty_bridge_signature_matches_total{key="",rendering="none",source="basic"} 0
		zenduty_bridge_signature_matches_total{key="default",rendering="json.dumps",source="zenduty"} 0
		zenduty_bridge_signature_matches_total{key="default",rendering="json.dumps of payload",source="zenduty"} 0
		zenduty_bridge_signature_matches_total{key="default",rendering="raw",source="zenduty"} 1
	`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "zenduty_bridge_signature_matches_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); len(problems) > 0 || err != nil {
		t.Errorf("%v, %v", problems, err)
	}
}

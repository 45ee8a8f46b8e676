package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// serve runs a server on a free port and returns its URL.
func serve(t *testing.T, ready func() error, opts Options) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, ready, opts)
}

func serveOn(t *testing.T, l net.Listener, ready func() error, opts Options) string {
	t.Helper()
	return run(t, l, New(ready, opts))
}

func run(t *testing.T, l net.Listener, s *Server) string {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// beyond makes connections seem to come from another machine, under TLS or not.
type beyond struct {
	net.Listener
	secure bool
}

func (l beyond) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil && l.secure {
		return secureFar{far{c}}, nil
	}
	return far{c}, err
}

type far struct{ net.Conn }

func (far) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711} }

type secureFar struct{ far }

// ConnectionState is what net/http knows TLS by.
func (secureFar) ConnectionState() tls.ConnectionState { return tls.ConnectionState{} }

// serveBeyond is serve, asked from another machine.
func serveBeyond(t *testing.T, secure bool, opts Options) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, beyond{l, secure}, func() error { return nil }, opts)
}

// ask is a GET with a header, and with a Host unless that is empty.
func ask(t *testing.T, url, host string, header http.Header) (status int, text string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Header = host, header
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// guardedPaths are all but health.
var guardedPaths = []string{
	"/metrics", "/api/v1/status", "/api/v1/webhooks?number=5", "/api/v1/webhooks/" + anID + "/body", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1",
}

// From another machine health is open, and nothing else without TLS and the token, but
// for metrics on purpose.
func TestBeyond(t *testing.T) {
	for _, test := range []struct {
		name         string
		secure, open bool
		header       http.Header
		want         int // but of health
	}{
		{"plain", false, false, nil, 403},
		{"plain, with the token", false, false, bearer, 403}, // which is not even looked at
		{"TLS without the token", true, false, nil, 401},
		{"TLS and the token", true, false, bearer, 200},
		{"plain, with open metrics", false, true, nil, 403},
		{"TLS without the token, with open metrics", true, true, nil, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := serveBeyond(t, test.secure, Options{API: wholeAPI(nil), Pprof: true, Token: "secret", OpenMetrics: test.open})
			for _, path := range append(guardedPaths, "/healthz", "/readyz") {
				want := test.want
				if path == "/healthz" || path == "/readyz" || test.open && path == "/metrics" {
					want = 200
				}
				if status, text := ask(t, url+path, "bridge:8081", test.header); status != want {
					t.Errorf("%s: %d %s, want %d", path, status, text, want)
				}
			}
		})
	}
}

// A page that an operator looks at can neither read nor have anything done: what it asks
// for by the bridge's address is known by its origin, and by a name of its own that was
// made to resolve here, by the name.
func TestPagesOfOthers(t *testing.T) {
	const name = "evil.example:8081"
	for what, test := range map[string]struct {
		host   string
		header http.Header
	}{
		"an image":                  {"", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}}},
		"a link":                    {"", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}},
		"another port here":         {"", http.Header{"Sec-Fetch-Site": {"same-site"}}},
		"a script of old":           {"", http.Header{"Origin": {"http://evil.example"}}},
		"a sandbox":                 {"", http.Header{"Origin": {"null"}}},
		"by a name":                 {name, nil},
		"by a name, as its own":     {name, http.Header{"Origin": {"http://" + name}, "Sec-Fetch-Site": {"same-origin"}}},
		"by a name, in the address": {name, http.Header{"Sec-Fetch-Site": {"none"}}},
	} {
		for _, open := range []bool{false, true} {
			url := serve(t, func() error { return nil }, Options{API: wholeAPI(nil), Pprof: true, OpenMetrics: open})
			for _, path := range guardedPaths {
				if status, text := ask(t, url+path, test.host, test.header); status != http.StatusForbidden {
					t.Errorf("%s, %s: %d %s", what, path, status, text)
				}
			}
		}
	}
}

// Who is not let in is in the log and in the metrics, and what they showed is not.
func TestRefusalsAreToldAndCounted(t *testing.T) {
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	url := serve(t, func() error { return nil }, Options{
		API: wholeAPI(nil), Token: "secret", Gatherer: registry, Registerer: registry, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	began := time.Now()
	for range 30 {
		ask(t, url+"/api/v1/webhooks/"+anID+"/body?q=query-of-one", "", http.Header{"Authorization": {"Bearer guess-of-one"}})
	}
	ask(t, url+"/api/v1/webhooks/"+anID+"/body", "", nil)
	ask(t, url+"/api/v1/status", "", evil)
	_, metrics := ask(t, url+"/metrics", "", nil)
	for reason, want := range map[string]string{"wrong_token": "30", "no_token": "1", "cross_origin": "1", "host": "0"} {
		if line := `zenduty_bridge_admin_refusals_total{reason="` + reason + `"} ` + want + "\n"; !strings.Contains(metrics, line) {
			t.Errorf("no %s in\n%s", line, metrics)
		}
	}
	if lines := strings.Count(log.String(), "refused"); lines < 10 || lines > 11+int(time.Since(began)/time.Second) {
		t.Errorf("%d lines of 32 refusals:\n%s", lines, &log)
	}
	if !strings.Contains(log.String(), `reason=wrong_token remote=127.0.0.1:`) || !strings.Contains(log.String(), `route="GET /api/v1/webhooks/{id}/body"`) {
		t.Errorf("who was refused is not told: %s", &log)
	}
	if strings.Contains(log.String(), "of-one") {
		t.Errorf("what was shown is told: %s", &log)
	}
}

// Whoever opens connections for nothing keeps nobody out, and takes no more of them than
// there may be: the oldest make way.
func TestConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(func() error { return nil }, Options{})
	s.http.ReadTimeout = 0 // which would close them as well
	url := run(t, l, s)
	const tooMany = 20
	var open []net.Conn
	for n := range maxConnections + tooMany {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
		if n > maxConnections { // a header that never ends
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 3 {
		if status, text := request(t, http.MethodGet, url+"/readyz"); status != http.StatusOK {
			t.Errorf("%d %s", status, text)
		}
	}
	ends := func(c net.Conn, within time.Duration) bool {
		_ = c.SetReadDeadline(time.Now().Add(within))
		_, err := c.Read(make([]byte, 1))
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	for n, c := range open[:tooMany] {
		if !ends(c, 20*time.Second) {
			t.Fatalf("connection %d of %d is open still", n, len(open))
		}
	}
	if ends(open[len(open)-1], 10*time.Millisecond) {
		t.Error("the newest made way")
	}
}

func TestHeaderSize(t *testing.T) {
	url := serve(t, func() error { return nil }, Options{})
	for size, want := range map[int]int{maxHeaderBytes - 1024: http.StatusOK, maxHeaderBytes + 8192: http.StatusRequestHeaderFieldsTooLarge} {
		r, err := http.NewRequest(http.MethodGet, url+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Padding", strings.Repeat("x", size))
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("a header of %d bytes: %d, want %d", size, response.StatusCode, want)
		}
	}
}

func request(t *testing.T, method, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestHealth(t *testing.T) {
	for _, test := range []struct {
		name, path string
		reason     error
		status     int
		text       string
	}{
		{"lives", "/healthz", nil, 200, "ok\n"},
		{"lives, though it takes nothing", "/healthz", spool.ErrFull, 200, "ok\n"},
		{"ready", "/readyz", nil, 200, "ok\n"},
		{"full", "/readyz", fmt.Errorf("%w: less than 5 bytes are free", spool.ErrFull), 503, "the spool or its disk is full\n"},
		{"failed", "/readyz", fmt.Errorf("%w: sync directory /secret/place", spool.ErrFailed), 503, "the spool has failed: the bridge's log says how\n"},
		{"stopping", "/readyz", ErrStopping, 503, "the bridge is stopping\n"},
		{"anything else", "/readyz", errors.New("open /secret/place"), 503, "a fault of the bridge itself: its log says more\n"},
		{"no such thing", "/", nil, 404, "404 page not found\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := serve(t, func() error { return test.reason }, Options{})
			if status, text := request(t, http.MethodGet, url+test.path); status != test.status || text != test.text {
				t.Errorf("%d %q, want %d %q", status, text, test.status, test.text)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "zenduty_bridge_test_total", Help: "Of this test."})
	registry.MustRegister(counter)
	counter.Inc()
	url := serve(t, func() error { return nil }, Options{Gatherer: registry})
	if status, text := request(t, http.MethodGet, url+"/metrics"); status != 200 || !strings.Contains(text, "zenduty_bridge_test_total 1\n") {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := request(t, http.MethodPost, url+"/metrics"); status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", status)
	}
}

// Profiles show what the program works on: only for those who ask for them.
func TestProfilesOnlyWhenAsked(t *testing.T) {
	for pprof, want := range map[bool]int{true: http.StatusOK, false: http.StatusNotFound} {
		url := serve(t, func() error { return nil }, Options{Pprof: pprof})
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
			if status, _ := request(t, http.MethodGet, url+path); status != want {
				t.Errorf("pprof %v: %s: %d, want %d", pprof, path, status, want)
			}
		}
	}
}

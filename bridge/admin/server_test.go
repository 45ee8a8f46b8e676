package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

// From another machine health and metrics are open, and nothing else without TLS.
func TestBeyond(t *testing.T) {
	url := serveBeyond(t, false, Options{API: wholeAPI(nil), Pprof: true, Token: "secret"})
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/metrics": 200,
		"/api/v1/status": 403, "/api/v1/webhooks?number=5": 403, "/api/v1/webhooks/" + anID + "/body": 403, "/debug/pprof/": 403, "/debug/pprof/heap": 403,
	} {
		r, err := http.NewRequest(http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = bearer // which is not even looked at
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, response.StatusCode, want)
		}
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
		{"lives, though it takes nothing", "/healthz", errors.New("spool is full"), 200, "ok\n"},
		{"ready", "/readyz", nil, 200, "ok\n"},
		{"not ready, and why", "/readyz", errors.New("spool is full"), 503, "spool is full\n"},
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

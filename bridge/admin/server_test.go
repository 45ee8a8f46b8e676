package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// serve runs a server on a free port and returns its URL.
func serve(t *testing.T, ready func() error, opts Options) string {
	t.Helper()
	s := New(ready, opts)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
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

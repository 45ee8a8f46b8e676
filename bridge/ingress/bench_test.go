package ingress

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// newDurable is a handler on a real spool, on the disk that holds the temporary
// directory.
func newDurable(t testing.TB) http.Handler {
	t.Helper()
	quiet, registry := slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry()
	store, err := spool.Open(t.TempDir(), spool.Options{Logger: quiet, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	v, err := zenduty.NewVerifier(zenduty.ModeAuto, []zenduty.Key{{Name: "default", Secret: secret}})
	if err != nil {
		t.Fatal(err)
	}
	b := bridge.New(store, nil, bridge.Options{Logger: quiet, Registerer: registry})
	return New(b, map[string]*Source{"zenduty": {Verifier: v}}, Options{Logger: quiet, Registerer: registry}).http.Handler
}

// distinct makes n signed requests of Zenduty's usual size, no two alike.
func distinct(t testing.TB, n int) []*http.Request {
	t.Helper()
	sample, err := os.ReadFile("../zenduty/testdata/resolved.json")
	if err != nil {
		t.Fatal(err)
	}
	requests := make([]*http.Request, n)
	for i := range requests {
		body := bytes.Replace(sample, []byte("vuwtGfyHf9JaN5vg5sEc4N"), fmt.Appendf(nil, "%022d", i), 1)
		if requests[i], err = http.NewRequest(http.MethodPost, "/webhooks/zenduty", bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		requests[i].Header.Set(zenduty.SignatureHeader, zenduty.Sign(secret, body))
	}
	return requests
}

// recorder is a http.ResponseWriter that allocates nothing.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }

// serveOne answers a request, which must be accepted.
func serveOne(t testing.TB, h http.Handler, r *recorder, request *http.Request) {
	clear(r.header)
	h.ServeHTTP(r, request)
	if r.status != http.StatusOK {
		t.Errorf("status %d", r.status)
	}
}

// BenchmarkWebhook is the whole way from a parsed request to its answer: read,
// verify, key, append, fsync, answer.
func BenchmarkWebhook(b *testing.B) {
	for _, senders := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("senders=%d", senders), func(b *testing.B) {
			h, requests := newDurable(b), distinct(b, b.N)
			b.SetBytes(requests[0].ContentLength)
			b.ReportAllocs()
			b.ResetTimer()
			serveConcurrently(b, h, requests, senders)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
		})
	}
}

func serveConcurrently(t testing.TB, h http.Handler, requests []*http.Request, senders int) {
	var next atomic.Int64
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			r := &recorder{header: http.Header{}}
			for i := next.Add(1) - 1; i < int64(len(requests)); i = next.Add(1) - 1 {
				serveOne(t, h, r, requests[i])
			}
		})
	}
	sending.Wait()
}

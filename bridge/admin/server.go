// Package admin is the operator's side of the bridge: health, metrics, and the API
// that openapi.yaml describes.
package admin

import (
	"container/list"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options for New; the zero value of each is its default.
type Options struct {
	Gatherer    prometheus.Gatherer   // what /metrics shows; default none
	OpenMetrics bool                  // shows it to other machines without TLS and token; default not
	Pprof       bool                  // serve net/http/pprof's profiles; default not
	API         API                   // what answers /api/v1
	Token       string                // asked for by what changes something or shows a body; "" none: then only on loopback
	Logger      *slog.Logger          // default slog.Default
	Registerer  prometheus.Registerer // default none
}

// Server answers /healthz, /readyz, /metrics and /api/v1.
type Server struct {
	http   *http.Server
	access *access
}

// New returns a server. ready is nil while a webhook would be taken, else the
// reason why not; it is asked at every /readyz.
func New(ready func() error, opts Options) *Server {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Gatherer == nil {
		opts.Gatherer = prometheus.NewRegistry()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, ready()) })
	access := newAccess(opts)
	mux.Handle("GET /metrics", access.metrics(promhttp.HandlerFor(opts.Gatherer, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(opts.Logger.Handler(), slog.LevelWarn), EnableOpenMetrics: true,
	})))
	if opts.Pprof {
		mux.Handle("GET /debug/pprof/", access.read(http.HandlerFunc(pprof.Index))) // and the profiles by name
		mux.Handle("GET /debug/pprof/profile", access.read(http.HandlerFunc(pprof.Profile)))
		mux.Handle("GET /debug/pprof/symbol", access.read(http.HandlerFunc(pprof.Symbol)))
		mux.Handle("GET /debug/pprof/trace", access.read(http.HandlerFunc(pprof.Trace)))
	}
	mux.Handle("/api/", newAPI(opts.API.routes(), access))
	open := connections{places: map[net.Conn]*list.Element{}}
	return &Server{access: access, http: &http.Server{
		Handler: access.ownPages(mux), ReadTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 30 * time.Second,
		MaxHeaderBytes: maxHeaderBytes, ConnState: open.note,
		ErrorLog: slog.NewLogLogger(opts.Logger.Handler(), slog.LevelDebug),
	}}
}

// answer is "ok" with 200, or the reason with 503, in words that tell anybody no more
// than that.
func answer(w http.ResponseWriter, reason error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	text := "ok"
	if reason != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = problemOf(reason).detail
	}
	_, _ = w.Write([]byte(text + "\n")) // the asker may be gone
}

// Serve answers requests of l until Shutdown; its error is then
// http.ErrServerClosed.
func (s *Server) Serve(l net.Listener) error {
	s.access.listens(l.Addr())
	return s.http.Serve(l)
}

// SetToken puts another token in the place of Options.Token; "" is none.
func (s *Server) SetToken(token string) { s.access.setToken(token) }

// Shutdown stops taking requests and returns when those begun are answered, or
// with ctx's error.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

package ingress

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
)

// Options for New; the zero value of each is its default.
type Options struct {
	MaxBodyBytes   int64         // of a body, decompressed; default 1 MiB
	HeaderTimeout  time.Duration // to receive the header; default 5 s
	BodyTimeout    time.Duration // to receive header and body; default 10 s
	IdleTimeout    time.Duration // between two requests of a connection; default 2 min
	AnswerDeadline time.Duration // from header to answer; default 2.5 s, as Zenduty waits for 3

	// MaxHeaderBytes is the most that a header may take, give or take net/http's 4 KiB of
	// slack; default 16 KiB.
	MaxHeaderBytes int
	// MaxConnections is how many may be open; default 3,000, and never more than three
	// quarters of the files that the process may have open. MaxConnectionsPerAddress is
	// how many of one address; default any number. See order for which makes way.
	MaxConnections, MaxConnectionsPerAddress int
	// MaxConcurrentRequests is how many may be under way; default 1,024. See intake for
	// which makes way.
	MaxConcurrentRequests int
	// MaxUnverifiedBytes is the memory for bodies that are not verified, beyond 64 KiB
	// for each request; default 64 MiB, at least twice MaxBodyBytes and 1 MiB.
	MaxUnverifiedBytes int64

	// TrustedProxies are the networks of those whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix

	// FailedAuthRate and FailedAuthBurst are how many failed authentications of
	// one address are answered with 401, per second and at once, before further
	// ones are answered with 429; default 1 and 20.
	FailedAuthRate  float64
	FailedAuthBurst int

	// TLS makes Serve speak it, and HTTP/2 if that is among its NextProtos. It is not to
	// be changed any more. Default none: plain HTTP/1.1.
	TLS *tls.Config

	Logger     *slog.Logger          // default slog.Default
	Registerer prometheus.Registerer // default none
	// TracerProvider makes a span of each request; default none.
	TracerProvider trace.TracerProvider
}

// route is where webhooks are posted, as Echo writes it.
const route = "/webhooks/:source"

func (o Options) withDefaults() Options {
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = 1 << 20
	}
	if o.HeaderTimeout == 0 {
		o.HeaderTimeout = 5 * time.Second
	}
	if o.BodyTimeout == 0 {
		o.BodyTimeout = 10 * time.Second
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 2 * time.Minute
	}
	if o.AnswerDeadline == 0 {
		o.AnswerDeadline = 2500 * time.Millisecond
	}
	if o.FailedAuthRate == 0 {
		o.FailedAuthRate = 1
	}
	if o.FailedAuthBurst == 0 {
		o.FailedAuthBurst = 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o.withLimits()
}

func (o Options) withLimits() Options {
	if o.MaxHeaderBytes == 0 {
		o.MaxHeaderBytes = 16 << 10
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 3000
	}
	if files, known := openFiles(); known && o.MaxConnections > files/4*3 {
		o.MaxConnections = max(files/4*3, 1)
		o.Logger.Info("fewer connections may be open than ingress.max_connections says, as the system allows few files", "max_connections", o.MaxConnections, "files", files)
	}
	if o.MaxConcurrentRequests == 0 {
		o.MaxConcurrentRequests = 1024
	}
	if o.MaxUnverifiedBytes == 0 {
		o.MaxUnverifiedBytes = 64 << 20
	}
	o.MaxUnverifiedBytes = max(o.MaxUnverifiedBytes, 2*o.MaxBodyBytes+1<<20)
	return o
}

// Accepter makes a verified webhook durable, as *bridge.Bridge does.
type Accepter interface {
	Accept(ctx context.Context, w bridge.Webhook) (bridge.Receipt, error)
}

// Server answers webhooks.
type Server struct {
	accepter Accepter
	sources  atomic.Pointer[map[string]*Source] // replaced, never changed
	opts     Options
	metrics  *metrics
	failures *failureLimiter
	intake   *intake
	refusals rate.Sometimes // bounds the log lines about refused requests
	http     *http.Server

	connections connections
	stopping    atomic.Bool
}

// New returns a server for the sources, by name, which are its own from then on.
func New(accepter Accepter, sources map[string]*Source, opts Options) *Server {
	opts = opts.withDefaults()
	s := &Server{
		accepter: accepter, opts: opts,
		metrics:  newMetrics(opts.Registerer),
		failures: newFailureLimiter(rate.Limit(opts.FailedAuthRate), opts.FailedAuthBurst),
		intake:   newIntake(opts.MaxConcurrentRequests, opts.MaxUnverifiedBytes),
		refusals: rate.Sometimes{First: 10, Interval: time.Second},

		connections: connections{
			maxHeader: int64(opts.MaxHeaderBytes), idleFor: opts.IdleTimeout, perParty: opts.MaxConnectionsPerAddress,
			open: map[*conn]struct{}{}, byParty: map[netip.Prefix]*order{},
			all: order{limit: opts.MaxConnections, reason: "evicted"},
		},
	}
	s.SetSources(sources)
	s.register(opts.Registerer)
	e := echo.New()
	e.HTTPErrorHandler = s.answerError
	e.POST(route, s.recovered(s.webhook))
	s.http = &http.Server{
		Handler:           reached(traced(e, opts.TracerProvider)),
		ReadHeaderTimeout: opts.HeaderTimeout,
		ReadTimeout:       opts.BodyTimeout,
		WriteTimeout:      opts.BodyTimeout + opts.AnswerDeadline + 5*time.Second,
		IdleTimeout:       opts.IdleTimeout,
		MaxHeaderBytes:    opts.MaxHeaderBytes,
		ConnState:         connState,
		ConnContext:       withConn,
		ErrorLog:          slog.NewLogLogger(opts.Logger.Handler(), slog.LevelDebug),
	}
	if opts.TLS != nil {
		s.http.TLSConfig = opts.TLS.Clone() // which net/http only looks at, and changes
		s.http.HTTP2 = s.http2()
	}
	return s
}

// SetSources puts others in the place of the sources, which are the server's own from
// then on. A request in hand ends with what it began with. Metrics of a source or a key
// that stays go on, the others' are there no more. It is called by one at a time.
func (s *Server) SetSources(sources map[string]*Source) {
	for name, source := range sources {
		source.name, source.metrics = name, s.metrics.of(name, source.Verifier)
	}
	if before := s.sources.Swap(&sources); before != nil {
		s.metrics.forget(*before, sources)
	}
}

// source is the one of that name, nil if there is none.
func (s *Server) source(name string) *Source { return (*s.sources.Load())[name] }

// reached tells a request's connection that net/http has let it through to a handler,
// and bounds the time of its answer over HTTP/2.
func reached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := connOf(r.Context()); c != nil {
			defer c.handled()()
		}
		next.ServeHTTP(w, r)
		if r.ProtoMajor == 2 {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime)) // of tests alone there are writers that cannot
		}
	})
}

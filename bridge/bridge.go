package bridge

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// Publisher is the way into JetStream, as *publisher.Publisher is.
type Publisher interface {
	// Publish sends m and tells its outcome to done, exactly once, without waiting
	// for it. done does not block. A connection that was made after Stream last
	// looked is not used.
	Publish(m *publisher.Message, done func(publisher.Ack, *publisher.Error))
	// Ready tells whether a Publish has a chance now.
	Ready() bool
	// Changed receives after Ready has changed.
	Changed() <-chan struct{}

	// StreamName is the stream that is published to.
	StreamName() string
	// Stream makes the stream if it is missing and returns its state, while nothing
	// is in flight. The error is publisher.ErrNoRights when it never will.
	Stream(ctx context.Context) (publisher.StreamState, error)
	// Find returns the sequence numbers of the messages with those ids which the
	// stream has above a sequence number. Errors as of Stream.
	Find(ctx context.Context, ids map[string]bool, after uint64) (map[string]uint64, error)
	// IDAt returns the id of the stream's message with a sequence number, "" if
	// there is none. Errors as of Stream.
	IDAt(ctx context.Context, sequence uint64) (string, error)
}

// Options for New; the zero value of each is its default.
type Options struct {
	// Window is how many incidents may have a publish without an outcome at a
	// time; default 4,096.
	Window int
	// BackoffMin and BackoffMax bound the time before a transient error is tried
	// again; default 100 ms and 5 s. It doubles with each try, and is jittered.
	BackoffMin, BackoffMax time.Duration

	// Sources are the names of those that webhooks come from: Trace finds the
	// incidents of these by their unique_id. See AddSources.
	Sources []string

	Logger     *slog.Logger          // default slog.Default
	Registerer prometheus.Registerer // default none
	// TracerProvider makes a span of each Accept; default none.
	TracerProvider trace.TracerProvider
}

func (o Options) withDefaults() Options {
	if o.Window == 0 {
		o.Window = 4096
	}
	if o.BackoffMin == 0 {
		o.BackoffMin = 100 * time.Millisecond
	}
	if o.BackoffMax == 0 {
		o.BackoffMax = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Bridge takes webhooks into the spool and carries them to JetStream. Accept may
// be called concurrently, also while Run runs.
type Bridge struct {
	spool     *spool.Spool
	publisher Publisher
	opts      Options
	lag       prometheus.Histogram
	healed    prometheus.Counter
	tracer    trace.Tracer // nil without tracing
	started   time.Time

	operations   chan operation
	sources      sync.Map    // names as keys: those that webhooks come or came from
	sourcesAdded atomic.Bool // since the relay last kept them
	view         view
	duplicates   duplicates
}

// New returns a bridge between an open spool and a publisher, which stay the
// caller's to close, after Run has returned.
func New(s *spool.Spool, p Publisher, opts Options) *Bridge {
	b := &Bridge{spool: s, publisher: p, opts: opts.withDefaults(), started: time.Now(), operations: make(chan operation)}
	b.lag = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "zenduty_bridge_delivery_lag_seconds",
		Help:    "Time from a webhook's arrival to JetStream's acknowledgement.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 22),
	})
	b.healed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "zenduty_bridge_healed_total",
		Help: "Webhooks sent again because the stream had lost them after it acknowledged them.",
	})
	if opts.TracerProvider != nil {
		b.tracer = opts.TracerProvider.Tracer("github.com/zenduty-bridge/zenduty-bridge/bridge")
	}
	if opts.Registerer != nil {
		opts.Registerer.MustRegister(b.lag, b.healed)
	}
	b.AddSources(opts.Sources...)
	return b
}

// AddSources adds to Options.Sources. None is ever taken away, by a restart neither (see
// sourcesMark): what has come from one is relayed, healed, replayed and found whether or
// not more can come.
func (b *Bridge) AddSources(names ...string) {
	for _, name := range names {
		if _, known := b.sources.LoadOrStore(name, nil); !known {
			b.sourcesAdded.Store(true)
		}
	}
}

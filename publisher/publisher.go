package publisher

import (
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// Options for New. URL or InProcess is required.
type Options struct {
	// URL lists NATS servers, separated by commas.
	URL string
	// InProcess, when set, is a server in this program, and URL is not used.
	InProcess nats.InProcessConnProvider
	// Auth are further options of the connection: credentials, TLS.
	Auth []nats.Option

	Subject  Subject           // default DefaultSubject
	Services map[string]string // service unique_id to its alias in the subject
	Stream   StreamOptions

	// AckTimeout is how long an acknowledgement may take; default 5 s.
	AckTimeout time.Duration

	Logger     *slog.Logger          // default slog.Default
	Registerer prometheus.Registerer // default none
	// TracerProvider makes a span of each publish; default none.
	TracerProvider trace.TracerProvider
}

func (o Options) withDefaults() Options {
	if len(o.Subject.tokens) == 0 {
		o.Subject, _ = ParseSubject(DefaultSubject)
	}
	if o.AckTimeout == 0 {
		o.AckTimeout = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Stream = o.Stream.withDefaults()
	return o
}

// Publisher is a connection to JetStream. Its methods may be called concurrently.
type Publisher struct {
	opts     Options
	services atomic.Pointer[map[string]string] // replaced, never changed
	metrics  *metrics
	tracer   trace.Tracer // nil without tracing
	nc       *nats.Conn
	js       jetstream.JetStream

	mu      sync.Mutex
	unacked map[*nats.Msg]outcome // by the message as the client hands it back
	drift   string                // of the stream, as it was at the last look

	changed  chan struct{}  // capacity 1: the connection came or went
	since    atomic.Int64   // Unix nanoseconds: when the connection came or went
	lookedAt atomic.Uint64  // the connection over which Stream last looked
	denied   *denials       // what this connection may not ask
	quit     chan struct{}  // closed by Close
	reports  rate.Sometimes // bounds the log lines about what the server says
}

// New starts connecting and returns; it goes on trying for ever. An error means
// that the options cannot work: a bad URL, an unreadable credentials file.
func New(opts Options) (*Publisher, error) {
	p := &Publisher{
		opts:    opts.withDefaults(),
		unacked: map[*nats.Msg]outcome{},
		changed: make(chan struct{}, 1), quit: make(chan struct{}),
		denied:  newDenials(),
		reports: rate.Sometimes{First: 5, Interval: 10 * time.Second},
	}
	p.SetServices(opts.Services)
	p.lookedAt.Store(math.MaxUint64) // at none yet
	p.since.Store(time.Now().UnixNano())
	nc, err := nats.Connect(p.opts.URL, p.connOptions()...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS %s: %w", p.opts.URL, err)
	}
	p.nc = nc
	if p.js, err = p.newJetStream(nc); err != nil {
		nc.Close()
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	p.metrics = newMetrics(p, opts.Registerer)
	if opts.TracerProvider != nil {
		p.tracer = opts.TracerProvider.Tracer("github.com/zenduty-bridge/zenduty-bridge/publisher")
	}
	return p, nil
}

func (p *Publisher) newJetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	return jetstream.New(nc,
		jetstream.WithPublishAsyncTimeout(p.opts.AckTimeout),
		// The relay bounds what is in flight. The client's own bound is 4,000, beyond
		// which a publish waits for 200 ms, and fails.
		jetstream.WithPublishAsyncMaxPending(math.MaxInt32),
		jetstream.WithPublishAsyncAckHandler(p.acked),
		jetstream.WithPublishAsyncErrHandler(p.refused),
		jetstream.WithDefaultTimeout(5*time.Second))
}

// connOptions: a hung server is noticed within 15 s (two pings), a write to one
// does not hold the sender for more than 2 s, and credentials that were revoked
// are tried again until they are back.
func (p *Publisher) connOptions() []nats.Option {
	options := []nats.Option{
		nats.Name("zenduty-bridge"),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		nats.Timeout(2 * time.Second), nats.FlusherTimeout(2 * time.Second), nats.ReconnectOnFlusherError(),
		nats.ConnectHandler(p.connected),
		nats.ReconnectHandler(p.connected),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { p.disconnected(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { p.reported(err) }),
	}
	if p.opts.InProcess != nil {
		options = append(options, nats.InProcessServer(p.opts.InProcess))
	}
	return append(options, p.opts.Auth...)
}

func (p *Publisher) connected(nc *nats.Conn) {
	p.opts.Logger.Info("connected to NATS", "server", nc.ConnectedUrlRedacted(), "cluster", nc.ConnectedClusterName())
	p.denied.forget()
	p.since.Store(time.Now().UnixNano())
	signal(p.changed)
}

func (p *Publisher) disconnected(err error) {
	p.since.Store(time.Now().UnixNano())
	signal(p.changed)
	select {
	case <-p.quit:
	default:
		p.opts.Logger.Warn("disconnected from NATS, webhooks are kept on disk until it is back", "error", err)
	}
}

// reported takes what the server says without being asked. JetStream requests
// that are not permitted are told of in no other way: they are never answered. It
// is told for each publish that is not permitted, and those are tried for ever.
func (p *Publisher) reported(err error) {
	p.denied.note(err)
	p.reports.Do(func() { p.opts.Logger.Warn("NATS reported an error", "error", err) })
}

// SetServices puts others in the place of Options.Services, for what is published from
// then on. The publisher keeps them.
func (p *Publisher) SetServices(aliases map[string]string) { p.services.Store(&aliases) }

// Ready tells whether a message handed to Publish now has a chance: a connection
// to NATS stands.
func (p *Publisher) Ready() bool { return p.nc.IsConnected() }

// connection tells one connection from the next.
func (p *Publisher) connection() uint64 { return p.nc.Stats().Reconnects }

// Changed receives after a connection was made or lost: one signal for any number
// of changes. It has one reader, the relay.
func (p *Publisher) Changed() <-chan struct{} { return p.changed }

// Feed is the subject to subscribe to for every incident: the live feed's, or
// the stream's where there is none.
func (p *Publisher) Feed() string {
	if live := p.opts.Subject.Live(); live != "" {
		return live
	}
	return p.opts.Subject.Wildcard()
}

func signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Close ends the connection. Publishes without an outcome get none but an error
// of class disconnected.
func (p *Publisher) Close() {
	close(p.quit)
	p.nc.Close()
	p.failAll(nats.ErrConnectionClosed)
}

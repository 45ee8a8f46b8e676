package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
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
	opts    Options
	metrics *metrics
	nc      *nats.Conn
	js      jetstream.JetStream

	mu      sync.Mutex
	unacked map[*nats.Msg]outcome // by the message as the client hands it back

	ready   atomic.Bool
	changed chan struct{} // capacity 1: ready has changed
	check   chan struct{} // capacity 1: look at the stream
	quit    chan struct{}
	done    sync.WaitGroup
}

// New starts connecting and returns; it goes on trying for ever. An error means
// that the options cannot work: a bad URL, an unreadable credentials file.
func New(opts Options) (*Publisher, error) {
	p := &Publisher{
		opts:    opts.withDefaults(),
		unacked: map[*nats.Msg]outcome{},
		changed: make(chan struct{}, 1), check: make(chan struct{}, 1), quit: make(chan struct{}),
	}
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
	p.done.Add(1)
	go p.tend()
	return p, nil
}

func (p *Publisher) newJetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	return jetstream.New(nc,
		jetstream.WithPublishAsyncTimeout(p.opts.AckTimeout),
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
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			p.opts.Logger.Warn("NATS reported an error", "error", err)
		}),
	}
	if p.opts.InProcess != nil {
		options = append(options, nats.InProcessServer(p.opts.InProcess))
	}
	return append(options, p.opts.Auth...)
}

func (p *Publisher) connected(nc *nats.Conn) {
	p.opts.Logger.Info("connected to NATS", "server", nc.ConnectedUrlRedacted(), "cluster", nc.ConnectedClusterName())
	signal(p.check)
}

func (p *Publisher) disconnected(err error) {
	p.setReady(false)
	select {
	case <-p.quit:
	default:
		p.opts.Logger.Warn("disconnected from NATS, webhooks are kept on disk until it is back", "error", err)
	}
}

// Ready tells whether a message handed to Publish now has a chance: NATS is
// connected and the stream has been looked after since.
func (p *Publisher) Ready() bool { return p.ready.Load() }

// Changed receives after Ready has changed: one signal for any number of
// changes. It has one reader, the relay.
func (p *Publisher) Changed() <-chan struct{} { return p.changed }

// Feed is the subject to subscribe to for every incident: the live feed's, or
// the stream's where there is none.
func (p *Publisher) Feed() string {
	if live := p.opts.Subject.Live(); live != "" {
		return live
	}
	return p.opts.Subject.Wildcard()
}

// Connected tells whether a connection to NATS stands.
func (p *Publisher) Connected() bool { return p.nc.IsConnected() }

func (p *Publisher) setReady(ready bool) {
	if p.ready.Swap(ready) != ready {
		signal(p.changed)
	}
}

func signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// tend looks after the stream whenever a connection is made or the stream was
// missed, until Close.
func (p *Publisher) tend() {
	defer p.done.Done()
	for {
		select {
		case <-p.quit:
			return
		case <-p.check:
		}
		err := p.ensureStream()
		if err != nil && !errors.Is(err, context.Canceled) {
			p.opts.Logger.Error("stream not as it should be", "stream", p.opts.Stream.Name, "error", err)
		}
		// Even then: who may publish but not manage streams must be let through,
		// and a publish that finds no stream is told so.
		p.setReady(p.Connected())
	}
}

// Close ends the connection. Publishes without an outcome get none but an error
// of class disconnected.
func (p *Publisher) Close() {
	close(p.quit)
	p.nc.Close()
	p.done.Wait()
	p.setReady(false)
	p.failAll(nats.ErrConnectionClosed)
}

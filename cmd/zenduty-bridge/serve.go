package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/admin"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/health"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/ingress"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/config"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
	"github.com/zenduty-bridge/zenduty-bridge/publisher/embedded"
)

// serveCommand runs the bridge until it is told to stop.
type serveCommand struct {
	config.Flags
}

// Run serves until p.ctx ends or the bridge cannot go on.
func (c *serveCommand) Run(p *program) error {
	read := func() reading { return readConfig(c.Flags, p.getenv) }
	first := read()
	if first.err != nil {
		return usageError{first.err}
	}
	log, level := newLogger(p.stderr, first.cfg.Log)
	tuneCollector(p.getenv)
	tracing, err := newTracing(p.getenv, log)
	if err != nil {
		return err
	}
	s, err := startService(first.cfg, log, tracing)
	if err != nil {
		return err
	}
	s.announce()
	go newReloader(s, level, read, first).run(p.ctx, p.hangups)
	return s.run(p.ctx)
}

// usualMemory is what a bridge at work need not exceed.
const usualMemory = 160 << 20

// tuneCollector lets the garbage collector run half as often as Go's default until
// the usual memory is in use, and then as often as that asks for. What the operator
// has set in GOGC or GOMEMLIMIT stays.
func tuneCollector(getenv func(string) (string, bool)) {
	if _, set := getenv("GOGC"); !set {
		debug.SetGCPercent(200)
	}
	if _, set := getenv("GOMEMLIMIT"); !set {
		debug.SetMemoryLimit(usualMemory)
	}
}

// service is a whole running bridge, its parts in the order they are started.
type service struct {
	cfg      config.Config                 // as it was at the start
	live     atomic.Pointer[config.Config] // cfg, but for what was reloaded since
	log      *slog.Logger
	registry *prometheus.Registry
	started  time.Time
	tracing  *sdktrace.TracerProvider // nil without tracing

	certificates certificates
	reloads      *reloadMetrics

	webhooks  *net.TCPListener
	operators net.Listener
	nats      *embedded.Server // nil with an external NATS
	spool     *spool.Spool
	publisher *publisher.Publisher
	probing   publisher.Options // of connections that look after NATS
	bridge    *bridge.Bridge
	replays   *bridge.Replays
	ingress   *ingress.Server
	admin     *admin.Server
	auditor   *health.Auditor

	stopping chan struct{} // closed when readiness ends
	drain    chan struct{} // closed when the relay shall end once nothing is pending
	failures chan error    // of the servers and the relay; one each at most
	relayed  chan struct{} // closed when the relay has ended
	cut      context.CancelFunc
	audited  chan struct{}  // closed when the auditor has ended
	watches  sync.WaitGroup // of certificates
	resign   context.CancelFunc
}

// startService starts every part. On an error it stops those it had started. tracing,
// nil for none, is the service's to end.
func startService(cfg config.Config, log *slog.Logger, tracing *sdktrace.TracerProvider) (*service, error) {
	s := &service{
		cfg: cfg, log: log, registry: newRegistry(), started: time.Now(), tracing: tracing,
		stopping: make(chan struct{}), drain: make(chan struct{}),
		failures: make(chan error, 3), relayed: make(chan struct{}), audited: make(chan struct{}),
	}
	s.live.Store(&cfg)
	s.reloads = newReloadMetrics(s.registry) // before anybody can look
	if err := s.start(); err != nil {
		_ = s.release() // what went wrong first is what to tell
		return nil, err
	}
	return s, nil
}

func (s *service) start() error {
	sources, err := newSources(s.cfg, s.log)
	if err != nil {
		return err
	}
	if s.certificates, err = openCertificates(s.cfg, s.log, s.registry); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.openStores(); err != nil {
		return err
	}
	s.bridge = bridge.New(s.spool, s.publisher, bridgeOptions(s.cfg, s.log, s.registry, s.tracerProvider()))
	if s.replays, err = bridge.NewReplays(s.bridge, s.cfg.Services); err != nil {
		return err
	}
	s.ingress = ingress.New(s.bridge, sources, ingressOptions(s.cfg, s.certificates.ingressTLS(), s.log, s.registry, s.tracerProvider()))
	s.auditor = health.NewAuditor(s.auditorOptions())
	s.admin = admin.New(s.readiness, admin.Options{
		Gatherer: s.registry, OpenMetrics: s.cfg.AdminOpenMetrics, Pprof: s.cfg.AdminPprof, Token: s.cfg.AdminToken.Reveal(),
		Logger: s.log, Registerer: s.registry,
		API: admin.API{Status: s, Webhooks: s.bridge, Quarantine: s.bridge, Audit: s.auditor, Replays: s.replays},
	})
	s.registry.MustRegister(s.readyMetric())
	s.goServe()
	return nil
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "zenduty_bridge_build_info",
		Help: "1, with the version and commit that run.",
	}, []string{"version", "commit"})
	info.WithLabelValues(version, commit()).Set(1)
	r.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// listen takes both ports before anything is opened that would have to be undone.
func (s *service) listen() (err error) {
	if s.webhooks, err = ingress.Listen(s.cfg.Listen); err != nil {
		return fmt.Errorf("listen for webhooks: %w (--listen or ZENDUTY_BRIDGE_LISTEN sets another address)", err)
	}
	if s.operators, err = net.Listen("tcp", s.cfg.AdminListen); err != nil {
		return fmt.Errorf("listen for operators: %w (--admin-listen or ZENDUTY_BRIDGE_ADMIN_LISTEN sets another address)", err)
	}
	s.operators = s.certificates.secureAdmin(s.operators)
	return nil
}

// openStores opens the spool, the embedded NATS if there is to be one, and the
// way there. The spool is first: its lock tells two bridges of one directory.
func (s *service) openStores() (err error) {
	if err := os.MkdirAll(s.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory (--data-dir): %w", err)
	}
	s.spool, err = spool.Open(filepath.Join(s.cfg.DataDir, "spool"), spoolOptions(s.cfg, s.log, s.registry))
	if errors.Is(err, spool.ErrLocked) {
		return fmt.Errorf("%w (stop that bridge, or give this one a --data-dir of its own)", err)
	}
	if err != nil {
		return err
	}
	if s.cfg.NATS.URL == "" {
		if s.nats, err = embedded.Start(embeddedOptions(s.cfg, s.log)); err != nil {
			return fmt.Errorf("%w (set --nats-listen to another address, or --nats-url to a NATS that runs)", err)
		}
	}
	options, err := publisherOptions(s.cfg, s.nats, s.log, s.registry, s.tracerProvider())
	if err != nil {
		return err
	}
	s.probing = options
	s.publisher, err = publisher.New(options)
	return err
}

func (s *service) auditorOptions() health.Options {
	shown := s.certificates.showing()
	checkup := func() checkup {
		return checkup{
			cfg: *s.live.Load(), nats: s.probing, shown: shown, trust: trustShown(shown),
			ingress: scheme(s.certificates.ingress) + "://" + reachable(s.webhooks.Addr().String()),
		}
	}
	return health.Options{
		Audit: func(ctx context.Context) []publisher.Finding { return checkup().audit(ctx) }, Interval: s.cfg.Audit.Interval,
		Canaries: func(ctx context.Context) []publisher.Finding { return checkup().canaries(ctx) }, CanaryInterval: s.cfg.Audit.CanaryInterval,
		Disk: checkup().disk(), Logger: s.log, Registerer: s.registry,
	}
}

// goServe starts the goroutines that work: relay, ingress, admin, auditor, and one for
// each certificate.
func (s *service) goServe() {
	ctx, cut := context.WithCancel(context.Background())
	s.cut = cut
	go func() {
		defer close(s.relayed)
		if err := s.bridge.Run(ctx, s.drain); err != nil {
			s.failures <- err
		}
	}()
	go func() { s.failures <- s.ingress.Serve(s.webhooks) }()
	go func() { s.failures <- s.admin.Serve(s.operators) }()
	watch, resign := context.WithCancel(context.Background())
	s.resign = resign
	go func() {
		defer close(s.audited)
		s.auditor.Run(watch)
	}()
	s.watch(watch)
}

// readiness is nil while a webhook would be taken.
func (s *service) readiness() error {
	select {
	case <-s.stopping:
		return admin.ErrStopping
	default:
		return s.bridge.Admits()
	}
}

// readyMetric is /readyz for those who look at metrics.
func (s *service) readyMetric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "zenduty_bridge_ready",
		Help: "1 while a webhook would be taken.",
	}, func() float64 {
		if s.readiness() != nil {
			return 0
		}
		return 1
	})
}

// announce says what a newcomer needs to know.
func (s *service) announce() {
	for name := range s.cfg.Sources {
		s.announceSource(name)
	}
	where, what := s.cfg.NATS.URL, "external"
	if s.nats != nil {
		where, what = s.nats.URL(), "embedded"
	}
	s.log.Info("publishing to NATS", "nats", what, "url", where, "stream", s.cfg.NATS.Stream.Name, "subscribe_to", s.publisher.Feed())
	s.log.Info("serving operators", "metrics", scheme(s.certificates.admin)+"://"+s.operators.Addr().String()+"/metrics", "ready", "/readyz", "version", version)
}

func (s *service) announceSource(name string) {
	s.log.Info("taking webhooks", "listen", s.webhooks.Addr().String(), "tls", s.certificates.ingress != nil, "url_for_zenduty", "https://<your public host>/webhooks/"+name)
}

// run returns when ctx has ended and everything is closed in order (nil), or when
// the bridge cannot go on.
func (s *service) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		s.log.Info("stopping: finishing what has begun; a second signal leaves at once")
		return s.stop()
	case <-s.spool.Failed():
		return s.abandon(s.spool.Err())
	case err := <-s.failures:
		return s.abandon(err)
	}
}

// stop ends the service so that nothing begun is cut off: not ready, answers until
// senders have turned elsewhere, relay drained for a bounded time, stores closed.
func (s *service) stop() error {
	close(s.stopping)
	s.resign()
	within(time.Second, s.replays.Close)
	i := s.cfg.Ingress
	answered := s.shutdownIngress(i.LameDuck, i.LameDuck+i.BodyTimeout+i.AnswerDeadline)
	close(s.drain)
	select {
	case <-s.relayed:
	case <-time.After(s.cfg.Relay.DrainTimeout):
	}
	s.cut()
	within(time.Second, func() { <-s.relayed; <-s.audited; s.watches.Wait() })
	pending := s.spool.Stats().Pending.Records
	_ = s.shutdown(s.admin.Shutdown, time.Second) // an operator's request may be cut off
	err := s.release()
	s.log.Info("stopped", "pending", pending, "all_answered", answered == nil)
	return err
}

// within waits until all is done that may have to wait for a disk, but no longer: a full
// one is waited for until the spool is closed, and one that does not answer for ever.
func within(limit time.Duration, all func()) {
	done := make(chan struct{})
	go func() { all(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// abandon ends the service after a fault: whoever waits is told to come again,
// and what is on disk is left as it is for the next start.
func (s *service) abandon(cause error) error {
	s.log.Error("the bridge cannot go on", "error", cause)
	close(s.stopping)
	s.resign()
	_ = s.shutdownIngress(0, time.Second)
	return cause
}

func (s *service) shutdownIngress(lameDuck, within time.Duration) error {
	return s.shutdown(func(ctx context.Context) error { return s.ingress.Shutdown(ctx, lameDuck) }, within)
}

func (s *service) shutdown(how func(context.Context) error, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return how(ctx)
}

// release closes what is open, the spool's directory lock last.
func (s *service) release() error {
	if s.publisher != nil {
		s.publisher.Close()
	}
	if s.tracing != nil { // after the last span has ended
		_ = s.shutdown(s.tracing.Shutdown, flushWithin) // a collector that is away has been told of
	}
	if s.nats != nil {
		s.nats.Close()
	}
	if s.webhooks != nil {
		_ = s.webhooks.Close() // closed already by the server that had it
	}
	if s.operators != nil {
		_ = s.operators.Close() // likewise
	}
	if s.spool != nil {
		return s.spool.Close()
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/config"
)

// demoCommand shows what the bridge does, without an account or a NATS.
type demoCommand struct {
	Keep    bool `help:"Then go on until Ctrl-C, for webhooks of your own."`
	NoColor bool `help:"Print without colour. NO_COLOR does it too."`
}

// demoTime is within how long all must have been shown.
const demoTime = 10 * time.Second

// Run starts a bridge in a directory of its own, shows one incident's way through
// it, and leaves nothing behind.
func (c *demoCommand) Run(p *program) (err error) {
	// A closed terminal, or the end of what the output is piped to, must not end
	// the program before it has cleaned up.
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	told, cancel := signal.NotifyContext(p.ctx, syscall.SIGHUP)
	defer cancel()
	dir, err := os.MkdirTemp("", "zenduty-bridge-demo-")
	if err != nil {
		return fmt.Errorf("directory for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	key := rand.Text()
	cfg := demoConfig(dir, key)
	log, _ := newLogger(p.stderr, cfg.Log)
	s, err := startService(cfg, log, nil)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(told)
	ended := make(chan error, 1)
	go func() { // the bridge, which ends the demo if it cannot go on
		err := s.run(ctx)
		stop(err)
		ended <- err
	}()
	shown := c.show(ctx, p, s, key)
	interrupted := told.Err() != nil
	stop(nil)
	if err := <-ended; err != nil {
		return err
	}
	if interrupted { // and thus not finished, which is no fault
		return nil
	}
	return shown
}

// demoConfig is a bridge that keeps to itself.
func demoConfig(dir, key string) config.Config {
	const anyPort = "127.0.0.1:0"
	cfg := config.Default()
	cfg.Listen, cfg.AdminListen, cfg.NATS.Listen = anyPort, anyPort, anyPort
	cfg.DataDir = dir
	cfg.Sources[config.DefaultSource] = config.Source{
		Signature: config.SignatureAuto,
		Keys:      []config.Key{{Name: "demo", Key: config.NewSecret(key)}},
	}
	cfg.Ingress.LameDuck = 0                       // its one sender has done
	cfg.Spool.BallastBytes = spool.MinBallastBytes // quickly made
	cfg.Relay.DrainTimeout = time.Second
	cfg.Audit.Interval = 0
	cfg.Log.Level = slog.LevelWarn
	return cfg
}

// show is the demo on a running bridge.
func (c *demoCommand) show(ctx context.Context, p *program, s *service, key string) error {
	nc, err := nats.Connect(s.nats.URL(), nats.Name("zenduty-bridge demo"))
	if err != nil {
		return fmt.Errorf("connect to the bridge's NATS: %w", err)
	}
	defer nc.Close()
	messages, err := subscribe(nc, []string{s.publisher.Feed()})
	if err != nil {
		return err
	}
	target, err := newTarget("http://"+s.webhooks.Addr().String(), 3*time.Second, 1, nil)
	if err != nil {
		return err
	}
	target.key = key
	t := &tour{
		page:   page{w: p.stdout, paint: p.colorsFor(p.stdout, c.NoColor), unfold: isTerminal(p.stdout), loc: time.Local},
		target: target, nats: nc, messages: messages, service: s,
	}
	timed, cancel := context.WithTimeout(ctx, demoTime)
	defer cancel()
	if err := t.walk(timed); err != nil {
		return err
	}
	if c.Keep {
		return t.stay(ctx)
	}
	return t.tell("Nothing of it is left behind. Your own: ZENDUTY_SIGNING_KEY=<key from Zenduty> zenduty-bridge serve\n")
}

// tour leads a person along an incident's way.
type tour struct {
	page
	target   *target
	nats     *nats.Conn
	messages <-chan *nats.Msg
	service  *service
}

func (t *tour) tell(format string, args ...any) error {
	_, err := fmt.Fprintf(t.w, format, args...)
	return err
}

// leg is what one webhook's way took.
type leg struct {
	event               string
	answered, delivered time.Duration // both from the moment it was posted
}

// walk sends an incident's webhooks and waits for each to come out.
func (t *tour) walk(ctx context.Context) error {
	if err := t.awaitReady(ctx); err != nil {
		return err
	}
	if err := t.tell("A bridge with a NATS server of its own takes webhooks at %s.\nOne incident's three are now posted, signed as Zenduty does, and received on %s at %s.\n\n",
		t.target.url, t.service.publisher.Feed(), t.service.nats.URL()); err != nil {
		return err
	}
	var legs []leg
	example := newIncident(100+mathrand.Int64N(900), "", "", time.Now())
	for w := range example.webhooks(incidentEvents) {
		l, err := t.carry(ctx, len(legs)+1, w)
		if err != nil {
			return err
		}
		legs = append(legs, l)
	}
	if err := t.checkStream(ctx, len(legs)); err != nil {
		return err
	}
	return t.sumUp(legs)
}

// checkStream finds as many messages in the stream as were sent, no more.
func (t *tour) checkStream(ctx context.Context, sent int) error {
	js, err := jetstream.New(t.nats)
	if err != nil {
		return fmt.Errorf("JetStream: %w", err)
	}
	name := t.service.cfg.NATS.Stream.Name
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", name, err)
	}
	if held := stream.CachedInfo().State.Msgs; held != uint64(sent) {
		return fmt.Errorf("stream %s holds %d webhooks, not the %d that were sent", name, held, sent)
	}
	return nil
}

// awaitReady: the first webhook's time is not to hold the making of the stream.
func (t *tour) awaitReady(ctx context.Context) error {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !t.service.publisher.Ready() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the bridge has not made its stream: %w", t.cause(ctx))
		case <-poll.C:
		}
	}
	return nil
}

// carry posts one webhook and shows what arrives.
func (t *tour) carry(ctx context.Context, n int, w webhook) (leg, error) {
	began := time.Now()
	a := t.target.post(ctx, w.body)
	l := leg{event: w.event, answered: time.Since(began)}
	if !a.taken() {
		if ctx.Err() != nil {
			return l, t.cause(ctx)
		}
		return l, fmt.Errorf("the %s webhook was not taken: %s %s", w.event, statusText(a.Status), a.Outcome)
	}
	received, err := t.await(ctx, a.ID)
	if err != nil {
		return l, fmt.Errorf("the %s webhook, answered with 200, did not come out: %w", w.event, err)
	}
	l.delivered = time.Since(began)
	if !bytes.Equal(received.Body, w.body) {
		return l, fmt.Errorf("the %s webhook's bytes were changed on the way", w.event)
	}
	err = t.tell("%d. %s: verified, on disk and answered (%d %s) in %.1f ms; on NATS after %.1f ms:\n\n",
		n, t.paint.event(w.event, w.event), a.Status, a.Outcome, milliseconds(l.answered), milliseconds(l.delivered))
	return l, errors.Join(err, t.block(received))
}

// await returns the webhook of an id.
func (t *tour) await(ctx context.Context, id string) (arrival, error) {
	for {
		select {
		case <-ctx.Done():
			return arrival{}, t.cause(ctx)
		case m := <-t.messages:
			if a := newArrival(m); a.header("ce-id") == id {
				return a, nil
			}
		}
	}
}

// cause is why ctx has ended.
func (t *tour) cause(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("not within %s", demoTime)
	}
	return context.Cause(ctx)
}

func (t *tour) sumUp(legs []leg) error {
	if err := t.tell("All three came out, and each once, their bytes unchanged:\n\n"); err != nil {
		return err
	}
	table := tabwriter.NewWriter(t.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "   event\tanswered\tdelivered")
	for _, l := range legs {
		fmt.Fprintf(table, "   %s\t%.1f ms\t%.1f ms\n", l.event, milliseconds(l.answered), milliseconds(l.delivered))
	}
	fmt.Fprintln(table)
	return table.Flush()
}

// stay shows what comes until ctx ends.
func (t *tour) stay(ctx context.Context) error {
	err := t.tell("The bridge goes on until Ctrl-C. Try, elsewhere:\n\n   zenduty-bridge tail --nats-url %s\n   ZENDUTY_SIGNING_KEY=%s zenduty-bridge send --event %s --url %s\n\n",
		t.service.nats.URL(), t.target.key, eventIncident, t.target.url)
	for err == nil {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case m := <-t.messages:
			err = t.lines(newArrival(m))
		}
	}
	return err
}

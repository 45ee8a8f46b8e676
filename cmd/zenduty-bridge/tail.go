package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zenduty-bridge/zenduty-bridge/config"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// tailCommand prints webhooks from NATS.
type tailCommand struct {
	Event      []string `placeholder:"TYPE" complete:"triggered,acknowledged,resolved" help:"Only this event type, such as triggered; may be repeated."`
	Service    []string `placeholder:"ID" help:"Only this service, by its unique_id, name or alias; may be repeated."`
	Since      moment   `placeholder:"TIME" help:"Begin with what the stream holds since then: a duration such as 2h, or a time such as 2026-01-31T08:00:00Z."`
	Quarantine bool     `help:"Also what could not be keyed, whatever --event and --service say."`
	Count      int      `placeholder:"N" help:"Exit after N webhooks."`
	NoFollow   bool     `help:"With --since: exit after what the stream holds already."`

	JSON    bool `name:"json" xor:"form" help:"Print a line of JSON each, as is done where standard output is no terminal."`
	Pretty  bool `xor:"form" help:"Print for a person, as is done on a terminal."`
	NoColor bool `help:"Print without colour. NO_COLOR does it too."`

	natsFlags
}

// moment is a point in time, as a duration before now or as RFC 3339.
type moment struct{ time.Time }

// UnmarshalText reads a moment.
func (m *moment) UnmarshalText(text []byte) error {
	if d, err := time.ParseDuration(string(text)); err == nil && d > 0 {
		m.Time = time.Now().Add(-d)
		return nil
	}
	if m.Time.UnmarshalText(text) != nil {
		return errors.New("must be a duration above 0 with its unit, such as 90m or 24h, or a time as in RFC 3339, such as 2026-01-31T08:00:00Z")
	}
	return nil
}

// Run prints until p.ctx ends, or as much as was asked for.
func (c *tailCommand) Run(p *program) error {
	switch {
	case c.Count < 0:
		return usageError{errors.New("--count must not be negative")}
	case c.NoFollow && c.Since.IsZero():
		return usageError{errors.New("--no-follow needs --since: without it there is nothing but what comes")}
	}
	cfg, err := c.natsFlags.load(p)
	if err != nil {
		return err
	}
	nc, err := connectNATS(cfg, p.note)
	if err != nil {
		return err
	}
	defer nc.Close()
	f := feed{template: cfg.Subject, events: c.Event, quarantine: c.Quarantine}
	if c.Since.IsZero() {
		return c.live(p, nc, cfg, f)
	}
	return c.history(p, nc, cfg, f)
}

// live prints what is published from now on.
func (c *tailCommand) live(p *program, nc *nats.Conn, cfg config.NATS, f feed) error {
	subjects, err := f.liveSubjects()
	if err != nil {
		return usageError{err}
	}
	messages, err := subscribe(nc, subjects)
	if err != nil {
		return err
	}
	p.note("tailing %s at %s", strings.Join(subjects, ", "), nc.ConnectedUrlRedacted())
	if doubt := doubtLive(p.ctx, nc, cfg.Stream.Name); doubt != "" {
		p.note("%s", doubt)
	}
	out := c.output(p, cfg)
	for {
		select {
		case <-p.ctx.Done():
			return nil
		case m := <-messages:
			if done, err := out.take(newArrival(m)); done || err != nil {
				return err
			}
		}
	}
}

// doubtLive says why nothing may come on the live feed; empty if nothing speaks
// for it, or if this connection may not ask.
func doubtLive(ctx context.Context, nc *nats.Conn, stream string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		return ""
	}
	s, err := js.Stream(ctx, stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Sprintf("there is no stream %s yet, which feeds this; the bridge makes it when it connects (--stream names another)", stream)
	case err == nil && s.CachedInfo().Config.RePublish == nil:
		return fmt.Sprintf("stream %s does not republish, so nothing may come here; --since 1s reads the stream itself", stream)
	}
	return ""
}

// history prints what the stream holds, and what comes.
func (c *tailCommand) history(p *program, nc *nats.Conn, cfg config.NATS, f feed) error {
	subjects, err := f.streamSubjects()
	if err != nil {
		return usageError{err}
	}
	h, err := openHistory(p.ctx, nc, cfg.Stream.Name, subjects, c.Since.Time)
	if err != nil {
		return err
	}
	p.note("tailing stream %s at %s, %d webhooks since %s", cfg.Stream.Name, nc.ConnectedUrlRedacted(), h.pending, c.Since.Format(time.RFC3339))
	if c.NoFollow && h.pending == 0 {
		return nil
	}
	arrivals, failed := make(chan arrival), make(chan error, 1)
	go func() { failed <- h.receive(p.ctx, arrivals) }() // ended by nc.Close at the latest
	out, seen := c.output(p, cfg), uint64(0)
	for {
		select {
		case <-p.ctx.Done():
			return nil
		case err := <-failed:
			if p.ctx.Err() != nil {
				return nil //nolint:nilerr // it failed because it was told to stop
			}
			return fmt.Errorf("read stream %s: %w", cfg.Stream.Name, err)
		case a := <-arrivals:
			seen++
			caughtUp := seen >= h.pending || a.remaining == 0 // some may have expired meanwhile
			if done, err := out.take(a); done || err != nil || c.NoFollow && caughtUp {
				return err
			}
		}
	}
}

// output is what a tail prints and how.
type output struct {
	print    func(arrival) error
	events   []string
	services []string
	template []string // the tokens of the subjects' template
	left     int      // webhooks to print; negative: any number
}

func (c *tailCommand) output(p *program, cfg config.NATS) *output {
	o := &output{
		print:  func(a arrival) error { return printJSON(p.stdout, a) },
		events: c.Event, services: c.Service, template: strings.Split(cfg.Subject, "."), left: c.Count,
	}
	if c.Count == 0 {
		o.left = -1
	}
	if c.Pretty || !c.JSON && isTerminal(p.stdout) {
		o.print = page{w: p.stdout, paint: p.colorsFor(p.stdout, c.NoColor), loc: time.Local}.lines
	}
	return o
}

// take prints an arrival if it is wanted; done means that it was the last.
func (o *output) take(a arrival) (done bool, err error) {
	if !o.wants(a) {
		return false, nil
	}
	if err := o.print(a); err != nil {
		return false, fmt.Errorf("print: %w", err)
	}
	o.left--
	return o.left == 0, nil
}

// wants holds an arrival against --event and --service.
func (o *output) wants(a arrival) bool {
	if a.quarantined() || len(o.events) == 0 && len(o.services) == 0 {
		return true
	}
	g := a.gist()
	return (len(o.events) == 0 || slices.Contains(o.events, g.Event)) &&
		(len(o.services) == 0 || slices.ContainsFunc(o.services, func(s string) bool {
			return s == g.ServiceID || s == g.ServiceName || o.hasService(a.Subject, s)
		}))
}

// hasService tells whether service is in a subject where the template has it:
// there it may be an alias from the bridge's configuration.
func (o *output) hasService(subject, service string) bool {
	tokens := strings.Split(subject, ".")
	i := slices.Index(o.template, "{service}")
	return i >= 0 && i < len(tokens) && tokens[i] == publisher.Token(service)
}

// note tells the user something that is not what was asked for.
func (p *program) note(format string, args ...any) {
	fmt.Fprintf(p.stderr, "zenduty-bridge: "+format+"\n", args...)
}

package health

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// Look returns the findings of some checks. It ends early when ctx does.
type Look func(ctx context.Context) []publisher.Finding

// Options for NewAuditor.
type Options struct {
	Audit    Look          // what is looked at
	Interval time.Duration // between two looks; 0: it is never looked at

	Canaries       Look          // sends them; a finding each
	CanaryInterval time.Duration // likewise

	Disk       Disk
	Logger     *slog.Logger          // default slog.Default
	Registerer prometheus.Registerer // default none
}

// Audit is what was found. Its JSON form is part of the operator's API.
type Audit struct {
	At       time.Time           `json:"at,omitzero"` // of the last look; not there before the first
	Findings []publisher.Finding `json:"findings"`
}

// Auditor looks now and again, logs what changes and keeps what it found.
type Auditor struct {
	opts    Options
	metrics *metrics

	mu     sync.Mutex
	at     time.Time
	found  []publisher.Finding             // by the last look
	canary []publisher.Finding             // by the last canaries
	known  map[identity]*publisher.Finding // what the log tells of
}

// identity is what makes two findings the same one, whatever the figures in them.
type identity struct {
	check, on string
	severity  publisher.Severity
}

func identityOf(f *publisher.Finding) identity { return identity{f.Check, f.On, f.Severity} }

// NewAuditor returns one that has not looked yet.
func NewAuditor(opts Options) *Auditor {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	a := &Auditor{opts: opts, known: map[identity]*publisher.Finding{}}
	a.metrics = newMetrics(a)
	return a
}

// firstLook is how long after Run has begun it looks first. The bridge has connected
// and made the stream by then, if it can.
const firstLook = 2 * time.Second

// Run looks until ctx ends.
func (a *Auditor) Run(ctx context.Context) {
	audit, canary := newSchedule(a.opts.Interval), newSchedule(a.opts.CanaryInterval)
	defer audit.Stop()
	defer canary.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-audit.C:
			a.look(ctx)
			audit.Reset(a.opts.Interval)
		case <-canary.C:
			a.sendCanaries(ctx)
			canary.Reset(a.opts.CanaryInterval)
		}
	}
}

// newSchedule is a timer for the first time; it never fires if there is to be none.
func newSchedule(interval time.Duration) *time.Timer {
	if interval == 0 {
		t := time.NewTimer(time.Hour)
		t.Stop()
		return t
	}
	return time.NewTimer(min(interval, firstLook))
}

func (a *Auditor) look(ctx context.Context) {
	found := a.opts.Audit(ctx)
	if ctx.Err() != nil {
		return // what was not answered for that reason is no finding
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at, a.found = time.Now(), found
	a.metrics.lastRun.SetToCurrentTime()
	a.tell(found)
}

func (a *Auditor) sendCanaries(ctx context.Context) {
	found := a.opts.Canaries(ctx)
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.canary = found
	well := true
	for _, f := range found {
		well = well && f.Severity == publisher.SeverityOK
		if f.Severity == publisher.SeverityError {
			a.metrics.canaryFailures.Inc()
		}
	}
	if well {
		a.metrics.canarySuccess.SetToCurrentTime()
	}
	a.tell(found)
}

// tell logs what is new and what is over. A check that could not be made, because NATS
// is away say, leaves what is known of it as it was. mu is held.
func (a *Auditor) tell(found []publisher.Finding) {
	looked, bad := map[string]bool{}, map[identity]bool{}
	for i := range found {
		f := &found[i]
		looked[f.Check] = true
		if f.Severity == publisher.SeverityOK {
			continue
		}
		bad[identityOf(f)] = true
		if a.known[identityOf(f)] == nil {
			a.known[identityOf(f)] = f
			a.opts.Logger.Log(context.Background(), level(f.Severity), "audit: "+f.What, "check", f.Check, "why", f.Why, "remedy", f.Remedy)
		}
	}
	for id := range a.known {
		if looked[id.check] && !bad[id] {
			a.opts.Logger.Info("audit: it is mended", "check", id.check, "was", a.known[id].What)
			delete(a.known, id)
		}
	}
}

func level(s publisher.Severity) slog.Level {
	if s == publisher.SeverityError {
		return slog.LevelError
	}
	return slog.LevelWarn
}

// Audit returns what was found last. It does not look.
func (a *Auditor) Audit(context.Context) (Audit, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Audit{At: a.at, Findings: append(append([]publisher.Finding{}, a.found...), a.canary...)}, nil
}

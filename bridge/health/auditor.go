package health

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
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
	unknown   bool
}

func identityOf(f *publisher.Finding) identity {
	return identity{f.Check, f.On, f.Severity, f.Unknown}
}

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
	a.at, a.found = time.Now(), slices.Concat(found, a.tell(found))
	a.metrics.lastRun.SetToCurrentTime()
}

func (a *Auditor) sendCanaries(ctx context.Context) {
	found := a.opts.Canaries(ctx)
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.canary = slices.Concat(found, a.tell(found))
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
}

// tell logs what is new and what is over. A check that could not be made, because NATS
// is away say, leaves what is known of it as it was: that is what it returns, of checks
// of which found says so. mu is held.
func (a *Auditor) tell(found []publisher.Finding) (kept []publisher.Finding) {
	bad := map[identity]bool{}
	for i := range found {
		f := &found[i]
		if f.Severity == publisher.SeverityOK {
			continue
		}
		bad[identityOf(f)] = true
		if a.known[identityOf(f)] == nil {
			a.known[identityOf(f)] = f
			a.opts.Logger.Log(context.Background(), level(f.Severity), "audit: "+f.What, "check", f.Check, "why", f.Why, "remedy", f.Remedy)
		}
	}
	for id, f := range a.known {
		outcome := outcomeOf(f, found)
		switch {
		case bad[id] || outcome == notMade:
		case outcome == undecided:
			kept = append(kept, *f)
		default:
			a.opts.Logger.Info("audit: it is mended", "check", id.check, "was", f.What)
			delete(a.known, id)
		}
	}
	slices.SortFunc(kept, func(f, g publisher.Finding) int {
		return cmp.Or(cmp.Compare(f.Check, g.Check), cmp.Compare(f.On, g.On), cmp.Compare(f.Severity, g.Severity))
	})
	return kept
}

// outcome is what a look tells of something known.
type outcome int

const (
	notMade   outcome = iota // nothing: the check is not among its findings
	undecided                // that the check could not be made
	made                     // whatever its findings say
)

// outcomeOf matches by check, and by On: a check may be made of one source and not of
// another. Where it was not made at all, the finding has no On.
func outcomeOf(known *publisher.Finding, found []publisher.Finding) outcome {
	result := notMade
	for i := range found {
		f := &found[i]
		switch {
		case f.Check != known.Check:
		case known.Unknown: // why it could not be made is no longer so
			return made
		case f.Unknown && (f.On == known.On || f.On == ""):
			return undecided
		case f.Unknown:
			result = max(result, undecided)
		default:
			result = made
		}
	}
	return result
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

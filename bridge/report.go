package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// Report is what the bridge holds and does at a moment. Its JSON form is part of the
// operator's API.
type Report struct {
	Spool       SpoolReport `json:"spool"`
	Relay       RelayReport `json:"relay"`
	LastWebhook *Held       `json:"last_webhook,omitempty"` // the newest that is held, canaries aside
}

// SpoolReport is what is on disk.
type SpoolReport struct {
	Pending       Tally     `json:"pending"`
	Retained      Tally     `json:"retained"`
	Quarantined   Tally     `json:"quarantined"`
	Bytes         int64     `json:"bytes"` // of all of them
	MaxBytes      int64     `json:"max_bytes"`
	OldestPending time.Time `json:"oldest_pending,omitzero"` // when it was received
	Refuses       string    `json:"refuses,omitempty"`       // why no webhook would be taken now
}

// Tally counts webhooks and their bytes.
type Tally struct {
	Webhooks int64 `json:"webhooks"`
	Bytes    int64 `json:"bytes"`
}

// RelayReport is what is under way between the spool and JetStream.
type RelayReport struct {
	InFlight         int       `json:"in_flight"`       // sent, without an outcome yet
	Waits            *Wait     `json:"waits,omitempty"` // what keeps it from delivering all
	Acknowledged     uint64    `json:"acknowledged"`    // by JetStream, since the bridge was started
	LastAcknowledged time.Time `json:"last_acknowledged,omitzero"`
	Recent           Flow      `json:"recent"`
}

// Wait is what the relay waits for.
type Wait struct {
	For   string    `json:"for"` // connection, stream or acknowledgement
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// What a relay waits for.
const (
	ForConnection      = "connection"      // to NATS
	ForStream          = "stream"          // the look into it that comes before sending
	ForAcknowledgement = "acknowledgement" // publishes fail, and are tried again
)

// noConnection is why nothing can be sent while the publisher is not ready.
const noConnection = "there is no connection to NATS"

// Flow is what JetStream acknowledged within the last Seconds.
type Flow struct {
	Seconds      float64 `json:"seconds"` // 60, or less while the bridge is young
	Acknowledged uint64  `json:"acknowledged"`
	PerSecond    float64 `json:"per_second"`
	MeanLag      float64 `json:"mean_lag_seconds"` // from arrival to acknowledgement
	MaxLag       float64 `json:"max_lag_seconds"`
}

// Report looks. It waits for nobody: neither for NATS nor for the relay.
func (b *Bridge) Report(ctx context.Context) (Report, error) {
	stats := b.spool.Stats()
	r := Report{Spool: SpoolReport{
		Pending: Tally{stats.Pending.Records, stats.Pending.Bytes}, Retained: Tally{stats.Retained.Records, stats.Retained.Bytes},
		Quarantined: Tally{stats.Quarantined.Records, stats.Quarantined.Bytes},
		Bytes:       stats.Bytes(), MaxBytes: b.spool.MaxBytes(),
	}}
	if err := b.Admits(); err != nil {
		r.Spool.Refuses = err.Error()
	}
	oldest, pending, err := b.spool.OldestPending()
	if err == nil && pending {
		r.Spool.OldestPending = oldest
	}
	r.Relay = b.view.report(b.started, time.Now())
	return r, errors.Join(err, b.lastWebhook(ctx, &r))
}

func (b *Bridge) lastWebhook(ctx context.Context, r *Report) error {
	return b.spool.Newest(ctx, func(h spool.Held) bool {
		if h.Key == canaryKey {
			return true
		}
		held := b.describe(h)
		r.LastWebhook = &held
		return false
	})
}

// view is what the relay shows of itself, so that nobody has to ask its goroutine,
// which may be busy.
type view struct {
	mu               sync.Mutex
	inFlight         int
	waits            *Wait // replaced, never changed
	acknowledged     uint64
	lastAcknowledged time.Time
	flow             flow
}

// show is called before the relay does something that may take long, and when it
// goes to rest.
func (r *relay) show(now time.Time) {
	v := &r.view
	v.mu.Lock()
	defer v.mu.Unlock()
	v.inFlight = r.inFlight
	if waits := r.waits(now); waits == nil || v.waits == nil || waits.For != v.waits.For {
		v.waits = waits
	} else {
		v.waits = &Wait{For: waits.For, Since: v.waits.Since, Why: waits.Why}
	}
}

// waits is what stands in the way, the first thing first; since now, unless it was
// seen before.
func (r *relay) waits(now time.Time) *Wait {
	switch {
	case !r.publisher.Ready():
		return &Wait{For: ForConnection, Since: now, Why: noConnection}
	case r.lookups.failures > 0:
		return &Wait{For: ForStream, Since: now, Why: r.outage.last.Error()}
	case !r.reconciled:
		return &Wait{For: ForStream, Since: now, Why: fmt.Sprintf("what it holds is compared with what is in stream %s", r.publisher.StreamName())}
	case !r.outage.since.IsZero() && r.lanes.records > 0:
		return &Wait{For: ForAcknowledgement, Since: r.outage.since, Why: r.outage.last.Error()}
	}
	return nil
}

// delivered notes an acknowledgement.
func (v *view) delivered(now time.Time, lag time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.acknowledged++
	v.lastAcknowledged = now
	v.flow.add(now, lag)
}

func (v *view) report(started, now time.Time) RelayReport {
	v.mu.Lock()
	defer v.mu.Unlock()
	return RelayReport{
		InFlight: v.inFlight, Waits: v.waits,
		Acknowledged: v.acknowledged, LastAcknowledged: v.lastAcknowledged, Recent: v.flow.within(started, now),
	}
}

// flow counts acknowledgements by the second, for the last of them.
type flow [flowSeconds]flowSecond

const flowSeconds = 60

type flowSecond struct {
	unix     int64 // which second
	count    uint64
	sum, max time.Duration // of the lags
}

func (f *flow) add(now time.Time, lag time.Duration) {
	s := &f[now.Unix()%flowSeconds]
	if s.unix != now.Unix() {
		*s = flowSecond{unix: now.Unix()}
	}
	s.count++
	s.sum += lag
	s.max = max(s.max, lag)
}

func (f *flow) within(started, now time.Time) Flow {
	var sum, longest time.Duration
	flow := Flow{Seconds: min(now.Sub(started).Seconds(), flowSeconds)}
	for _, s := range f {
		if s.unix > now.Unix()-flowSeconds {
			flow.Acknowledged += s.count
			sum += s.sum
			longest = max(longest, s.max)
		}
	}
	if flow.Acknowledged > 0 {
		flow.PerSecond = float64(flow.Acknowledged) / max(flow.Seconds, 1)
		flow.MeanLag, flow.MaxLag = sum.Seconds()/float64(flow.Acknowledged), longest.Seconds()
	}
	return flow
}

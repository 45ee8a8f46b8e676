package bridge

import (
	"errors"
	"sync"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// outcome is what became of a lane's head after it was sent.
type outcome struct {
	lane      *lane
	canary    *spool.Ref // set for a canary, which has no lane
	ack       publisher.Ack
	err       *publisher.Error
	unkeyable bool

	traceparent string // of the message
}

// outcomes is where the publisher's goroutines leave outcomes, at most a window.
type outcomes struct {
	mu   sync.Mutex
	list []outcome
	wake chan struct{} // capacity 1
}

func (o *outcomes) put(one outcome) {
	o.mu.Lock()
	o.list = append(o.list, one)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outcomes) take() []outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.list
	o.list = nil
	return list
}

// settle notes outcomes in the spool and lets their lanes go on.
func (r *relay) settle() error {
	now := time.Now()
	var acked, quarantined []spool.Settlement
	for _, o := range r.outcomes.take() {
		r.inFlight--
		switch {
		case o.canary != nil:
			acked = append(acked, r.canarySent(o, now))
		case o.err == nil && !o.unkeyable:
			acked = append(acked, r.delivered(o, now))
		case o.err == nil || o.err.Permanent:
			quarantined = append(quarantined, r.quarantined(o, now))
		default:
			r.failed(o, now)
		}
	}
	return errors.Join(r.noteAcked(acked), r.noteQuarantined(quarantined))
}

func (r *relay) noteAcked(acked []spool.Settlement) error {
	if len(acked) == 0 {
		return nil
	}
	return r.spool.Ack(acked, r.stream.mark())
}

func (r *relay) noteQuarantined(quarantined []spool.Settlement) error {
	if len(quarantined) == 0 {
		return nil
	}
	return r.spool.Quarantine(quarantined)
}

// failed is for what may pass: the lane waits and tries again.
func (r *relay) failed(o outcome, now time.Time) {
	r.outage.failed(r.opts.Logger, now, o.err)
	o.lane.unknown = o.err.Uncertain
	o.lane.unsure = o.lane.unsure || o.err.Uncertain
	if !o.lane.unsure {
		o.lane.sentAt = time.Time{} // JetStream said no, and each time
	}
	if o.err.Reason == publisher.ReasonNoStream {
		r.reconciled = false // it may come back as another
	}
	r.lanes.postpone(o.lane, now.Add(r.backoff(o.lane.attempts)))
}

func (r *relay) delivered(o outcome, now time.Time) spool.Settlement {
	r.outage.over(r.opts.Logger, now)
	r.seen(o)
	ref := o.lane.head()
	r.observeLag(now.Sub(ref.Received), o.traceparent)
	r.view.delivered(now, now.Sub(ref.Received))
	d := delivery{Ack: o.ack, Attempts: o.lane.attempts}
	r.lanes.advance(o.lane)
	return spool.Settlement{Ref: ref, At: now, Note: d.encode()}
}

// quarantined is for what JetStream will never take, and for what could not be
// keyed and has been published as such.
func (r *relay) quarantined(o outcome, now time.Time) spool.Settlement {
	ref := o.lane.head()
	d := delivery{Ack: o.ack, Attempts: o.lane.attempts, Reason: "cannot be keyed"}
	if o.err != nil {
		d.Reason = o.err.Error()
	} else {
		r.seen(o)
	}
	r.opts.Logger.Error("webhook quarantined", "id", idText(ref.ID), "seq", ref.Seq, "reason", d.Reason)
	r.lanes.advance(o.lane)
	return spool.Settlement{Ref: ref, At: now, Note: d.encode()}
}

// setAside quarantines the head of a lane that could not be read.
func (r *relay) setAside(l *lane, cause error) error {
	ref := l.head()
	r.opts.Logger.Error("webhook quarantined", "id", idText(ref.ID), "seq", ref.Seq, "reason", cause)
	d := delivery{Reason: cause.Error()}
	r.lanes.advance(l)
	return r.spool.Quarantine([]spool.Settlement{{Ref: ref, At: time.Now(), Note: d.encode()}})
}

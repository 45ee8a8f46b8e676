package bridge

import (
	"errors"
	"strings"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// CanaryEvent is the event type of a canary: a webhook that an operator's own tools
// post, signed like any other, to see it come out of JetStream. It is taken and put on
// disk like any other too; but it is sent once, when nothing stands in the way, and
// whatever comes of that ends it. So it holds up no webhook, is never quarantined and
// never healed, and is old after canaryLife.
const CanaryEvent = "zenduty-bridge.canary"

// canaryLife is how long after its arrival a canary is sent.
const canaryLife = 10 * time.Second

// canaryKey is the ordering key of canaries, and of nothing else.
const canaryKey uint64 = 0x63_61_6e_61_72_79

// canaryNote begins the Reason of a canary's delivery.
const canaryNote = "canary"

func (e *envelope) canary() bool { return e.Unkeyable == "" && e.EventType == CanaryEvent }

func (d *delivery) canary() bool { return strings.HasPrefix(d.Reason, canaryNote) }

// sendCanaries sends those that are loaded, or ends them if they are old.
func (r *relay) sendCanaries(now time.Time) error {
	var ended []spool.Settlement
	for len(r.canaries) > 0 {
		ref := r.canaries[0]
		old := !now.Before(canaryEnd(ref))
		if !old && (!r.reconciled || !r.publisher.Ready()) {
			break
		}
		r.canaries = r.canaries[1:]
		if old {
			ended = append(ended, r.endCanary(ref, publisher.Ack{}, errCanaryOld, now))
			continue
		}
		record, err := r.spool.Read(ref.Seq)
		message, err := newMessage(ref, record, err)
		switch {
		case errors.Is(err, errUnreadable):
			ended = append(ended, r.endCanary(ref, publisher.Ack{}, err, now))
			continue
		case err != nil:
			return err
		}
		r.inFlight++
		r.publisher.Publish(message, func(ack publisher.Ack, err *publisher.Error) {
			r.outcomes.put(outcome{canary: &ref, ack: ack, err: err})
		})
	}
	return r.noteAcked(ended)
}

var errCanaryOld = errors.New("the way to JetStream was not free for " + canaryLife.String())

func canaryEnd(ref spool.Ref) time.Time { return ref.Received.Add(canaryLife) }

// canarySent is for one that was sent, whatever came of it.
func (r *relay) canarySent(o outcome, now time.Time) spool.Settlement {
	if o.err != nil {
		return r.endCanary(*o.canary, publisher.Ack{}, o.err, now)
	}
	return r.endCanary(*o.canary, o.ack, nil, now)
}

// endCanary is done with it: on disk it becomes history, with the reason if it failed.
func (r *relay) endCanary(ref spool.Ref, ack publisher.Ack, failure error, now time.Time) spool.Settlement {
	d := delivery{Ack: ack, Attempts: 1, Reason: canaryNote}
	if failure != nil {
		d.Reason += ": " + failure.Error()
		r.opts.Logger.Warn("canary did not reach JetStream", "id", idText(ref.ID), "error", failure)
	}
	return spool.Settlement{Ref: ref, At: now, Note: d.encode()}
}

package bridge

import (
	"context"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// heal makes pending again what was acknowledged and is no longer in the stream:
// the stream is another one than the receipts are of (deleted and made again, or
// its server's store wiped), or its last sequence number has fallen (rolled back
// to an older copy). What was removed by limits, purged or deleted is no loss:
// that does not lower the last sequence number.
func (r *relay) heal(ctx context.Context, state publisher.StreamState) (healed bool, err error) {
	sameStream := r.stream.Created.Equal(state.Created)
	switch {
	case r.stream.Created.IsZero():
		r.stream = streamMark{Created: state.Created}
		return false, r.spool.SetMark(r.stream.mark())
	case sameStream && state.Last >= r.stream.Highest:
		return false, nil
	}
	survived := uint64(0) // the highest sequence number that is still the same message
	if sameStream {
		survived = state.Last
	}
	count, err := r.requeueLost(ctx, survived, state)
	if err != nil {
		return false, err
	}
	r.opts.Logger.Warn("the stream has lost acknowledged webhooks, sending them again", "webhooks", count,
		"stream_recreated", !sameStream, "last_sequence", state.Last, "acknowledged_up_to", r.stream.Highest)
	r.healed.Add(float64(count))
	r.stream = streamMark{Created: state.Created, Highest: survived}
	return true, r.spool.SetMark(r.stream.mark())
}

// requeueLost goes through all that has receipts: the history, and what could not
// be keyed and was published as such.
func (r *relay) requeueLost(ctx context.Context, survived uint64, state publisher.StreamState) (count int, err error) {
	for _, list := range []listing{r.spool.Retained, r.spool.Quarantined} {
		n, err := r.requeueLostOf(ctx, list, survived, state)
		count += n
		if err != nil {
			return count, err
		}
	}
	return count, nil
}

// listing is one of the spool's lists of settled records.
type listing func(from uint64, each func(spool.Settled) bool) error

func (r *relay) requeueLostOf(ctx context.Context, list listing, survived uint64, state publisher.StreamState) (count int, err error) {
	for from, more := uint64(0), true; more; {
		var group []spool.Ref
		if group, from, more, err = lostGroup(list, from, survived); err != nil {
			return count, err
		}
		lost, err := r.notInStream(ctx, group, survived, state)
		if err != nil {
			return count, err
		}
		if err := r.spool.Requeue(lost); err != nil {
			return count, err
		}
		count += len(lost)
	}
	return count, nil
}

// lostGroup reads up to lookupGroup records of a list whose receipt is above
// survived, and where to go on.
func lostGroup(list listing, from, survived uint64) (group []spool.Ref, next uint64, more bool, err error) {
	next = from
	err = list(from, func(s spool.Settled) bool {
		next = s.Seq + 1
		if d, err := decodeDelivery(s.Note); err == nil && d.Ack.Sequence > survived {
			group = append(group, s.Ref)
		}
		more = len(group) == lookupGroup
		return !more
	})
	return group, next, more, err
}

// notInStream leaves out what somebody has put there again, so that just what is
// missing is sent.
func (r *relay) notInStream(ctx context.Context, group []spool.Ref, survived uint64, state publisher.StreamState) ([]spool.Ref, error) {
	if len(group) == 0 || state.Last <= survived {
		return group, nil
	}
	found, err := r.find(ctx, group, survived)
	if err != nil {
		return nil, err
	}
	lost := group[:0]
	for _, ref := range group {
		if _, ok := found[idText(ref.ID)]; !ok {
			lost = append(lost, ref)
		}
	}
	return lost, nil
}

package bridge

import (
	"context"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// heal makes pending again what was acknowledged and is no longer in the stream:
// the stream is another one than the receipts are of (deleted and made again, or
// its server's store wiped), or it was rolled back to an older copy, also if
// somebody else has published into it since. What was removed by limits, purged or
// deleted is no loss: that leaves the numbers of the other messages as they are.
func (r *relay) heal(ctx context.Context, state publisher.StreamState) error {
	if r.stream.Created.IsZero() {
		r.stream = streamMark{Created: state.Created}
		return r.spool.SetMark(r.stream.mark())
	}
	recreated := !r.stream.Created.Equal(state.Created)
	var survived receipt // the highest that still is of the same message
	if !recreated {
		intact, err := r.intact(ctx, state)
		if intact || err != nil {
			return err
		}
		if survived, err = r.survived(ctx, state); err != nil {
			return err
		}
	}
	r.requeued = true // if only in part, should this fail
	count, err := r.requeueLost(ctx, survived.sequence)
	if err != nil {
		return err
	}
	r.opts.Logger.Warn("the stream has lost acknowledged webhooks, sending them again", "webhooks", count,
		"stream_recreated", recreated, "last_sequence", state.Last, "acknowledged_up_to", r.stream.Highest)
	r.healed.Add(float64(count))
	r.stream = streamMark{Created: state.Created, Highest: survived.sequence, ID: survived.ID}
	return r.spool.SetMark(r.stream.mark())
}

// intact tells whether the stream goes as far as the receipts do, and the last of
// them still is of the message it was given for.
func (r *relay) intact(ctx context.Context, state publisher.StreamState) (bool, error) {
	if state.Last < r.stream.Highest || r.stream.ID == (spool.ID{}) {
		return state.Last >= r.stream.Highest, nil
	}
	same, err := r.holds(ctx, r.stream.Highest, r.stream.ID)
	return same != different, err
}

// identity is what a look at one place of the stream tells.
type identity int

const (
	absent identity = iota // no message has that number: removed
	equal
	different
)

func (r *relay) holds(ctx context.Context, sequence uint64, id spool.ID) (identity, error) {
	there, err := r.publisher.IDAt(ctx, sequence)
	switch {
	case err != nil:
		return absent, &lookupError{err}
	case there == "":
		return absent, nil
	case there == idText(id):
		return equal, nil
	}
	return different, nil
}

// survived finds up to where the stream still has what it acknowledged. Mostly
// that is the highest receipt that its numbers reach; if somebody else's message
// has that number, all of the history is looked for.
func (r *relay) survived(ctx context.Context, state publisher.StreamState) (highest receipt, err error) {
	removed := receipt{sequence: state.First - 1} // up to here limits removed all
	top := removed
	err = r.receiptGroups(removed.sequence, func(group []receipt) error {
		for _, one := range group {
			if one.sequence <= state.Last && one.sequence > top.sequence {
				top = one
			}
		}
		return nil
	})
	if err != nil || top == removed {
		return removed, err
	}
	if same, err := r.holds(ctx, top.sequence, top.ID); same == equal || err != nil {
		return top, err
	}
	highest = removed
	err = r.receiptGroups(removed.sequence, func(group []receipt) error {
		found, err := r.find(ctx, refsOf(group), removed.sequence)
		for _, one := range group {
			if found[idText(one.ID)] == one.sequence && one.sequence > highest.sequence {
				highest = one
			}
		}
		return err
	})
	return highest, err
}

// requeueLost makes pending again what has a receipt above survived and is not in
// the stream. What somebody has put there again gets the receipt of that.
func (r *relay) requeueLost(ctx context.Context, survived uint64) (count int, err error) {
	err = r.receiptGroups(survived, func(group []receipt) error {
		refs := refsOf(group)
		found, err := r.settleFound(ctx, refs, survived)
		if err != nil {
			return err
		}
		lost := refs[:0]
		for _, ref := range refs {
			if _, ok := found[idText(ref.ID)]; !ok {
				lost = append(lost, ref)
			}
		}
		requeued, err := r.spool.Requeue(lost)
		count += requeued
		return err
	})
	return count, err
}

// receipt is a settled record and the sequence number that JetStream gave it.
type receipt struct {
	spool.Ref
	sequence uint64
}

func refsOf(group []receipt) []spool.Ref {
	refs := make([]spool.Ref, len(group))
	for i, one := range group {
		refs[i] = one.Ref
	}
	return refs
}

// listing is one of the spool's lists of settled records.
type listing func(from uint64, each func(spool.Settled) bool) error

// receiptGroups calls each for all receipts above a sequence number, of the history
// and of what could not be keyed and was published as such; in groups, so that each
// may change what is listed, and a long history takes little memory.
func (r *relay) receiptGroups(above uint64, each func([]receipt) error) error {
	for _, list := range []listing{r.spool.Retained, r.spool.Quarantined} {
		for from, more := uint64(0), true; more; {
			var group []receipt
			err := list(from, func(s spool.Settled) bool {
				from = s.Seq + 1
				if d, err := decodeDelivery(s.Note); err == nil && d.Ack.Sequence > above && !d.canary() {
					group = append(group, receipt{s.Ref, d.Ack.Sequence})
				}
				return len(group) < lookupGroup
			})
			if err != nil {
				return err
			}
			if more = len(group) == lookupGroup; len(group) == 0 {
				break
			}
			if err := each(group); err != nil {
				return err
			}
		}
	}
	return nil
}

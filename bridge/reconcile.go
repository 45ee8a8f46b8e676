package bridge

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// Before anything is sent over a connection, and before something is sent again
// that JetStream may no longer know, the relay reconciles what it holds with what
// the stream has:
//
//   - messages that were acknowledged and that the stream has lost are pending
//     again (heal);
//   - pending records that may have been sent and have no outcome are looked for in
//     the stream, and those that are there are settled (lookUp).
//
// JetStream's duplicate window alone would not do, however young an attempt is: a
// server that hangs takes the next one when it goes on, and has forgotten the
// message's id by then.

// retry spaces attempts.
type retry struct {
	failures int
	due      time.Time
}

// mayReconcile: not while something is in flight whose outcome would change the
// picture. Those outcomes come by themselves.
func (r *relay) mayReconcile() bool {
	return !r.reconciled && r.inFlight == 0 && r.publisher.Ready()
}

// reconcile tries for ever, as publishing does: to go on without would be to risk
// a webhook twice.
func (r *relay) reconcile(ctx context.Context) error {
	now := time.Now()
	if !r.mayReconcile() || now.Before(r.lookups.due) {
		return nil
	}
	err := r.compare(ctx, now)
	var failed *lookupError
	switch {
	case errors.Is(err, publisher.ErrNoRights):
		r.opts.Logger.Warn("not permitted to look into the stream: a webhook whose acknowledgement was lost for longer than the duplicate window may be published twice")
		r.forget()
	case errors.As(err, &failed):
		r.outage.failed(r.opts.Logger, now, failed.error)
		r.lookups.failures++
		r.lookups.due = now.Add(r.backoff(uint64(r.lookups.failures)))
		return nil
	case err != nil:
		return err
	}
	r.reconciled, r.restarted, r.lookups, r.watched = true, false, retry{}, now
	return nil
}

// watchEvery is how often a relay with nothing in flight looks whether the stream is
// still the one that it knows. Nobody tells it when that is made anew or rolled back on
// a connection that stands; and the next acknowledgement tells by its number, but not if
// others have published more into it by then.
const watchEvery = time.Minute

func (r *relay) mayWatch() bool {
	return r.reconciled && r.inFlight == 0 && r.publisher.Ready()
}

// watch compares without a cause. Should that fail, it stands in the way of nothing.
func (r *relay) watch(ctx context.Context) error {
	now := time.Now()
	if !r.mayWatch() || now.Before(r.watched.Add(watchEvery)) {
		return nil
	}
	err := r.compare(ctx, now)
	r.watched = time.Now()
	var failed *lookupError
	if !errors.As(err, &failed) {
		return err
	}
	r.reconciled = !r.requeued
	return nil
}

// lookupError is an error of the stream's, to be tried again; the spool's are not.
type lookupError struct{ error }

func (e *lookupError) Unwrap() error { return e.error }

// compare heals and looks up as far as that is called for.
func (r *relay) compare(ctx context.Context, now time.Time) error {
	state, err := r.publisher.Stream(ctx)
	if err != nil {
		return &lookupError{err}
	}
	r.window = state.DuplicateWindow
	if err := r.heal(ctx, state); err != nil {
		return err
	}
	if !r.requeued && !r.unsure(now) {
		return nil
	}
	if err := r.lookUp(ctx, state); err != nil {
		return err
	}
	r.forget()
	return nil
}

// unsure tells whether something may have been sent that has to be looked for.
func (r *relay) unsure(now time.Time) bool {
	if r.restarted {
		return true
	}
	for _, l := range r.lanes.byKey {
		if r.mustLook(l, now) {
			return true
		}
	}
	return false
}

// mustLook tells whether a lane's head may be in the stream without the stream
// knowing its id: its last attempt had no outcome, or an earlier one had none, and
// the window is half over. The other half is left for the way there.
func (r *relay) mustLook(l *lane, now time.Time) bool {
	since, _ := r.uncertain(l)
	return l.unknown || r.window > 0 && !since.IsZero() && now.Sub(since) >= r.window/2
}

// uncertain is since when the head of l may have got into the stream, and above
// which sequence number; zero if it surely is not there. What a look-up did not
// find may still have been on its way.
func (r *relay) uncertain(l *lane) (since time.Time, floor uint64) {
	if l.sentAt.IsZero() && l.head().Seq <= r.looked.upTo {
		return r.looked.at, r.looked.floor
	}
	return l.sentAt, l.floor
}

// looked is the last look-up: pending records up to upTo were not stored before
// at, when the stream's last sequence number was floor.
type looked struct {
	upTo  uint64
	at    time.Time
	floor uint64
}

// lookUp finds those among the pending records that may have been sent which are
// in the stream, and settles them. What is not there has not been stored, and may
// be sent.
func (r *relay) lookUp(ctx context.Context, state publisher.StreamState) error {
	floor := r.sent.Floor
	if !r.sent.Created.Equal(state.Created) {
		floor = 0 // another stream: its numbers began anew
	}
	r.looked = looked{at: time.Now(), floor: state.Last}
	for from := uint64(0); from <= r.sent.Seq; {
		refs, err := r.spool.Pending(nil, from, lookupGroup)
		if err != nil {
			return err
		}
		refs = slices.DeleteFunc(refs, func(ref spool.Ref) bool { return ref.Seq > r.sent.Seq })
		if len(refs) == 0 {
			break
		}
		r.looked.upTo = refs[len(refs)-1].Seq
		from = r.looked.upTo + 1
		if _, err := r.settleFound(ctx, refs, floor); err != nil {
			return err
		}
	}
	r.sent.Floor, r.sent.Created = state.Last, state.Created
	return r.spool.SetMark(r.sent.mark())
}

// lookupGroup bounds the memory of a look-up.
const lookupGroup = 1 << 16

// settleFound settles those of refs that the stream has above floor, and returns
// their sequence numbers by id.
func (r *relay) settleFound(ctx context.Context, refs []spool.Ref, floor uint64) (map[string]uint64, error) {
	found, err := r.find(ctx, refs, floor)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	now := time.Now()
	var acked, quarantined []spool.Settlement
	for _, ref := range refs {
		sequence, ok := found[idText(ref.ID)]
		if !ok {
			continue
		}
		r.stream.reach(sequence, ref.ID)
		d := delivery{Ack: publisher.Ack{Stream: r.publisher.StreamName(), Sequence: sequence, Duplicate: true}}
		switch {
		case r.unkeyable(ref):
			d.Reason = "cannot be keyed"
			quarantined = append(quarantined, spool.Settlement{Ref: ref, At: now, Note: d.encode()})
			continue
		case ref.Key == canaryKey:
			d.Reason = canaryNote
		}
		acked = append(acked, spool.Settlement{Ref: ref, At: now, Note: d.encode()})
	}
	return found, errors.Join(r.noteAcked(acked), r.noteQuarantined(quarantined))
}

// unkeyable tells whether a record was, or would be, published as such.
func (r *relay) unkeyable(ref spool.Ref) bool {
	record, err := r.spool.Read(ref.Seq)
	m, err := newMessage(ref, record, err)
	return err == nil && m.Quarantined
}

// find asks the stream which of the records it has above floor.
func (r *relay) find(ctx context.Context, refs []spool.Ref, floor uint64) (map[string]uint64, error) {
	ids := make(map[string]bool, len(refs))
	for _, ref := range refs {
		ids[idText(ref.ID)] = true
	}
	found, err := r.publisher.Find(ctx, ids, floor)
	if err != nil {
		return nil, &lookupError{err}
	}
	return found, nil
}

// sentAhead is by how many records the mark runs ahead of what is sent, so that
// it is synced once for many.
const sentAhead = 1 << 14

// noteSent notes, on disk before it happens, that the head of l may be sent.
func (r *relay) noteSent(l *lane) error {
	l.attempts++
	if since, floor := r.uncertain(l); !since.IsZero() {
		l.sentAt, l.floor, l.unsure = since, floor, true
	} else {
		l.sentAt, l.floor = time.Now(), r.stream.Highest
	}
	if l.head().Seq <= r.sent.Seq {
		return nil
	}
	r.sent = sentMark{Seq: l.head().Seq + sentAhead, Floor: r.lowestFloor(l.floor), Created: r.stream.Created}
	return r.spool.SetMark(r.sent.mark())
}

// lowestFloor is the lowest of the floors of all that has been sent and has no
// outcome yet.
func (r *relay) lowestFloor(floor uint64) uint64 {
	for _, l := range r.lanes.byKey {
		if since, above := r.uncertain(l); !since.IsZero() {
			floor = min(floor, above)
		}
	}
	return floor
}

// seen keeps the highest sequence number. A number that is not above those known
// when the message was sent is another stream's, or the same rolled back: then
// nothing more is sent before that is looked into.
func (r *relay) seen(o outcome) {
	if !o.ack.Duplicate && o.ack.Sequence <= o.lane.floor {
		r.reconciled = false
		return
	}
	r.stream.reach(o.ack.Sequence, o.lane.head().ID)
}

package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// Run relays until ctx ends or, once drain is closed, until nothing is pending.
// Both are a nil error; another error means that the spool could not be read or
// written. What was in flight when ctx ended stays pending.
func (b *Bridge) Run(ctx context.Context, drain <-chan struct{}) error {
	r, err := newRelay(b)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	draining := false
	for {
		r.show(time.Now())
		if err := r.step(ctx); err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		if draining && r.idle() {
			return nil
		}
		timer.Reset(r.wait())
		r.show(time.Now())
		select {
		case <-ctx.Done():
			return r.settle()
		case <-drain:
			draining, drain = true, nil
		case <-b.spool.Committed():
			r.more = true
		case <-b.publisher.Changed():
			r.reconciled = false
			r.lanes.wakeAll()
		case op := <-b.operations:
			op.done <- op.do(r)
		case <-r.outcomes.wake:
		case <-timer.C:
		}
	}
}

// relay is the state of Run, which alone touches it, but for outcomes.
type relay struct {
	*Bridge
	lanes    *lanes
	inFlight int
	next     uint64 // where to load from: all pending records below are loaded
	more     bool   // there may be records to load
	outcomes outcomes
	outage   outage
	refs     []spool.Ref // reused by load
	canaries []spool.Ref // loaded, and neither sent nor ended

	sent       sentMark      // on disk: what may have been sent
	stream     streamMark    // on disk: the stream that the receipts are of
	known      sourcesMark   // on disk: the names of all sources that there were
	reconciled bool          // nothing stands in the way of sending
	window     time.Duration // the stream's duplicate window; 0 while unknown
	restarted  bool          // until the first reconciliation: sent is an earlier process's
	lookups    retry         // of reconciliations that failed
	requeued   bool          // records below next may be pending again
	watched    time.Time     // the last comparison
	looked     looked        // what the last one that looked found out
}

func newRelay(b *Bridge) (*relay, error) {
	r := &relay{
		Bridge: b, lanes: newLanes(), more: true, restarted: true,
		outcomes: outcomes{wake: make(chan struct{}, 1)},
	}
	return r, errors.Join(r.sent.load(b.spool), r.stream.load(b.spool), r.known.load(b))
}

// step does all that can be done now: settle outcomes, reconcile with the stream
// if that is due, load records, send.
func (r *relay) step(ctx context.Context) error {
	if err := r.known.keep(r.Bridge); err != nil {
		return err
	}
	if err := r.settle(); err != nil {
		return err
	}
	if err := r.reconcile(ctx); err != nil {
		return err
	}
	if err := r.watch(ctx); err != nil {
		return err
	}
	if err := r.load(); err != nil {
		return err
	}
	now := time.Now()
	if err := r.sendCanaries(now); err != nil {
		return err
	}
	r.lanes.wake(now)
	return r.send()
}

// loadAhead, times the window, is how many records are known ahead of those in
// flight: enough to find other lanes while one is long.
const loadAhead = 16

// load reads the next pending records' refs from the spool.
func (r *relay) load() error {
	limit := r.opts.Window*loadAhead - r.lanes.records
	if !r.more || limit < r.opts.Window {
		return nil
	}
	refs, err := r.spool.Pending(r.refs[:0], r.next, limit)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if r.next = ref.Seq + 1; ref.Key == canaryKey {
			r.canaries = append(r.canaries, ref)
			continue
		}
		r.lanes.add(ref)
	}
	r.refs, r.more = refs, len(refs) == limit
	return nil
}

// forget drops all that was loaded, to load it again: the state after a restart,
// but for the number of attempts. Nothing may be in flight.
func (r *relay) forget() {
	r.lanes, r.canaries, r.next, r.more, r.requeued = r.lanes.renewed(), nil, 0, true, false
}

func (r *relay) idle() bool {
	return r.lanes.records == 0 && !r.more && r.spool.Stats().Pending.Records == 0
}

// wait is how long nothing is to be done unless something happens.
func (r *relay) wait() time.Duration {
	due, ok := r.lanes.nextDue()
	if r.mayReconcile() && (!ok || r.lookups.due.Before(due)) {
		due, ok = r.lookups.due, true
	}
	if watch := r.watched.Add(watchEvery); r.mayWatch() && (!ok || watch.Before(due)) {
		due, ok = watch, true
	}
	if len(r.canaries) > 0 && (!ok || canaryEnd(r.canaries[0]).Before(due)) {
		due, ok = canaryEnd(r.canaries[0]), true
	}
	if !ok {
		return time.Hour
	}
	return max(time.Until(due), 0)
}

// send publishes the heads of ready lanes, as many as the window has room for.
func (r *relay) send() error {
	for {
		group := r.takeGroup()
		if len(group) == 0 {
			return nil
		}
		if err := r.sendHeads(group); err != nil {
			return err
		}
	}
}

// readGroup is how many records at most are read in one pass, and so are in memory
// beside those in flight.
const readGroup = 256

// takeGroup takes the lanes that may be sent now and have been ready longest, in the
// order of the spool.
func (r *relay) takeGroup() (group []*lane) {
	room := min(r.opts.Window-r.inFlight-r.lanes.waiting.Len(), readGroup)
	for r.reconciled && len(group) < room && r.publisher.Ready() {
		l := r.lanes.take()
		if l == nil {
			break
		}
		if r.mustLook(l, time.Now()) {
			r.lanes.putBack(l)
			r.reconciled = false // look before sending again
			break
		}
		group = append(group, l)
	}
	slices.SortFunc(group, func(a, b *lane) int { return cmp.Compare(a.head().Seq, b.head().Seq) })
	return group
}

// sendHeads publishes the heads of lanes that were taken, as long as there is a
// connection.
func (r *relay) sendHeads(group []*lane) error {
	seqs := make([]uint64, len(group))
	for i, l := range group {
		seqs[i] = l.head().Seq
	}
	var failed error
	err := r.spool.ReadEach(seqs, func(_ uint64, record *spool.Record, err error) bool {
		if !r.publisher.Ready() {
			return false
		}
		failed = r.sendHead(group[0], record, err)
		group = group[1:]
		return failed == nil
	})
	r.lanes.putBack(group...)
	return errors.Join(err, failed)
}

// sendHead publishes what was read of the head of l.
func (r *relay) sendHead(l *lane, record *spool.Record, err error) error {
	message, err := newMessage(l.head(), record, err)
	if errors.Is(err, errUnreadable) {
		return r.setAside(l, err)
	}
	if err != nil {
		return err
	}
	if err := r.noteSent(l); err != nil {
		return err
	}
	r.inFlight++
	r.publisher.Publish(message, func(ack publisher.Ack, err *publisher.Error) {
		r.outcomes.put(outcome{lane: l, ack: ack, err: err, unkeyable: message.Quarantined, traceparent: message.Traceparent})
	})
	return nil
}

// errUnreadable marks a record that is held but says nothing a message could be
// made of.
var errUnreadable = errors.New("record cannot be read")

// newMessage makes the message of a record, or of the error of reading it.
func newMessage(ref spool.Ref, record *spool.Record, err error) (*publisher.Message, error) {
	if errors.Is(err, spool.ErrDamaged) || errors.Is(err, spool.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if err != nil {
		return nil, err
	}
	e, err := decodeEnvelope(record.Header)
	if err != nil {
		return nil, fmt.Errorf("%w: record %d: %w", errUnreadable, ref.Seq, err)
	}
	m := &publisher.Message{
		ID: idText(ref.ID), Source: e.Source, EventType: e.EventType, Service: e.Service, Incident: e.Incident,
		Time: e.Time, Quarantined: e.Unkeyable != "", Canary: e.canary(), Data: record.Body, Traceparent: e.Traceparent,
	}
	if m.Time.IsZero() {
		m.Time = record.Received
	}
	return m, nil
}

// backoff doubles with each attempt, and is jittered so that lanes which failed
// together do not come back together.
func (b *Bridge) backoff(attempts uint64) time.Duration {
	d := b.opts.BackoffMin << min(attempts-1, 20)
	if d > b.opts.BackoffMax || d <= 0 {
		d = b.opts.BackoffMax
	}
	return d/2 + rand.N(d/2+1)
}

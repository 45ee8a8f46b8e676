package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Appended is what Append did.
type Appended struct {
	Seq       uint64
	Duplicate bool      // a record with that id was held already, under Seq
	Taken     time.Time // when its group was taken up; until then it waited for the one before
}

// Append puts r on stable storage and returns. Many callers share one fsync.
//
// The error is nil only after the fsync. It is ErrFull, ErrClosed or ErrFailed
// when nothing was kept, and ctx's error when ctx ended first: then the record
// may or may not be kept, and appending it again finds out.
// r's bytes belong to the spool until the record is committed, which may be
// after a return by ctx: the caller must not change them.
func (s *Spool) Append(ctx context.Context, r *Record) (Appended, error) {
	if err := s.Admits(r.size()); err != nil {
		return Appended{}, err
	}
	w := &write{record: r, done: make(chan struct{})}
	if !s.intake.put(w) {
		return Appended{}, ErrClosed
	}
	select {
	case <-w.done:
		return w.result, w.err
	case <-s.failed:
		return Appended{}, s.Err()
	case <-ctx.Done():
		s.intake.drop(w)
		return Appended{}, fmt.Errorf("append: %w", context.Cause(ctx))
	}
}

// Admits tells whether a record of size bytes would be taken now: nil, ErrFull,
// ErrClosed or ErrFailed.
func (s *Spool) Admits(size int64) error {
	switch {
	case s.Err() != nil:
		return s.Err()
	case s.intake.isClosed():
		return ErrClosed
	}
	return s.room(size)
}

// room is nil when size bytes more may be held, else ErrFull.
func (s *Spool) room(size int64) error {
	switch {
	case s.disk.low():
		return fmt.Errorf("%w: less than %d bytes are free on its disk", ErrFull, s.opts.BallastBytes)
	case s.held.needed()+size > s.opts.MaxBytes:
		return fmt.Errorf("%w: pending and quarantined records fill its %d bytes", ErrFull, s.opts.MaxBytes)
	}
	return nil
}

// write is one waiting Append. The committer sets result and err, then closes done.
type write struct {
	record *Record
	result Appended
	err    error
	done   chan struct{}
}

// intake is where Appends wait for the committer: a group gathers while the one
// before it is being synced.
type intake struct {
	mu      sync.Mutex
	waiting []*write
	closed  bool
	wake    chan struct{} // capacity 1

	nextSeq uint64 // the committer's own
}

func (q *intake) put(w *write) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.waiting = append(q.waiting, w)
	signal(q.wake)
	return true
}

// take hands over all that wait, giving spare's memory to those who come next.
func (q *intake) take(spare []*write) (group []*write, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	group, q.waiting = q.waiting, spare[:0]
	return group, q.closed
}

// drop lets go of a write that nobody waits for any more, unless the committer
// has it: while the disk stalls, only the requests in flight take memory.
func (q *intake) drop(w *write) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting, w); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
}

func (q *intake) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	signal(q.wake)
}

func (q *intake) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// signal wakes the reader of a channel of capacity 1.
func signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// commitLoop is the one goroutine that appends, so that records become visible,
// and durable, in the order of their sequence numbers. It ends when the intake
// is closed and empty.
func (s *Spool) commitLoop() {
	defer s.done.Done()
	var spare []*write
	for range s.intake.wake {
		group, closed := s.intake.take(spare)
		for rest := group; len(rest) > 0; {
			rest = rest[s.commit(rest):]
		}
		clear(group)
		spare = group
		if closed {
			return
		}
	}
}

// commit makes the first of the group durable with one fsync, then answers them, and
// returns how many. They are all, unless it is more than may be written in one go:
// when that finds the disk full, the rest is refused, so that it cannot use up the
// ballast.
func (s *Spool) commit(group []*write) (done int) {
	s.ids.commit.Lock()
	defer s.ids.commit.Unlock()
	taken, batch := time.Now(), s.db.NewBatch()
	seen := make(map[ID]uint64, len(group))
	var refs []Ref
	var bytes int64
	for ; done < len(group) && (done == 0 || bytes+group[done].record.size() <= s.opts.reserve()/8); done++ {
		if ref, fresh := s.stage(batch, seen, group[done], bytes); fresh {
			refs = append(refs, ref)
			bytes += ref.Size
		}
	}
	if len(refs) > 0 {
		// Before the commit: a record can be seen, settled and even evicted as
		// soon as it is in the store, which is before its fsync ends.
		s.held.addPending(refs)
		s.lastSeq.Store(refs[len(refs)-1].Seq)
		s.sync(batch, len(refs))
		signal(s.appended)
		s.sweepIfOver()
	}
	for _, w := range group[:done] {
		w.result.Taken = taken
		close(w.done)
	}
	return done
}

// sync commits batch with an fsync. When that fails it does not return, so that
// no one is answered.
func (s *Spool) sync(batch *pebble.Batch, records int) {
	began := time.Now()
	if err := s.apply(batch, pebble.Sync); err != nil {
		s.fail(fmt.Sprintf("commit: %v", err))
	}
	s.metrics.commitSeconds.Observe(time.Since(began).Seconds())
	s.metrics.commitRecords.Observe(float64(records))
}

// stage adds w's record to batch, which has bytes already, unless its id is held or
// in the same group, or there is no room: Admits saw neither those who waited with it
// nor what has become of the disk since.
func (s *Spool) stage(batch *pebble.Batch, seen map[ID]uint64, w *write, bytes int64) (ref Ref, fresh bool) {
	seq, held, err := s.find(seen, w.record.ID)
	switch {
	case err != nil:
		w.err = fmt.Errorf("look for duplicate: %w", s.told(err))
		return Ref{}, false
	case held:
		w.result = Appended{Seq: seq, Duplicate: true}
		return Ref{}, false
	}
	if w.err = s.room(bytes + w.record.size()); w.err != nil {
		return Ref{}, false
	}
	r := w.record
	ref = Ref{Seq: s.intake.nextSeq, ID: r.ID, Key: r.Key, Size: r.size(), Received: r.Received}
	s.intake.nextSeq++
	seen[r.ID] = ref.Seq
	s.ids.add(r.ID)
	w.result = Appended{Seq: ref.Seq}
	stageRecord(batch, ref, r)
	return ref, true
}

// stageRecord writes the three entries of a new record. Errors of these batch
// methods are impossible by Pebble's contract for a batch that is not indexed.
func stageRecord(batch *pebble.Batch, ref Ref, r *Record) {
	seqBytes := binary.BigEndian.AppendUint64(nil, ref.Seq)
	op := batch.SetDeferred(9, encodedSize(r))
	op.Key[0] = kindRecord
	copy(op.Key[1:], seqBytes)
	encodeRecord(op.Value, r)
	_ = op.Finish()
	_ = batch.Set(idKey(partition(ref.Seq), r.ID), seqBytes, nil)
	_ = batch.Set(seqKey(kindPending, ref.Seq), appendRef(nil, ref), nil)
}

// find looks for a held record by id, also among those of the group in hand.
func (s *Spool) find(seen map[ID]uint64, id ID) (seq uint64, held bool, err error) {
	if s.ids.surelyNew(id) {
		return 0, false, nil
	}
	if seq, held = seen[id]; held {
		return seq, true, nil
	}
	return s.lookUp(id)
}

// Find is the sequence number of the held record with that id.
func (s *Spool) Find(id ID) (seq uint64, held bool, err error) {
	if !s.users.enter() {
		return 0, false, ErrClosed
	}
	defer s.users.leave()
	seq, held, err = s.lookUp(id)
	return seq, held, s.told(err)
}

// lookUp asks the store, one partition after the other: the newest first, as a webhook
// that is posted again mostly was just now.
func (s *Spool) lookUp(id ID) (seq uint64, held bool, err error) {
	last, first := partition(s.lastSeq.Load()), partition(s.firstSeq.Load())
	for p := last; ; p-- {
		if seq, held, err = s.lookUpIn(p, id); held || err != nil || p <= first {
			return seq, held, err
		}
	}
}

func (s *Spool) lookUpIn(partition uint64, id ID) (seq uint64, held bool, err error) {
	value, closer, err := s.db.Get(idKey(partition, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer closer.Close()
	if len(value) != 8 {
		return 0, false, fmt.Errorf("id %x: %w", id, ErrDamaged)
	}
	return binary.BigEndian.Uint64(value), true, nil
}

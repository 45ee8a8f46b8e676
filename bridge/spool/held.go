package spool

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Tally counts records and the sum of their bytes (header and body).
type Tally struct {
	Records int64
	Bytes   int64
}

func (t *Tally) add(o Tally) {
	t.Records += o.Records
	t.Bytes += o.Bytes
}

func (t *Tally) sub(o Tally) {
	t.Records -= o.Records
	t.Bytes -= o.Bytes
}

// Stats is what the spool holds, by state.
type Stats struct {
	Pending, Retained, Quarantined Tally
}

// Bytes is the sum over all states: what Options.MaxBytes limits.
func (s Stats) Bytes() int64 { return s.Pending.Bytes + s.Retained.Bytes + s.Quarantined.Bytes }

func (s *Stats) of(kind byte) *Tally {
	switch kind {
	case kindPending:
		return &s.Pending
	case kindRetained:
		return &s.Retained
	default:
		return &s.Quarantined
	}
}

// held keeps Stats by the changes made. The history that was on disk at Open is
// added once the sweeper has counted it: for the first moments Retained is too low.
type held struct {
	mu        sync.Mutex
	stats     Stats
	oldest    uint64           // no pending record has a lower number
	uncounted *pebble.Snapshot // the store as opened, until its history is counted
}

func (h *held) snapshot() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats
}

// needed is the bytes that cannot be evicted.
func (h *held) needed() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats.Pending.Bytes + h.stats.Quarantined.Bytes
}

func (h *held) addPending(refs []Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range refs {
		h.stats.Pending.add(Tally{1, r.Size})
	}
}

func (h *held) change(by Stats) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Pending.add(by.Pending)
	h.stats.Retained.add(by.Retained)
	h.stats.Quarantined.add(by.Quarantined)
}

func (h *held) evicted(t Tally) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Retained.sub(t)
}

// Stats is what the spool holds now.
func (s *Spool) Stats() Stats { return s.held.snapshot() }

// OldestPending is when the oldest pending record was received; ok is false when
// nothing is pending.
func (s *Spool) OldestPending() (at time.Time, ok bool, err error) {
	s.held.mu.Lock()
	from := s.held.oldest
	s.held.mu.Unlock()
	refs, err := s.Pending(nil, from, 1)
	if err != nil || len(refs) == 0 {
		return time.Time{}, false, err
	}
	s.held.mu.Lock()
	if s.held.oldest == from { // else a record below was requeued meanwhile
		s.held.oldest = refs[0].Seq
	}
	s.held.mu.Unlock()
	return refs[0].Received, true, nil
}

// requeued notes that the record seq may be pending again.
func (h *held) requeued(seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.oldest = min(h.oldest, seq)
}

// countHeld counts what must be known before the first Append, and leaves the
// history, which may be long, to the sweeper.
func (s *Spool) countHeld() error {
	var err error
	if s.held.stats.Pending, err = s.countPending(); err != nil {
		return err
	}
	err = s.settled(s.db, kindQuarantine, 0, func(q Settled) bool {
		s.held.stats.Quarantined.add(Tally{1, q.Size})
		return true
	})
	if err == nil {
		s.held.uncounted = s.db.NewSnapshot()
	}
	return err
}

func (s *Spool) countPending() (Tally, error) {
	var t Tally
	iter, err := s.scan(kindPending, 0)
	if err != nil {
		return t, err
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		ref, _, err := decodeRef(keySeq(iter.Key()), iter.Value())
		if err != nil {
			return t, err
		}
		t.add(Tally{1, ref.Size})
	}
	return t, iter.Error()
}

// countRetained adds the history that was on disk at Open.
func (s *Spool) countRetained() error {
	var t Tally
	err := s.settled(s.held.uncounted, kindRetained, 0, func(r Settled) bool {
		t.add(Tally{1, r.Size})
		select {
		case <-s.quit:
			return false
		default:
			return true
		}
	})
	s.held.mu.Lock()
	s.held.stats.Retained.add(t)
	s.held.mu.Unlock()
	return err
}

package spool

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Settlement says what became of a held record. Ref.Seq tells which.
type Settlement struct {
	Ref  Ref
	At   time.Time
	Note []byte // the receipt, or the reason of a quarantine
}

// Ack makes records history. It is not synced: a power cut may undo it, and the
// records are in their former state again. A record that is history already gets
// the new receipt; one that is no longer held is passed over.
// Marks are noted with it, all or nothing.
func (s *Spool) Ack(acks []Settlement, marks ...Mark) error {
	return s.settle(kindRetained, acks, marks, pebble.NoSync)
}

// Requeue makes records pending again, durably, in their old place. One that is
// no longer held is passed over. The relay does not learn of it by Committed.
func (s *Spool) Requeue(records []Ref) error {
	settlements := make([]Settlement, len(records))
	for i, r := range records {
		settlements[i].Ref = r
	}
	return s.settle(kindPending, settlements, nil, pebble.Sync)
}

// Quarantine sets records aside, durably: they are kept, and not relayed. A
// record that is no longer held is passed over.
func (s *Spool) Quarantine(records []Settlement) error {
	return s.settle(kindQuarantine, records, nil, pebble.Sync)
}

func (s *Spool) settle(kind byte, settlements []Settlement, marks []Mark, how *pebble.WriteOptions) error {
	if !s.users.enter() {
		return ErrClosed
	}
	defer s.users.leave()
	s.settling.Lock()
	defer s.settling.Unlock()
	batch := s.db.NewBatch()
	change, err := s.stageSettlements(batch, kind, settlements)
	if err != nil {
		return s.told(err)
	}
	stageMarks(batch, marks)
	if err := s.apply(batch, how); err != nil {
		return fmt.Errorf("settle %d records: %w", len(settlements), err)
	}
	s.held.change(change)
	s.sweepIfOver()
	return nil
}

// stageSettlements adds to batch what brings the records into the state kind,
// and returns by how much that changes Stats.
func (s *Spool) stageSettlements(batch *pebble.Batch, kind byte, settlements []Settlement) (change Stats, err error) {
	var value []byte
	staged := make(map[uint64]bool, len(settlements))
	for _, t := range settlements {
		from, ref, err := s.state(t.Ref.Seq)
		if err != nil {
			return change, fmt.Errorf("settle record %d: %w", t.Ref.Seq, err)
		}
		if from == 0 {
			continue
		}
		value = appendState(value[:0], kind, ref, t)
		_ = batch.Delete(seqKey(from, ref.Seq), nil)
		_ = batch.Set(seqKey(kind, ref.Seq), value, nil)
		if kind == kindPending {
			s.held.requeued(ref.Seq)
		}
		if !staged[ref.Seq] {
			staged[ref.Seq] = true
			change.of(from).sub(Tally{1, ref.Size})
			change.of(kind).add(Tally{1, ref.Size})
		}
	}
	return change, nil
}

func appendState(dst []byte, kind byte, ref Ref, t Settlement) []byte {
	if kind == kindPending {
		return appendRef(dst, ref)
	}
	return appendSettled(dst, ref, t.At, t.Note)
}

// state finds the state entry of a record: its kind, 0 when it is not held.
func (s *Spool) state(seq uint64) (kind byte, ref Ref, err error) {
	for _, kind := range []byte{kindPending, kindRetained, kindQuarantine} {
		value, closer, err := s.db.Get(seqKey(kind, seq))
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, Ref{}, err
		}
		ref, _, err := decodeRef(seq, value)
		return kind, ref, errors.Join(err, closer.Close())
	}
	return 0, Ref{}, nil
}

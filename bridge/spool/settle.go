package spool

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Settlement says what became of a held record. Ref.Seq tells which.
type Settlement struct {
	Ref  Ref
	At   time.Time
	Note []byte // the receipt, or the reason of a quarantine
}

// What follows sorts the settlements that it is given.

// Ack makes records history. It is not synced: a power cut may undo it, and the
// records are in their former state again. A record that is history already gets
// the new receipt; one that is no longer held is passed over.
// Marks are noted with it, all or nothing.
func (s *Spool) Ack(acks []Settlement, marks ...Mark) error {
	_, err := s.settle(kindRetained, acks, marks, pebble.NoSync)
	return err
}

// Requeue makes records pending again, durably, in their old place, and returns how
// many: one that is no longer held, or is pending already, is passed over. The relay
// does not learn of it by Committed.
func (s *Spool) Requeue(records []Ref) (requeued int, err error) {
	settlements := make([]Settlement, len(records))
	for i, r := range records {
		settlements[i].Ref = r
	}
	change, err := s.settle(kindPending, settlements, nil, pebble.Sync)
	return int(change.Pending.Records), err
}

// Quarantine sets records aside, durably: they are kept, and not relayed. A
// record that is no longer held is passed over.
func (s *Spool) Quarantine(records []Settlement) error {
	_, err := s.settle(kindQuarantine, records, nil, pebble.Sync)
	return err
}

// settle brings the records into the state kind, and returns by how much that has
// changed Stats.
func (s *Spool) settle(kind byte, settlements []Settlement, marks []Mark, how *pebble.WriteOptions) (change Stats, err error) {
	if !s.users.enter() {
		return Stats{}, ErrClosed
	}
	defer s.users.leave()
	s.settling.Lock()
	defer s.settling.Unlock()
	batch := s.db.NewBatch()
	change, err = s.stageSettlements(batch, kind, settlements)
	if err != nil {
		return Stats{}, s.told(err)
	}
	stageMarks(batch, marks)
	if err := s.apply(batch, how); err != nil {
		return Stats{}, fmt.Errorf("settle %d records: %w", len(settlements), err)
	}
	s.held.change(change)
	s.sweepIfOver()
	return change, nil
}

// stageSettlements adds to batch what brings the records into the state kind,
// and returns by how much that changes Stats. It sorts settlements, for one pass over
// those that are pending, which are most.
func (s *Spool) stageSettlements(batch *pebble.Batch, kind byte, settlements []Settlement) (change Stats, err error) {
	pending, err := s.scan(kindPending, 0)
	if err != nil {
		return change, fmt.Errorf("settle %d records: %w", len(settlements), err)
	}
	defer func() { err = errors.Join(err, pending.Close()) }()
	slices.SortStableFunc(settlements, func(a, b Settlement) int { return cmp.Compare(a.Ref.Seq, b.Ref.Seq) })
	var value []byte
	staged := make(map[uint64]bool, len(settlements))
	for _, t := range settlements {
		from, ref, err := s.state(pending, t.Ref.Seq)
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

// state finds the state entry of a record: its kind, 0 when it is not held. pending is
// over the pending entries, and not beyond seq's. Its seek ends at the next number,
// since there may be any number of deleted entries behind it.
func (s *Spool) state(pending *pebble.Iterator, seq uint64) (kind byte, ref Ref, err error) {
	if pending.SeekGEWithLimit(seqKey(kindPending, seq), seqKey(kindPending, seq+1)) == pebble.IterValid {
		ref, _, err := decodeRef(seq, pending.Value())
		return kindPending, ref, err
	}
	if err := pending.Error(); err != nil {
		return 0, Ref{}, err
	}
	for _, kind := range []byte{kindRetained, kindQuarantine} {
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

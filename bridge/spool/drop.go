package spool

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Drop removes a record from quarantine and from the spool, durably. Its id is then
// one that was never held. The error is ErrNotFound when no record is in quarantine
// under that number.
func (s *Spool) Drop(seq uint64) error {
	if !s.users.enter() {
		return ErrClosed
	}
	defer s.users.leave()
	s.settling.Lock()
	defer s.settling.Unlock()
	value, err := s.get(seqKey(kindQuarantine, seq))
	if errors.Is(err, pebble.ErrNotFound) {
		return fmt.Errorf("drop record %d: %w in quarantine", seq, ErrNotFound)
	}
	if err != nil {
		return s.told(fmt.Errorf("drop record %d: %w", seq, err))
	}
	ref, _, err := decodeRef(seq, value)
	if err != nil {
		return s.told(fmt.Errorf("drop record %d: %w", seq, err))
	}
	batch := s.db.NewBatch()
	_ = batch.Delete(seqKey(kindRecord, seq), nil)
	_ = batch.Delete(seqKey(kindQuarantine, seq), nil)
	_ = batch.Delete(idKey(partition(seq), ref.ID), nil)
	_ = batch.Set(metaKey(metaLastSeq), binary.BigEndian.AppendUint64(nil, s.lastSeq.Load()), nil)
	if err := s.apply(batch, pebble.Sync); err != nil {
		return fmt.Errorf("drop record %d: %w", seq, err)
	}
	s.held.change(Stats{Quarantined: Tally{-1, -ref.Size}})
	s.evictedTo.Store(max(s.evictedTo.Load(), seq+1))
	return nil
}

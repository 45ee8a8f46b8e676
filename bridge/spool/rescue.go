package spool

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
)

// appendedIn is the range of records that a batch appends; zeroes if it is no
// append.
func appendedIn(batch []byte) (first, last uint64) {
	for changes := batchrepr.Read(batch); ; {
		kind, key, _, ok, err := changes.Next()
		if err != nil || !ok {
			return first, last
		}
		if kind == pebble.InternalKeyKindSet && len(key) == seqKeySize && key[0] == kindRecord {
			last = keySeq(key)
			if first == 0 {
				first = last
			}
		}
	}
}

// rescue appends again what the store has passed over at the end of its log, if
// anything. Until the ledger tells that it has been done, each start does, since the
// log is gone once the store has been opened.
func (s *Spool) rescue(appended []byte) error {
	if appended == nil {
		return nil
	}
	first, _ := appendedIn(appended)
	last, err := s.readLastSeq()
	if err == nil && first > last {
		err = s.appendAgain(appended, first)
	}
	if err == nil {
		err = s.ledger.Rescued()
	}
	if err != nil {
		return fmt.Errorf("rescue record %d: %w", first, err)
	}
	return nil
}

func (s *Spool) appendAgain(appended []byte, first uint64) error {
	batch := s.db.NewBatch()
	if err := batch.SetRepr(appended); err != nil {
		return err
	}
	s.opts.Logger.Warn("spool: records behind a write that was cut off are kept", "dir", s.dir, "from", first)
	return s.apply(batch, pebble.Sync)
}

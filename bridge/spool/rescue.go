package spool

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
)

// judge decides about what is behind the end of a log that was not closed, by the
// order of appends: each group of records is written only after the fsync of the
// one before. Two appends behind the gap, or one whose numbers say that another is
// missing, hence tell that the gap had been on disk: the log is damaged. One that
// is in order may never have been synced, as after a power cut; it is returned to
// be kept all the same, which harms nobody, as it may just as well have been.
func (s *logScan) judge() (rescue []byte) {
	if s.end == endClean || s.end == endDamaged {
		return nil
	}
	last, appends := uint64(0), 0
	s.batches(func(batch []byte, behind bool) {
		first, highest := appendedIn(batch)
		switch {
		case highest == 0:
		case !behind:
			last = highest
		default:
			if appends++; appends > 1 || last > 0 && first > last+1 {
				s.end = endDamaged
			}
			rescue = batch
		}
	})
	return rescue
}

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
// anything.
func (s *Spool) rescue(appended []byte) error {
	if appended == nil {
		return nil
	}
	first, _ := appendedIn(appended)
	last, err := s.readLastSeq()
	if err != nil || first <= last {
		return err
	}
	batch := s.db.NewBatch()
	if err := batch.SetRepr(appended); err != nil {
		return fmt.Errorf("rescue record %d: %w", first, err)
	}
	if err := s.apply(batch, pebble.Sync); err != nil {
		return fmt.Errorf("rescue record %d: %w", first, err)
	}
	s.opts.Logger.Warn("spool: records behind a write that was cut off are kept", "dir", s.dir, "from", first)
	return nil
}

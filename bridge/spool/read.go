package spool

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Committed receives after records were appended: one signal for any number of
// them. It has one reader, the relay.
func (s *Spool) Committed() <-chan struct{} { return s.appended }

// LastBefore is the highest sequence number that was given out before the spool was
// opened, 0 for a new spool: what is above has come since.
func (s *Spool) LastBefore() uint64 { return s.openedAt }

// Pending appends to dst up to limit pending records whose sequence number is
// from or higher, in order. Fewer than limit means that there are no more now.
// Those appended later have higher numbers than any there was; Requeue makes records
// pending again below them.
func (s *Spool) Pending(dst []Ref, from uint64, limit int) ([]Ref, error) {
	if !s.users.enter() {
		return dst, ErrClosed
	}
	defer s.users.leave()
	iter, err := s.scan(kindPending, from)
	if err != nil {
		return dst, fmt.Errorf("list pending: %w", err)
	}
	for ok := iter.First(); ok && limit > 0; ok = iter.Next() {
		ref, _, err := decodeRef(keySeq(iter.Key()), iter.Value())
		if err != nil {
			return dst, s.told(errors.Join(fmt.Errorf("list pending: %w", err), iter.Close()))
		}
		dst = append(dst, ref)
		limit--
	}
	if err := iter.Close(); err != nil {
		return dst, s.told(fmt.Errorf("list pending: %w", err))
	}
	return dst, nil
}

// Read returns a held record, in whatever state; the caller owns it.
// The error is ErrNotFound when there is none, and ErrDamaged when it is held and
// cannot be read.
func (s *Spool) Read(seq uint64) (*Record, error) {
	if !s.users.enter() {
		return nil, ErrClosed
	}
	defer s.users.leave()
	return s.read(seq)
}

func (s *Spool) read(seq uint64) (*Record, error) {
	value, closer, err := s.db.Get(seqKey(kindRecord, seq))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, fmt.Errorf("record %d: %w", seq, ErrNotFound)
	}
	if err != nil {
		return nil, s.told(fmt.Errorf("read record %d: %w", seq, err))
	}
	record, err := decodeRecord(seq, value)
	return record, s.told(errors.Join(err, closer.Close()))
}

// ReadEach reads held records as Read does, those of seqs in rising order, in one pass
// that costs a fraction of as many Reads. It calls each with a record, which the
// callee owns, or the error of that one, until each returns false. Its own error is
// ErrClosed, or that the pass could not begin.
func (s *Spool) ReadEach(seqs []uint64, each func(seq uint64, r *Record, err error) bool) error {
	if !s.users.enter() {
		return ErrClosed
	}
	defer s.users.leave()
	iter, err := s.scan(kindRecord, 0)
	if err != nil {
		return s.told(fmt.Errorf("read records: %w", err))
	}
	defer iter.Close() // its error has been told with the record that it concerns
	for _, seq := range seqs {
		if !each(s.readAt(iter, seq)) {
			break
		}
	}
	return nil
}

// readAt reads the record seq, which is not below where iter stands.
func (s *Spool) readAt(iter *pebble.Iterator, seq uint64) (uint64, *Record, error) {
	switch found := iter.SeekGE(seqKey(kindRecord, seq)); {
	case iter.Error() != nil: // damage; where it ends, only a look at each tells
		r, err := s.read(seq)
		return seq, r, err
	case !found || keySeq(iter.Key()) != seq:
		return seq, nil, fmt.Errorf("record %d: %w", seq, ErrNotFound)
	}
	r, err := decodeRecord(seq, iter.Value())
	return seq, r, s.told(err)
}

// Settled is a record that is no longer pending, and what was noted of it.
type Settled struct {
	Ref
	At   time.Time // when it was acknowledged or quarantined
	Note []byte    // what Ack or Quarantine was given
}

// Retained calls each for the records of the history, oldest first, from a
// sequence number on, until it returns false. Settled is valid during the call.
func (s *Spool) Retained(from uint64, each func(Settled) bool) error {
	return s.settledNow(kindRetained, from, each)
}

// Quarantined is as Retained, for the records in quarantine.
func (s *Spool) Quarantined(from uint64, each func(Settled) bool) error {
	return s.settledNow(kindQuarantine, from, each)
}

func (s *Spool) settledNow(kind byte, from uint64, each func(Settled) bool) error {
	if !s.users.enter() {
		return ErrClosed
	}
	defer s.users.leave()
	return s.told(s.settled(s.db, kind, from, each))
}

func (s *Spool) settled(r pebble.Reader, kind byte, from uint64, each func(Settled) bool) error {
	iter, err := scan(r, kind, from)
	if err != nil {
		return fmt.Errorf("list %c: %w", kind, err)
	}
	for ok := iter.First(); ok; ok = iter.Next() {
		seq := keySeq(iter.Key())
		ref, rest, err := decodeRef(seq, iter.Value())
		if err != nil {
			return errors.Join(err, iter.Close())
		}
		at, note, err := decodeSettled(seq, rest)
		if err != nil {
			return errors.Join(err, iter.Close())
		}
		if !each(Settled{Ref: ref, At: at, Note: note}) {
			break
		}
	}
	return iter.Close()
}

package spool

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// History is as Retained, for callers that look into the records' headers: header
// reads that of the record in hand, without its body's being copied. It is valid
// during the call. Its errors are those of Read.
//
// Nothing that was evicted since the call gives its space back before the call ends,
// so that callers who take their time go through the history in parts.
func (s *Spool) History(from uint64, each func(r Settled, header func() ([]byte, error)) bool) error {
	if !s.users.enter() {
		return ErrClosed
	}
	defer s.users.leave()
	records, err := s.scan(kindRecord, from)
	if err != nil {
		return s.told(fmt.Errorf("list records: %w", err))
	}
	err = s.settled(s.db, kindRetained, from, func(r Settled) bool {
		return each(r, func() ([]byte, error) {
			header, err := headerAt(records, r.Seq)
			return header, s.told(err)
		})
	})
	_ = records.Close() // what it had to say, header said
	return s.told(err)
}

// headerAt moves records on to a sequence number. Numbers rise from call to call, so
// that mostly the next entry is the one.
func headerAt(records *pebble.Iterator, seq uint64) ([]byte, error) {
	if !records.SeekGE(seqKey(kindRecord, seq)) || keySeq(records.Key()) != seq {
		if err := records.Error(); err != nil {
			return nil, fmt.Errorf("read record %d: %w", seq, err)
		}
		return nil, fmt.Errorf("record %d: %w", seq, ErrNotFound)
	}
	value, err := records.ValueAndErr()
	if err != nil {
		return nil, fmt.Errorf("read record %d: %w", seq, err)
	}
	return headerOf(seq, value)
}

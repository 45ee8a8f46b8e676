package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// sentMark bounds, on disk, what an earlier process may have sent without knowing
// the outcome: pending records up to Seq, stored, if at all, above the sequence
// number Floor of the stream that was created at Created.
type sentMark struct {
	Seq     uint64
	Floor   uint64
	Created time.Time
}

// streamMark is, on disk, the stream that the receipts are of, and the highest
// sequence number among them.
type streamMark struct {
	Created time.Time // zero: no stream seen yet
	Highest uint64
}

const (
	sentMarkName   = "sent"
	streamMarkName = "stream"
)

var errMark = errors.New("damaged mark")

func encodeMark(created time.Time, numbers ...uint64) []byte {
	nanos := int64(0)
	if !created.IsZero() {
		nanos = created.UnixNano()
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(nanos))
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// loadMark reads a mark from the spool; nothing is changed if there is none.
func loadMark(s *spool.Spool, name string, created *time.Time, numbers ...*uint64) error {
	b, err := s.Mark(name)
	if err != nil || b == nil {
		return err
	}
	if len(b) != 8+8*len(numbers) {
		return fmt.Errorf("%s: %d bytes: %w", name, len(b), errMark)
	}
	if nanos := int64(binary.BigEndian.Uint64(b)); nanos != 0 {
		*created = time.Unix(0, nanos)
	}
	for i, n := range numbers {
		*n = binary.BigEndian.Uint64(b[8+8*i:])
	}
	return nil
}

func (m *sentMark) load(s *spool.Spool) error {
	return loadMark(s, sentMarkName, &m.Created, &m.Seq, &m.Floor)
}

func (m *sentMark) mark() spool.Mark {
	return spool.Mark{Name: sentMarkName, Value: encodeMark(m.Created, m.Seq, m.Floor)}
}

func (m *streamMark) load(s *spool.Spool) error {
	return loadMark(s, streamMarkName, &m.Created, &m.Highest)
}

func (m *streamMark) mark() spool.Mark {
	return spool.Mark{Name: streamMarkName, Value: encodeMark(m.Created, m.Highest)}
}

package bridge

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	ID      spool.ID // of the record whose number that is; zero: not known
}

// reach notes that a record has a sequence number.
func (m *streamMark) reach(sequence uint64, id spool.ID) {
	if sequence > m.Highest {
		m.Highest, m.ID = sequence, id
	}
}

// sourcesMark is, on disk, the names of all sources that the spool's webhooks may have
// come from, sorted, in JSON. Ordering keys are made of them, and names are not found
// by keys.
type sourcesMark []byte

const (
	sentMarkName    = "sent"
	streamMarkName  = "stream"
	sourcesMarkName = "sources"
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

// decodeMark reads what encodeMark wrote; nothing is changed if that is nothing.
func decodeMark(name string, b []byte, created *time.Time, numbers ...*uint64) error {
	if len(b) == 0 {
		return nil
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

// load reads the mark. A new spool gets one, which says that nothing has been sent: so
// one with records and without it has lost it (see Salvage), and all of them may be
// anywhere in the stream.
func (m *sentMark) load(s *spool.Spool) error {
	b, err := s.Mark(sentMarkName)
	switch {
	case err != nil:
		return err
	case b != nil:
		return decodeMark(sentMarkName, b, &m.Created, &m.Seq, &m.Floor)
	case s.LastBefore() == 0:
		return s.SetMark(m.mark())
	}
	m.Seq = s.LastBefore()
	return nil
}

func (m *sentMark) mark() spool.Mark {
	return spool.Mark{Name: sentMarkName, Value: encodeMark(m.Created, m.Seq, m.Floor)}
}

func (m *streamMark) load(s *spool.Spool) error {
	b, err := s.Mark(streamMarkName)
	if len(b) > len(m.ID) {
		m.ID, b = spool.ID(b), b[len(m.ID):]
	}
	return errors.Join(err, decodeMark(streamMarkName, b, &m.Created, &m.Highest))
}

func (m *streamMark) mark() spool.Mark {
	return spool.Mark{Name: streamMarkName, Value: append(m.ID[:len(m.ID):len(m.ID)], encodeMark(m.Created, m.Highest)...)}
}

// load reads the mark and adds to b the sources of earlier processes.
func (m *sourcesMark) load(b *Bridge) (err error) {
	if *m, err = b.spool.Mark(sourcesMarkName); err != nil || *m == nil {
		return err
	}
	var names []string
	if err := json.Unmarshal(*m, &names); err != nil {
		return fmt.Errorf("%s: %w: %w", sourcesMarkName, errMark, err)
	}
	b.AddSources(names...)
	return nil
}

// keep notes the sources of b if there are more than the mark has.
func (m *sourcesMark) keep(b *Bridge) error {
	if !b.sourcesAdded.Swap(false) {
		return nil
	}
	var names []string
	for name := range b.sources.Range {
		names = append(names, name.(string))
	}
	slices.Sort(names)
	text, err := json.Marshal(names)
	if err != nil || bytes.Equal(text, *m) {
		return err
	}
	*m = text
	return b.spool.SetMark(spool.Mark{Name: sourcesMarkName, Value: text})
}

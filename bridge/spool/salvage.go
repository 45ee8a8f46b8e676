package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// ErrNotEmpty says that the directory to salvage to has something in it.
var ErrNotEmpty = errors.New("directory is not empty")

// Salvaged is what became of a damaged spool's records.
type Salvaged struct {
	Copied   Stats   // by the state they have now
	Restated int64   // of those, pending because their state could not be read, or was none
	Lost     []Loss  // records that are known to have been held and cannot be read
	Gaps     []Gap   // in order: what was under their numbers had been evicted before, or is lost
	Marks    int     // the caller's that were copied
	Faults   []Fault // why not all could be read; none: it could
}

// Gap is sequence numbers of which nothing is left.
type Gap struct {
	First, Last uint64
}

// Loss is a record that cannot be read. Of its Ref, only Seq is known when its
// state could not be read either.
type Loss struct {
	Ref
	State string // pending, retained, quarantined; or unknown
}

// Salvage copies every record that can still be read from a spool that no bridge
// has open into a new one in to, with number, state, receipt and marks, and says
// what was lost. Nothing in from is changed (but the file LOCK made if it is
// missing). A store that does not open is read from its tables and logs; a record
// of which it is in doubt whether it was delivered is pending again.
// onlyWhole names marks that say something of all records, and would be wrong beside
// those of a damaged spool: they are not copied when anything is wrong.
// The error is ErrLocked when a process has the spool open, and ErrNotEmpty; after
// any error the new directory is incomplete and to be removed. fs is where both
// live, nil for the machine's.
func Salvage(from, to string, fs vfs.FS, onlyWhole ...string) (Salvaged, error) {
	s := &salvage{on: orDefault(fs), to: to, onlyWhole: onlyWhole}
	if err := s.run(from); err != nil {
		return s.result, fmt.Errorf("salvage spool %s to %s: %w", from, to, err)
	}
	return s.result, nil
}

// salvage is one in progress.
type salvage struct {
	on     vfs.FS
	to     string
	target *Spool
	batch  *pebble.Batch
	result Salvaged

	onlyWhole []string

	last uint64 // the highest sequence number seen
}

func (s *salvage) run(from string) (err error) {
	defer storefiles.Catch(&err)
	if err := s.checkEmpty(); err != nil {
		return err
	}
	e, err := examine(from, s.on)
	if err != nil {
		return err
	}
	defer e.close()
	return s.copyAll(e)
}

func (s *salvage) checkEmpty() error {
	names, err := s.on.List(s.to)
	if err == nil && len(names) > 0 {
		return ErrNotEmpty
	}
	return nil
}

func (s *salvage) copyAll(e *examined) (err error) {
	never := time.Duration(math.MaxInt64)
	s.target, err = Open(s.to, Options{
		FS: s.on, MaxBytes: math.MaxInt64, Retention: never, SweepEvery: never, BallastBytes: -1,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	s.batch = s.target.db.NewBatch()
	if err = e.holdings(s.copy); err == nil {
		s.copyMeta(e)
		err = s.commit()
	}
	if err == nil {
		err = s.flush()
	}
	s.result.Faults = e.faults.list
	if closing := s.target.Close(); err == nil { // else it is the same error
		err = closing
	}
	return err
}

// copy stages one record with its state, or notes that it is lost.
func (s *salvage) copy(h holding) error {
	if h.seq > s.last+1 {
		s.result.Gaps = append(s.result.Gaps, Gap{s.last + 1, h.seq - 1})
	}
	s.last = h.seq
	if h.record == nil {
		s.result.Lost = append(s.result.Lost, loss(h))
		return nil
	}
	state := h.state()
	stageHeld(s.batch, h.ref(), h.record, state)
	s.result.Copied.of(state.kind).add(Tally{1, h.record.size()})
	if len(h.states) != 1 {
		s.result.Restated++
	}
	if s.batch.Len() < 1<<20 {
		return nil
	}
	return s.commit()
}

func loss(h holding) Loss {
	if len(h.states) == 0 {
		return Loss{Ref: Ref{Seq: h.seq}, State: "unknown"}
	}
	return Loss{Ref: h.states[0].ref, State: stateNames[h.states[0].kind]}
}

// stageHeld writes the entries of a record in any state.
func stageHeld(batch *pebble.Batch, ref Ref, r *Record, state stateEntry) {
	stageRecord(batch, ref, r)
	if state.kind == kindPending {
		return
	}
	_ = batch.Delete(seqKey(kindPending, ref.Seq), nil)
	_ = batch.Set(seqKey(state.kind, ref.Seq), appendSettled(nil, ref, state.at, state.note), nil)
}

// commit writes what is staged. It is synced as every append is: a log's reader
// relies on it (see judge), and a disk that fails is then met in an orderly way.
func (s *salvage) commit() error {
	batch := s.batch
	s.batch = s.target.db.NewBatch()
	return s.target.apply(batch, pebble.Sync)
}

// flush makes a table of what is in the log. On a disk that fails that never returns (see
// apply).
func (s *salvage) flush() error {
	done := make(chan error, 1)
	go func() { done <- s.target.db.Flush() }()
	select {
	case err := <-done:
		return err
	case <-s.target.failed:
		return s.target.Err()
	}
}

// copyMeta stages the marks, and the highest number that was ever given out. Whether
// the spool is whole is known when all else has been read, and these entries as well.
func (s *salvage) copyMeta(e *examined) {
	last := s.last
	var whole []Mark
	c := e.Entries(kindMeta, false)
	defer c.Close()
	for ; c.Valid; c.Next() {
		name, isMark := strings.CutPrefix(string(c.Key[1:]), markPrefix)
		switch {
		case isMark && slices.Contains(s.onlyWhole, name):
			whole = append(whole, Mark{name, slices.Clone(c.Value)})
		case isMark:
			_ = s.batch.Set(c.Key, c.Value, nil)
			s.result.Marks++
		case name == metaLastSeq && len(c.Value) == 8:
			last = max(last, binary.BigEndian.Uint64(c.Value))
		}
	}
	if len(e.faults.list) == 0 && s.result.Restated == 0 {
		stageMarks(s.batch, whole)
		s.result.Marks += len(whole)
	}
	_ = s.batch.Set(metaKey(metaLastSeq), binary.BigEndian.AppendUint64(nil, last), nil)
}

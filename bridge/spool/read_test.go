package spool

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

func TestPendingGivesAWindow(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	refs := addMany(t, s, 0, 10, 20)
	ack(t, s, epoch, refs[2], refs[5])
	all := slices.Concat(refs[:2], refs[3:5], refs[6:])
	for _, tc := range []struct {
		name  string
		from  uint64
		limit int
		want  []Ref
	}{
		{"all", 0, 100, all},
		{"exactly as many", 0, 8, all},
		{"the first", 0, 3, all[:3]},
		{"from one on", 4, 3, all[2:5]},
		{"from a settled one on", 3, 1, refs[3:4]},
		{"from the last on", 10, 5, refs[9:]},
		{"beyond the last", 11, 5, nil},
		{"far beyond", ^uint64(0), 5, nil},
		{"none", 0, 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := s.Pending(nil, tc.from, tc.limit)
			if err != nil {
				t.Fatal(err)
			}
			diff(t, "Pending", tc.want, got)
		})
	}
	got, err := s.Pending(refs[:1:1], 10, 5)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "Pending appends to what it is given", []Ref{refs[0], refs[9]}, got)
}

func TestReadOfNoRecord(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	add(t, s, record(1, 10))
	for _, seq := range []uint64{0, 2, ^uint64(0)} {
		_, err := s.Read(seq)
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("Read(%d): %v", seq, err)
		}
	}
	if _, held, err := s.Find(record(2, 10).ID); held || err != nil {
		t.Errorf("Find of an id that is not held: %v, %v", held, err)
	}
}

// TestReadRecordIsTheCallers: what Read gave stays as it is, whatever the store
// does, and may be changed.
func TestReadRecordIsTheCallers(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	ref := add(t, s, record(1, 1000))
	mine, err := s.Read(ref.Seq)
	if err != nil {
		t.Fatal(err)
	}
	clear(mine.Body)
	clear(mine.Header)
	checkRead(t, s, ref.Seq, record(1, 1000))
}

func TestListingsStartAndStopWhereAsked(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	refs := addMany(t, s, 0, 6, 20)
	ack(t, s, epoch, refs[0], refs[2], refs[4])
	quarantine(t, s, epoch, refs[1], refs[3], refs[5])
	diff(t, "Retained from 3", settledOf([]Ref{refs[2], refs[4]}, epoch), listed(t, s.Retained, 3))
	diff(t, "Quarantined from 3", settledOf([]Ref{refs[3], refs[5]}, epoch), listed(t, s.Quarantined, 3))
	calls := 0
	if err := s.Retained(0, func(Settled) bool { calls++; return false }); err != nil || calls != 1 {
		t.Errorf("told to stop: %d calls, %v", calls, err)
	}
}

func TestOldestPending(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	if _, ok, err := s.OldestPending(); ok || err != nil {
		t.Errorf("of an empty spool: %v, %v", ok, err)
	}
	refs := addMany(t, s, 0, 4, 20)
	for _, step := range []struct {
		settle []Ref
		want   *Ref
	}{
		{nil, &refs[0]},
		{refs[1:2], &refs[0]},
		{refs[0:1], &refs[2]},
		{refs[2:4], nil},
	} {
		ack(t, s, epoch, step.settle...)
		at, ok, err := s.OldestPending()
		if err != nil || ok != (step.want != nil) {
			t.Fatalf("OldestPending: %v, %v", ok, err)
		}
		if ok && !at.Equal(step.want.Received) {
			t.Errorf("oldest received %v, want %v", at, step.want.Received)
		}
	}
	later := add(t, s, record(50, 20))
	if at, ok, err := s.OldestPending(); !ok || err != nil || !at.Equal(later.Received) {
		t.Errorf("after the next: %v, %v, %v", at, ok, err)
	}
}

// TestDamagedEntryIsAnError: a value that does not decode is told with the number
// of its record, not guessed at.
func TestDamagedEntryIsAnError(t *testing.T) {
	for _, tc := range []struct {
		name string
		key  []byte
		call func(*Spool) error
	}{
		{"record", seqKey(kindRecord, 7), func(s *Spool) error { _, err := s.Read(7); return err }},
		{"id", idKey(0, ID{7}), func(s *Spool) error { _, _, err := s.Find(ID{7}); return err }},
		{"pending", seqKey(kindPending, 7), func(s *Spool) error { _, err := s.Pending(nil, 0, 10); return err }},
		{"oldest", seqKey(kindPending, 7), func(s *Spool) error { _, _, err := s.OldestPending(); return err }},
		{"settling", seqKey(kindPending, 7), func(s *Spool) error { return s.Ack([]Settlement{{Ref: Ref{Seq: 7}}}) }},
		{"retained", seqKey(kindRetained, 7), func(s *Spool) error { return s.Retained(0, nil) }},
		{"quarantined", seqKey(kindQuarantine, 7), func(s *Spool) error { return s.Quarantined(0, nil) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := openSpool(t, testDir, memOptions())
			if err := s.db.Set(tc.key, []byte("junk"), pebble.Sync); err != nil {
				t.Fatal(err)
			}
			err := tc.call(s)
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "7") {
				t.Errorf("error %v", err)
			}
			if err := s.db.Delete(tc.key, pebble.Sync); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCommittedSignals(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	select {
	case <-s.Committed():
		t.Error("a signal, but nothing was appended")
	default:
	}
	addMany(t, s, 0, 5, 10)
	select {
	case <-s.Committed():
	case <-time.After(10 * time.Second):
		t.Error("no signal after five records")
	}
}

package spool

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestReopenKeepsEveryState(t *testing.T) {
	for _, where := range []string{"memory", "disk"} {
		t.Run(where, func(t *testing.T) {
			dir, opts := testDir, memOptions()
			if where == "disk" {
				dir, opts.FS = t.TempDir(), nil
			}
			s := openSpool(t, dir, opts)
			refs := addMany(t, s, 0, 9, 1500)
			ack(t, s, epoch, refs[1], refs[4])
			quarantine(t, s, epoch, refs[2], refs[8])
			stats := s.Stats()

			s = reopen(t, s)
			diff(t, "Stats", stats, s.Stats())
			diff(t, "pending", []Ref{refs[0], refs[3], refs[5], refs[6], refs[7]}, pending(t, s))
			diff(t, "retained", settledOf([]Ref{refs[1], refs[4]}, epoch), listed(t, s.Retained, 0))
			diff(t, "quarantined", settledOf([]Ref{refs[2], refs[8]}, epoch), listed(t, s.Quarantined, 0))
			for i, ref := range refs {
				checkRead(t, s, ref.Seq, record(i, 1500))
			}
			if next := add(t, s, record(100, 10)); next.Seq != 10 {
				t.Errorf("next number %d, want 10", next.Seq)
			}
		})
	}
}

// TestPendingIsCountedBeforeOpenReturns, as the byte limit rests on it; history
// is counted by and by.
func TestPendingIsCountedBeforeOpenReturns(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	refs := addMany(t, s, 0, 100, 50)
	ack(t, s, epoch, refs[:60]...)
	quarantine(t, s, epoch, refs[60:70]...)
	closeSpool(t, s)
	s = openSpool(t, s.dir, s.opts)
	got := s.Stats()
	got.Retained = Tally{}
	diff(t, "at once", Stats{Pending: tallyOf(refs[70:]), Quarantined: tallyOf(refs[60:70])}, got)
	eventually(t, "history is counted", func() bool { return s.Stats().Retained == tallyOf(refs[:60]) })
}

// TestSettlingWhileHistoryIsCounted: what changes state before the sweeper has
// counted is counted once.
func TestSettlingWhileHistoryIsCounted(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	refs := addMany(t, s, 0, 3000, 10)
	ack(t, s, epoch, refs[:2000]...)
	closeSpool(t, s)
	s = openSpool(t, s.dir, s.opts)
	ack(t, s, epoch, refs[1990:2500]...)
	quarantine(t, s, epoch, refs[:10]...)
	sweepNow(t, s)
	want := Stats{Pending: tallyOf(refs[2500:]), Retained: tallyOf(refs[10:2500]), Quarantined: tallyOf(refs[:10])}
	diff(t, "Stats", want, s.Stats())
}

func TestSequenceNumbersAreNeverReused(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	last := uint64(0)
	for round := range 5 {
		refs := addMany(t, s, round*10, 3, 100)
		if refs[0].Seq != last+1 {
			t.Errorf("round %d begins with %d after %d", round, refs[0].Seq, last)
		}
		last = refs[2].Seq
		ack(t, s, epoch, refs...)
		if err := s.evictBytes(1 << 20); err != nil {
			t.Fatal(err)
		}
		if left := entries(t, s)[kindRecord]; len(left) > 0 {
			t.Fatalf("left after eviction: %v", left)
		}
		s = reopen(t, s)
	}
}

// TestEvictionNotesNumbersStillBeingSynced: a record can be settled and evicted
// while its own fsync is under way, and its number is spent nevertheless.
func TestEvictionNotesNumbersStillBeingSynced(t *testing.T) {
	syncs := newSyncGate(vfs.NewMem())
	opts := memOptions()
	opts.FS = syncs.fs
	s := openSpool(t, testDir, opts)
	syncs.hold()
	done := make(chan Ref, 1)
	go func() { done <- add(t, s, record(1, 100)) }()
	syncs.awaitHeld(t)
	var refs []Ref
	eventually(t, "the record is seen", func() bool { refs = pending(t, s); return len(refs) == 1 })
	ack(t, s, epoch, refs...)
	if err := s.evictBytes(1 << 20); err != nil {
		t.Fatal(err)
	}
	value, err := s.get(metaKey(metaLastSeq))
	if err != nil || len(value) != 8 || value[7] != 1 {
		t.Errorf("noted last number %x, %v; want 1", value, err)
	}
	syncs.release()
	<-done
}

func TestOpenRefusesAnotherFormat(t *testing.T) {
	for _, tc := range []struct {
		name  string
		value []byte
		want  string
	}{
		{"newer", []byte{3}, "format 03, this program reads format 2: run the version that wrote it"},
		{"empty", nil, "format , this program reads format 2"},
		{"longer", []byte{1, 1}, "format 0101, this program reads format 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := openSpool(t, testDir, memOptions())
			if err := s.db.Set(metaKey(metaFormat), tc.value, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			closeSpool(t, s)
			_, err := Open(s.dir, s.opts)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), testDir) {
				t.Errorf("error %v, want %q in %s", err, tc.want, testDir)
			}
			checkNotLocked(t, s)
		})
	}
}

func TestOpenRefusesDamagedState(t *testing.T) {
	for key, want := range map[string]string{
		string(seqKey(kindPending, 7)):    "record 7",
		string(seqKey(kindQuarantine, 7)): "record 7",
		"p7":                              "record 0", // too short to have a number
	} {
		s := openSpool(t, testDir, memOptions())
		if err := s.db.Set([]byte(key), []byte("junk"), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		closeSpool(t, s)
		_, err := Open(s.dir, s.opts)
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "leaked") {
			t.Errorf("damaged entry %q: error %v, want %s", key, err, want)
		}
		checkNotLocked(t, s)
	}
}

// checkNotLocked: an Open that failed has let go of the directory.
func checkNotLocked(t *testing.T, s *Spool) {
	t.Helper()
	lock, err := lockDirectory(s.opts.FS, s.dir)
	if err != nil {
		t.Errorf("directory is not released: %v", err)
		return
	}
	_ = lock.Close()
}

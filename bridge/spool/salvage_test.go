package spool

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// TestSalvageKeepsAll of a spool whose manifest is gone, so that nothing but its
// tables and logs is there: records, states, receipts, marks and numbers; and what
// was evicted stays gone.
func TestSalvageKeepsAll(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		opts := memOptions()
		s := openSpool(t, testDir, opts)
		flush := func() {
			if flushed {
				if err := s.db.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		refs := addMany(t, s, 0, 40, 700)
		flush()
		ack(t, s, epoch, refs[:20]...)
		flush()
		quarantine(t, s, epoch, refs[20:25]...)
		if _, err := s.Requeue(refs[20:21]); err != nil {
			t.Fatal(err)
		}
		if err := s.evictBytes(10*refs[0].Size - 5); err != nil {
			t.Fatal(err)
		}
		flush()
		ack(t, s, epoch, refs[30])
		if err := s.SetMark(Mark{Name: "sent", Value: []byte("so far")}); err != nil {
			t.Fatal(err)
		}
		wantPending, wantRetained, wantQuarantined := pending(t, s), listed(t, s.Retained, 0), listed(t, s.Quarantined, 0)
		closeSpool(t, s)
		store, err := pebble.Peek(testDir, opts.FS)
		if err == nil {
			err = opts.FS.Remove(store.ManifestFilename)
		}
		if err != nil {
			t.Fatal(err)
		}
		result, err := Salvage(testDir, "/new", opts.FS)
		if err != nil || len(result.Lost) != 0 || result.Restated != 0 || result.Marks != 1 {
			t.Fatalf("%+v, %v", result, err)
		}
		diff(t, "gaps", []Gap{{1, 10}}, result.Gaps)
		s = openSpool(t, "/new", opts)
		diff(t, "pending", wantPending, pending(t, s))
		diff(t, "retained", wantRetained, listed(t, s.Retained, 0))
		diff(t, "quarantined", wantQuarantined, listed(t, s.Quarantined, 0))
		checkMark(t, s, "sent", "so far")
		checkRead(t, s, 30, record(29, 700))
		if next := add(t, s, record(1000, 10)); next.Seq != 41 {
			t.Errorf("the next record has number %d, want 41", next.Seq)
		}
	}
}

// TestSalvageLeavesOutMarksOfAWhole spool, where it is damaged, and nothing else.
func TestSalvageLeavesOutMarksOfAWhole(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		opts := memOptions()
		s := openSpool(t, testDir, opts)
		addMany(t, s, 0, 3, 100)
		for _, name := range []string{"sent", "stream"} {
			if err := s.SetMark(Mark{Name: name, Value: []byte("so far")}); err != nil {
				t.Fatal(err)
			}
		}
		sent, marks := "so far", 2
		if damaged {
			if err := s.db.Delete(seqKey(kindPending, 2), pebble.Sync); err != nil {
				t.Fatal(err)
			}
			sent, marks = "", 1
		}
		_ = s.Close()
		result, err := Salvage(testDir, "/new", opts.FS, "sent")
		if err != nil || result.Marks != marks || len(result.Faults) > 0 != damaged {
			t.Errorf("damaged %v: %+v, %v", damaged, result, err)
		}
		s = openSpool(t, "/new", opts)
		checkMark(t, s, "sent", sent)
		checkMark(t, s, "stream", "so far")
		if got := s.LastBefore(); got != 3 {
			t.Errorf("%d records came before, want 3", got)
		}
	}
}

// TestSalvageToAFullDisk is an error, not a short copy.
func TestSalvageToAFullDisk(t *testing.T) {
	disk := newSmallDisk(64 << 20)
	opts := memOptions()
	opts.FS, opts.BallastBytes = disk, -1
	s := openSpool(t, "/old", opts)
	addMany(t, s, 0, 300, 20_000)
	closeSpool(t, s)
	disk.setCapacity(1 << 20)
	returned(t, "Salvage", func() {
		if result, err := Salvage("/old", testDir, disk); err == nil {
			t.Errorf("no error; %+v", result.Copied)
		} else if errors.Is(err, ErrDamaged) {
			t.Errorf("the spool is blamed: %v", err)
		}
	})
}

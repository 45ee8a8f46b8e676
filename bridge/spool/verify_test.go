package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// TestVerifyFindsWhatDoesNotBelongTogether in entries that all fit their checksums,
// and salvage makes a whole spool of them.
func TestVerifyFindsWhatDoesNotBelongTogether(t *testing.T) {
	wrongRef := func(change func(*Ref)) []byte {
		r := record(2, 100)
		ref := Ref{Seq: 3, ID: r.ID, Key: r.Key, Size: r.size(), Received: r.Received}
		change(&ref)
		return appendRef(nil, ref)
	}
	number := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	for _, tc := range []struct {
		name  string
		key   []byte
		value []byte // nil deletes the entry
		want  string
		lost  int
	}{
		{"record missing", seqKey(kindRecord, 3), nil, "record 3: there is a state (pending), but no record that can be read", 1},
		{"state missing", seqKey(kindPending, 3), nil, "record 3: there is a record, but no state that can be read", 0},
		{"id missing", idKey(0, record(2, 0).ID), nil, "ids: do not lead to the records, each to its own", 0},
		{"two states", seqKey(kindQuarantine, 3), appendSettled(nil, Ref{Seq: 3}, epoch, nil), "record 3: there are 2 states", 0},
		{"id leads elsewhere", idKey(0, record(2, 0).ID), number(1), "ids: do not lead to the records, each to its own", 0},
		{"id of nothing", idKey(0, ID{1}), number(99), "ids: do not lead to the records, each to its own", 0},
		{"id does not decode", idKey(0, ID{1}), []byte("x"), "ids: do not lead to the records, each to its own", 0},
		{"record does not decode", seqKey(kindRecord, 3), []byte("x"), "record 3: the record does not decode", 1},
		{"state does not decode", seqKey(kindPending, 3), []byte("x"), "record 3: the entry of its state (pending) does not decode", 0},
		{"other size", seqKey(kindPending, 3), wrongRef(func(r *Ref) { r.Size++ }), "record 3: the state (pending) is of another record", 0},
		{"other key", seqKey(kindPending, 3), wrongRef(func(r *Ref) { r.Key++ }), "record 3: the state (pending) is of another record", 0},
		{"other id", seqKey(kindPending, 3), wrongRef(func(r *Ref) { r.ID[0]++ }), "record 3: the state (pending) is of another record", 0},
		{"format", metaKey(metaFormat), []byte{9}, "entry format: 09: this program reads format 2", 0},
		{"last number", metaKey(metaLastSeq), []byte{9}, "entry last-seq: does not decode", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := memOptions()
			s := openSpool(t, testDir, opts)
			addMany(t, s, 0, 5, 100)
			change := s.db.NewBatch()
			_ = change.Delete(tc.key, nil)
			if tc.value != nil {
				_ = change.Set(tc.key, tc.value, nil)
			}
			if err := change.Commit(pebble.Sync); err != nil {
				t.Fatal(err)
			}
			closeSpool(t, s)
			report, err := Verify(testDir, opts.FS)
			if err != nil || !report.Opens || len(report.Faults) == 0 || !strings.Contains(report.Faults[0].String(), tc.want) {
				t.Errorf("%+v, %v; want %q", report, err, tc.want)
			}
			result, err := Salvage(testDir, "/new", opts.FS)
			if err != nil || len(result.Lost) != tc.lost || result.Copied.Pending.Records != int64(5-tc.lost) {
				t.Errorf("%+v, %v", result, err)
			}
			if report, err := Verify("/new", opts.FS); err != nil || !report.Whole() {
				t.Errorf("what was salvaged: %v, %v", report.Faults, err)
			}
		})
	}
}

func TestVerifyTellsOfNeighboursAtOnce(t *testing.T) {
	opts := memOptions()
	s := openSpool(t, testDir, opts)
	addMany(t, s, 0, 9, 100)
	if err := s.db.DeleteRange(seqKey(kindPending, 3), seqKey(kindPending, 7), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	report, err := Verify(testDir, opts.FS)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "faults", []Fault{{
		Place: "records 3 to 6", What: "there is a record, but no state that can be read", Remedy: storefiles.RemedySalvage,
	}}, report.Faults)
}

// TestVerifyOfAWholeSpool in every state, with evicted history and several tables.
func TestVerifyOfAWholeSpool(t *testing.T) {
	opts := memOptions()
	s := openSpool(t, testDir, opts)
	for round := range 4 {
		refs := addMany(t, s, 40*round, 40, 1000)
		ack(t, s, epoch, refs[:20]...)
		quarantine(t, s, epoch, refs[20:25]...)
		if _, err := s.Requeue(refs[22:23]); err != nil {
			t.Fatal(err)
		}
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.evictBytes(30 * 1009); err != nil {
		t.Fatal(err)
	}
	firstSweep(t, s)
	want := s.Stats()
	closeSpool(t, s)
	report, err := Verify(testDir, opts.FS)
	if err != nil || !report.Whole() || !report.Opens {
		t.Errorf("%+v, %v", report, err)
	}
	diff(t, "Stats", want, report.Stats)
}

func TestVerifyAndSalvageRefuse(t *testing.T) {
	opts := memOptions()
	s := openSpool(t, testDir, opts)
	addMany(t, s, 0, 3, 100)
	if err := opts.FS.MkdirAll("/empty", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		dir  string
		want error
	}{
		{testDir, ErrLocked}, {"/none", os.ErrNotExist}, {"/empty", errNoSpool},
	} {
		if _, err := Verify(tc.dir, opts.FS); !errors.Is(err, tc.want) || !strings.Contains(fmt.Sprint(err), "verify spool "+tc.dir) {
			t.Errorf("Verify of %s: %v", tc.dir, err)
		}
		if _, err := Salvage(tc.dir, "/new", opts.FS); !errors.Is(err, tc.want) || !strings.Contains(fmt.Sprint(err), "salvage spool "+tc.dir) {
			t.Errorf("Salvage of %s: %v", tc.dir, err)
		}
	}
	if _, err := opts.FS.Stat("/new"); err == nil {
		t.Error("a salvage that was refused has made its directory")
	}
	closeSpool(t, s)
	if _, err := Salvage(testDir, testDir, opts.FS); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("Salvage to itself: %v", err)
	}
}

// TestVerifyChangesNothing, not even a file's time or name.
func TestVerifyChangesNothing(t *testing.T) {
	mem := vfs.NewMem()
	opts := memOptions()
	opts.FS = mem
	s := openSpool(t, testDir, opts)
	addMany(t, s, 0, 300, 1000)
	closeSpool(t, s)
	before := mem.String()
	if _, err := Verify(testDir, mem); err != nil {
		t.Fatal(err)
	}
	diff(t, "files", before, mem.String())
}

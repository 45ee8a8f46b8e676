package spool

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// writeFile makes a file with a text.
func writeFile(t testing.TB, fs vfs.FS, path, text string) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestReadLedger(t *testing.T) {
	line := formatLedgerLine
	head := line(ledgerHeader)
	for _, tc := range []struct {
		name, text string
		want       account
		damaged    bool
	}{
		{"new", head, account{}, false},
		{"in use", head + line("log 2") + line("log 17"), account{logs: []uint64{2, 17}}, false},
		{"closed", head + line("log 2") + line("closed"), account{logs: []uint64{2}, closed: true}, false},
		{"opened again", head + line("log 2") + line("closed") + line("log 5"), account{logs: []uint64{2, 5}}, false},
		{"last line cut off", head + line("log 2") + line("log 17")[:9], account{logs: []uint64{2}}, false},
		{"last line zeroed", head + line("log 2") + strings.Repeat("\x00", 16), account{logs: []uint64{2}}, false},
		{"line in between spoilt", head + "lag 2 01020304\n" + line("log 17"), account{}, true},
		{"header spoilt", "spool ledger 2 01020304\n" + line("log 2"), account{}, true},
		{"empty", "", account{}, true},
		{"zeroed", strings.Repeat("\x00", 50), account{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs := vfs.NewMem()
			writeFile(t, fs, ledgerName, tc.text)
			got, err := readLedger(fs, "")
			if errors.Is(err, ErrDamaged) != tc.damaged || err != nil && !tc.damaged {
				t.Fatalf("error %v", err)
			}
			if got.closed != tc.want.closed {
				t.Errorf("closed %v", got.closed)
			}
			diff(t, "logs", tc.want.logs, got.logs)
		})
	}
}

// TestLedgerTellsOfEveryLog that the store makes, before records are in it.
func TestLedgerTellsOfEveryLog(t *testing.T) {
	opts := memOptions()
	for range 3 {
		s := openSpool(t, testDir, opts)
		addMany(t, s, int(s.lastSeq.Load()), 30, 40_000)
		listed, err := listFiles(opts.FS, testDir)
		if err != nil {
			t.Fatal(err)
		}
		a, err := readLedger(opts.FS, testDir)
		if err != nil || a.closed {
			t.Fatalf("%+v, %v", a, err)
		}
		newest := uint64(0)
		for number := range listed.logs {
			newest = max(newest, number)
		}
		if len(a.logs) < 2 || a.logs[len(a.logs)-1] != newest {
			t.Errorf("ledger %v, logs %v", a.logs, listed.logs)
		}
		closeSpool(t, s)
		if a, err := readLedger(opts.FS, testDir); err != nil || !a.closed {
			t.Errorf("after Close: %+v, %v", a, err)
		}
	}
	if a, _ := readLedger(opts.FS, testDir); len(a.logs) > 8 {
		t.Errorf("logs that are long gone are kept in the ledger: %v", a.logs)
	}
}

// TestOldestLogFollowsTheStore: it is that of the newest log once the others are in
// tables, and what the store no longer has is never needed.
func TestOldestLogFollowsTheStore(t *testing.T) {
	opts := memOptions()
	s := openSpool(t, testDir, opts)
	before := uint64(0)
	for range 4 {
		addMany(t, s, int(s.lastSeq.Load()), 20, 1000)
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		manifest, err := currentManifest(opts.FS, testDir)
		if err != nil {
			t.Fatal(err)
		}
		oldest, err := oldestLog(opts.FS, opts.FS.PathJoin(testDir, manifest))
		if err != nil || oldest <= before {
			t.Errorf("oldest log %d after %d, %v", oldest, before, err)
		}
		before = oldest
	}
}

// FuzzEditedLog: whatever the bytes, it ends.
func FuzzEditedLog(f *testing.F) {
	f.Add([]byte{tagComparer, 3, 'a', 'b', 'c', tagLogNumber, 7, tagNextFile, 9, 100})
	f.Add([]byte{tagCreatedBacking, 1, 2, tagLogNumber, 0xff})
	f.Fuzz(func(_ *testing.T, edit []byte) { editedLog(edit) })
}

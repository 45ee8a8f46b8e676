package storefiles

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const testDir = "/store"

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// must ends the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// quietLogger drops Pebble's chatter.
type quietLogger struct{}

func (quietLogger) Infof(string, ...any)              {}
func (quietLogger) Errorf(string, ...any)             {}
func (quietLogger) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// openStore opens a store of the newest format, for which it is opened twice if it
// is new, and keeps its ledger.
func openStore(t testing.TB, on vfs.FS) (db *pebble.DB, closeStore func()) {
	t.Helper()
	must(t, on.MkdirAll(testDir, 0o700))
	found := inspected(t, on)
	diff(t, "faults", []Fault(nil), found.Faults)
	ledger, err := found.BeginLedger(on)
	must(t, err)
	options := &pebble.Options{FS: on, FormatMajorVersion: pebble.FormatNewest, Logger: quietLogger{}}
	options.EventListener = &pebble.EventListener{WALCreated: func(info pebble.WALCreateInfo) {
		must(t, ledger.AddLog(uint64(info.FileNum)))
	}}
	db, err = pebble.Open(testDir, options)
	must(t, err)
	if found.Fresh {
		must(t, db.Close())
		db, err = pebble.Open(testDir, options)
		must(t, err)
	}
	return db, func() {
		must(t, db.Close())
		must(t, ledger.Close(true))
	}
}

func inspected(t testing.TB, on vfs.FS) *Inspection {
	t.Helper()
	found, err := Inspect(on, testDir, appends)
	must(t, err)
	return found
}

// put writes the entry with a number, with a value of a size, durably.
func put(t testing.TB, db *pebble.DB, number, size int) {
	t.Helper()
	must(t, db.Set(NumberedKey('r', uint64(number)), make([]byte, size), pebble.Sync))
}

// appends is the range of the numbered entries that a batch sets.
func appends(batch []byte) (first, last uint64) {
	for changes := batchrepr.Read(batch); ; {
		kind, key, _, ok, err := changes.Next()
		if err != nil || !ok {
			return first, last
		}
		if kind == pebble.InternalKeyKindSet && len(key) == numberedSize && key[0] == 'r' {
			if last = binary.BigEndian.Uint64(key[1:]); first == 0 {
				first = last
			}
		}
	}
}

// write makes a file.
func write(t testing.TB, on vfs.FS, name string, data []byte) {
	t.Helper()
	f, err := on.Create(name, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write(bytes.Clone(data)) // in a race build MemFS changes what it was given, as it may
	must(t, errors.Join(err, f.Close()))
}

func read(t testing.TB, on vfs.FS, name string) []byte {
	t.Helper()
	f, err := on.Open(name)
	must(t, err)
	data, err := io.ReadAll(f)
	must(t, errors.Join(err, f.Close()))
	return data
}

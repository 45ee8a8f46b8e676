package storefiles

import (
	"bytes"
	"errors"
	"runtime/metrics"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// allocatedAtMost is what reading the store of FuzzDamagedStore may allocate in all:
// several times what it does when the store is whole.
const allocatedAtMost = 256 << 20

// FuzzDamagedStore puts bytes over one file of a small store, or cuts it off, and
// reads all that can be read of the store. Whatever the damage is, what is found is
// told as a fault, without a panic, in a bounded time and memory, and each entry
// that is given was written.
func FuzzDamagedStore(f *testing.F) {
	whole := smallStore(f)
	for file := range len(whole) {
		f.Add(uint8(file), uint32(0), []byte{0xff}, false)
		f.Add(uint8(file), uint32(40), []byte{}, true)
		f.Add(uint8(file), uint32(len(whole[file].data)-20), bytes.Repeat([]byte{0xff}, 16), false)
	}
	f.Fuzz(func(t *testing.T, file uint8, at uint32, over []byte, cut bool) {
		on := vfs.NewMem()
		must(t, on.MkdirAll(testDir, 0o700))
		for n, one := range whole {
			data := one.data
			if n == int(file)%len(whole) {
				data = spoilt(data, int(at), over, cut)
			}
			write(t, on, on.PathJoin(testDir, one.name), data)
		}
		before := allocated()
		readAll(t, on)
		if grown := allocated() - before; grown > allocatedAtMost {
			t.Errorf("reading it allocated %d bytes", grown)
		}
	})
}

// allocated is how many bytes this process has ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

type storeFile struct {
	name string
	data []byte
}

// entrySize is that of every entry's value in smallStore.
const entrySize = 100

// smallStore is the files of a store with two tables, deletions, and a log whose
// process was killed.
func smallStore(f *testing.F) (files []storeFile) {
	f.Helper()
	on := vfs.NewMem()
	db, closeStore := openStore(f, on)
	for n := range 30 {
		put(f, db, n+1, entrySize)
	}
	must(f, db.DeleteRange(NumberedKey('r', 5), NumberedKey('r', 9), pebble.Sync))
	must(f, db.Flush())
	for n := range 10 {
		put(f, db, n+31, entrySize)
	}
	must(f, db.Flush())
	for n := range 5 {
		put(f, db, n+41, entrySize)
	}
	names, err := on.List(testDir)
	must(f, err)
	slices.Sort(names)
	for _, name := range names {
		files = append(files, storeFile{name, read(f, on, on.PathJoin(testDir, name))})
	}
	closeStore()
	return files
}

// spoilt is data with other bytes at an offset, or cut off there.
func spoilt(data []byte, at int, over []byte, cut bool) []byte {
	at = min(max(at, 0), len(data))
	if cut {
		return append(bytes.Clone(data[:at]), over...)
	}
	out := bytes.Clone(data)
	copy(out[at:], over)
	return out
}

// readAll is what verifying and salvaging a store do with its files.
func readAll(t *testing.T, on vfs.FS) {
	t.Helper()
	found, err := Inspect(on, testDir, appends)
	if err != nil {
		t.Fatalf("inspect: %v", err)
	}
	lock, err := pebble.LockDirectory(testDir, on)
	must(t, err)
	defer func() { must(t, lock.Close()) }()
	if _, err := found.TryOpening(lock); err != nil && !errors.Is(err, ErrDamaged) {
		t.Fatalf("open: %v", err)
	}
	remains := found.OpenRemains(func(string, error) {})
	defer remains.Close()
	remains.CheckTables()
	entries := remains.Entries('r', true)
	defer entries.Close()
	for ; entries.Valid; entries.Next() {
		if number := keyNumber(entries.Key); number < 1 || number > 45 || len(entries.Value) != entrySize {
			t.Errorf("entry %d of %d bytes was never written", number, len(entries.Value))
		}
	}
}

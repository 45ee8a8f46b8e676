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
	if count := readAll(f, copied(f, whole)); count != 41 {
		f.Fatalf("%d entries before any damage", count)
	}
	for file := range whole {
		size := len(whole[file].data)
		f.Add(uint8(file), uint32(size/2), []byte{}, true)
		for at := 0; at < size; at += 7 + size/40 {
			f.Add(uint8(file), uint32(at), []byte{0xff, 0xfe}, false)
		}
	}
	f.Fuzz(func(t *testing.T, file uint8, at uint32, over []byte, cut bool) {
		damaged := slices.Clone(whole)
		one := &damaged[int(file)%len(whole)]
		one.data = spoilt(one.data, int(at), over, cut)
		on := copied(t, damaged)
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

// copied is a disk with these files in it.
func copied(t testing.TB, files []storeFile) vfs.FS {
	t.Helper()
	on := vfs.NewMem()
	must(t, on.MkdirAll(testDir, 0o700))
	for _, one := range files {
		write(t, on, on.PathJoin(testDir, one.name), one.data)
	}
	return on
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

// readAll is what verifying and salvaging a store do with its files. It returns the
// number of entries.
func readAll(t testing.TB, on vfs.FS) (count int) {
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
		if number := keyNumber(entries.Key); number < 1 || number > 45 || !bytes.Equal(entries.Value, make([]byte, entrySize)) {
			t.Errorf("entry %d was never written: %x", number, entries.Value)
		}
		count++
	}
	return count
}

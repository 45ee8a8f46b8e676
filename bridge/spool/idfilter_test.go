package spool

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func numbered(n uint64) (id ID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

func TestIDFilter(t *testing.T) {
	const capacity = 100_000
	f := newIDFilter(capacity)
	for n := range uint64(capacity) {
		f.add(numbered(n))
	}
	wrong := 0
	for n := range uint64(capacity) {
		if !f.mayHave(numbered(n)) {
			t.Fatalf("id %d was added and is missing", n)
		}
		if f.mayHave(numbered(n + capacity)) {
			wrong++
		}
	}
	if wrong > capacity/500 {
		t.Errorf("%d of %d that were not added look so: the store is asked too often", wrong, capacity)
	}
}

// While a filter is made, Appends go on; afterwards every id is known.
func TestDuplicatesAreFoundThroughARenewal(t *testing.T) {
	s := openSpool(t, "spool", memOptions())
	defer closeSpool(t, s)
	addMany(t, s, 0, 100, 10)
	next, before := s.beginRenewal()
	addMany(t, s, 100, 100, 10)
	if complete, err := s.addHeld(next, before); !complete || err != nil {
		t.Fatal(complete, err)
	}
	addMany(t, s, 200, 100, 10)
	s.ids.endRenewal(true)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	for n := range 300 {
		if got, err := s.Append(context.Background(), record(n, 10)); err != nil || !got.Duplicate {
			t.Fatalf("record %d once more: %+v, %v", n, got, err)
		}
	}
}

// The filter is made anew again and again under load, each time in the midst of it.
func TestRenewalsUnderLoad(t *testing.T) {
	s := openSpool(t, "spool", memOptions())
	defer closeSpool(t, s)
	const writers, each = 8, 250
	written := make(chan struct{})
	go func() {
		defer close(written)
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() { addMany(t, s, w*each, each, 10) })
		}
		writing.Wait()
	}()
	for under := true; under; {
		if err := s.renewIDs(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-written:
			under = false
		default:
		}
	}
	for n := range writers * each {
		if got, err := s.Append(context.Background(), record(n, 10)); err != nil || !got.Duplicate {
			t.Fatalf("record %d once more: %+v, %v", n, got, err)
		}
	}
}

// A filter is made at the start, and again when it has been added more than it is
// good for.
func TestIDFilterIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		s := openSpool(t, "spool", Options{FS: fs, Logger: quiet})
		if _, err := s.Append(context.Background(), record(1, 10)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openSpool(t, "spool", Options{FS: fs, Logger: quiet})
		defer s.Close()
		synctest.Wait()
		first := s.ids.filter.Load()
		if first == nil || first.added.Load() != 1 {
			t.Fatalf("after the start: %+v", first)
		}
		first.added.Store(first.capacity + 1)
		s.kickSweep()
		synctest.Wait()
		if second := s.ids.filter.Load(); second == first || second.added.Load() != 1 {
			t.Errorf("outgrown and not renewed: %d", second.added.Load())
		}
	})
}

func BenchmarkIDFilter(b *testing.B) {
	for _, capacity := range []int64{1 << 20, 1 << 24} {
		b.Run(fmt.Sprint(capacity), func(b *testing.B) {
			f := newIDFilter(capacity)
			for n := range uint64(b.N) {
				if id := numbered(n); !f.mayHave(id) {
					f.add(id)
				}
			}
		})
	}
}

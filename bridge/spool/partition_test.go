package spool

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// skipTo opens s again, as if it had given out all numbers up to last.
func skipTo(t *testing.T, s *Spool, last uint64) *Spool {
	t.Helper()
	if err := s.db.Set(metaKey(metaLastSeq), binary.BigEndian.AppendUint64(nil, last), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	return reopen(t, s)
}

// Duplicates are found in whatever partition their first is, after restarts and
// evictions too.
func TestDuplicatesAcrossPartitions(t *testing.T) {
	const size = 1 << partitionBits
	s := skipTo(t, openSpool(t, testDir, memOptions()), 3*size-2)
	var refs []Ref
	for n := range 4 { // the last of one partition, and three of the next
		refs = append(refs, add(t, s, record(n, 10)))
	}
	s = skipTo(t, s, 5*size)
	refs = append(refs, add(t, s, record(4, 10)))
	check := func(held ...int) {
		t.Helper()
		for n, ref := range refs {
			got, err := s.Append(context.Background(), record(n, 10))
			isHeld := len(held) > 0 && held[0] == n
			if isHeld {
				held = held[1:]
			}
			if err != nil || got.Duplicate != isHeld || isHeld && got.Seq != ref.Seq {
				t.Errorf("record %d again: %+v, %v; held %v as %d", n, got, err, isHeld, ref.Seq)
			}
		}
	}
	check(0, 1, 2, 3, 4)
	s = reopen(t, s)
	check(0, 1, 2, 3, 4)
	ack(t, s, epoch, refs[0], refs[1])
	if err := s.evictBytes(1 << 20); err != nil {
		t.Fatal(err)
	}
	if first := s.firstSeq.Load(); first != refs[2].Seq {
		t.Errorf("the first held is %d, want %d", first, refs[2].Seq)
	}
	check(2, 3, 4)
	closeSpool(t, s)
	if report, err := Verify(s.dir, s.opts.FS); err != nil || !report.Whole() {
		t.Errorf("%+v, %v", report, err)
	}
}

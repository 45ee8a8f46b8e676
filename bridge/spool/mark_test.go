package spool

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func checkMark(t *testing.T, s *Spool, name, want string) {
	t.Helper()
	got, err := s.Mark(name)
	if err != nil || string(got) != want {
		t.Errorf("mark %q: %q, %v; want %q", name, got, err, want)
	}
}

func TestMarks(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	checkMark(t, s, "stream", "")
	for _, m := range []Mark{{"stream", []byte("one")}, {"other", []byte("x")}, {"stream", []byte("two")}, {metaLastSeq, []byte("8 bytes.")}} {
		if err := s.SetMark(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Ack(nil, Mark{"acked", []byte("3")}, Mark{"other", nil}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		checkMark(t, s, "stream", "two")
		checkMark(t, s, "other", "")
		checkMark(t, s, "acked", "3")
		checkMark(t, s, metaLastSeq, "8 bytes.")
		s = reopen(t, s)
	}
	if ref := add(t, s, record(1, 10)); ref.Seq != 1 {
		t.Errorf("number %d: a caller's mark was taken for the store's own", ref.Seq)
	}
}

func TestSetMarkIsDurable(t *testing.T) {
	mem := vfs.NewCrashableMem()
	opts := memOptions()
	opts.FS = mem
	s := openSpool(t, testDir, opts)
	if err := s.SetMark(Mark{"name", []byte("value")}); err != nil {
		t.Fatal(err)
	}
	opts.FS = mem.CrashClone(vfs.CrashCloneCfg{})
	closeSpool(t, s)
	checkMark(t, openSpool(t, testDir, opts), "name", "value")
}

// TestAckAndItsMarkAreOne: after a power cut, the mark that was noted with the
// n-th Ack is there if and only if that Ack is.
func TestAckAndItsMarkAreOne(t *testing.T) {
	const records = 40
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		cut := &powerCut{mem: vfs.NewCrashableMem(), at: 130 + rng.Int64N(40), promise: &promises{}}
		cut.config = vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}
		opts := memOptions()
		opts.FS = errorfs.Wrap(cut.mem, errorfs.InjectorFunc(cut.before))
		s := openSpool(t, testDir, opts)
		for n := range records {
			ref := add(t, s, record(n, 2000))
			mark := Mark{"acked", binary.BigEndian.AppendUint64(nil, ref.Seq)}
			if err := s.Ack(settlements([]Ref{ref}, epoch), mark); err != nil {
				t.Fatal(err)
			}
		}
		cut.cut()
		closeSpool(t, s)
		opts.FS = cut.left
		after := openSpool(t, testDir, opts)
		retained := listed(t, after.Retained, 0)
		mark, err := after.Mark("acked")
		if err != nil {
			t.Fatal(err)
		}
		acked := uint64(0)
		if len(mark) == 8 {
			acked = binary.BigEndian.Uint64(mark)
		}
		if acked != uint64(len(retained)) {
			t.Errorf("seed %d: the mark says %d, %d records are acknowledged", seed, acked, len(retained))
		}
		closeSpool(t, after)
	}
}

package spool

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What is dropped leaves nothing behind, also after a power cut, and is new when it
// comes again; its number is not given out again.
func TestDrop(t *testing.T) {
	fs := vfs.NewCrashableMem()
	opts := memOptions()
	opts.FS = fs
	s := openSpool(t, testDir, opts)
	refs := addMany(t, s, 0, 3, 100)
	if err := errors.Join(s.Ack(settlements(refs[:1], epoch)), s.Quarantine(settlements(refs[1:], epoch))); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(refs[2].Seq); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().Quarantined; got != (Tally{1, refs[1].Size}) {
		t.Errorf("in quarantine: %+v", got)
	}

	opts.FS = fs.CrashClone(vfs.CrashCloneCfg{})
	cut := openSpool(t, testDir, opts)
	if _, err := cut.Read(refs[2].Seq); !errors.Is(err, ErrNotFound) {
		t.Errorf("read after a power cut: %v", err)
	}
	if _, held, err := cut.Find(refs[2].ID); held || err != nil {
		t.Errorf("found after a power cut: %v, %v", held, err)
	}
	if again := add(t, cut, record(2, 100)); again.Seq <= refs[2].Seq {
		t.Errorf("it came again as %d, was %d", again.Seq, refs[2].Seq)
	}
}

// Only what is in quarantine can be dropped.
func TestDropNothingElse(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	refs := addMany(t, s, 0, 3, 100)
	if err := errors.Join(s.Ack(settlements(refs[:1], epoch)), s.Quarantine(settlements(refs[1:2], epoch))); err != nil {
		t.Fatal(err)
	}
	before := s.Stats()
	for name, seq := range map[string]uint64{"retained": refs[0].Seq, "pending": refs[2].Seq, "not held": 9} {
		if err := s.Drop(seq); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.Stats() != before {
		t.Errorf("%+v, was %+v", s.Stats(), before)
	}
	if err := s.Drop(refs[1].Seq); err != nil {
		t.Error(err)
	}
	if err := s.Drop(refs[1].Seq); !errors.Is(err, ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
}

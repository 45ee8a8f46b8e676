package spool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// powerCut copies the disk, as a power cut would leave it, before one operation
// on it: what was synced is in the copy, and of the rest any blocks and any
// directory entries.
type powerCut struct {
	mem     *vfs.MemFS
	config  vfs.CrashCloneCfg
	at      int64 // the operation
	counted atomic.Int64
	promise *promises

	once     sync.Once
	left     *vfs.MemFS // the copy
	promised promises   // what had been promised by then
}

func (p *powerCut) before(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && p.counted.Add(1) == p.at {
		p.cut()
	}
	return nil
}

func (p *powerCut) cut() {
	p.once.Do(func() {
		p.promised = p.promise.copy()
		p.left = p.mem.CrashClone(p.config)
	})
}

// promises is what the spool's answers said.
type promises struct {
	mu          sync.Mutex
	appended    map[int]uint64 // test record to sequence number
	acked       map[int]bool   // Ack was called: these may be evicted
	quarantined map[int]bool   // Quarantine came back
}

func (p *promises) copy() promises {
	p.mu.Lock()
	defer p.mu.Unlock()
	return promises{
		appended: maps.Clone(p.appended), acked: maps.Clone(p.acked), quarantined: maps.Clone(p.quarantined),
	}
}

func (p *promises) note(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// crashBody is the body size of a test record: from nothing to larger than a
// block of the log.
func crashBody(n int) int {
	if n%17 == 0 {
		return 40_000 + n
	}
	return n * 7919 % 4000
}

// evictingBytes is a limit that the records reach: history is evicted.
const evictingBytes = 50_000

// TestPowerCut cuts the power at a random operation on the disk while records are
// appended, settled, evicted and flushed to tables.
func TestPowerCut(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 30
	}
	cutInside := 0
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 1))
			p := &promises{appended: map[int]uint64{}, acked: map[int]bool{}, quarantined: map[int]bool{}}
			cut := &powerCut{mem: vfs.NewCrashableMem(), at: 1 + rng.Int64N(180), promise: p}
			cut.config = vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 25, 50, 100}[rng.IntN(4)], RNG: rng}
			opts := memOptions()
			opts.FS = errorfs.Wrap(cut.mem, errorfs.InjectorFunc(cut.before))
			if seed%3 == 0 {
				opts.MaxBytes, opts.SweepEvery = evictingBytes, time.Millisecond
			}
			runUntilCut(t, opts, p)
			if cut.left != nil {
				cutInside++
			}
			cut.cut() // at rest, when it was not before
			evicted := opts.MaxBytes == evictingBytes
			opts = memOptions()
			opts.FS = cut.left
			checkVerifies(t, cut.left)
			opts.FS = cutWhileOpening(t, cut.left, rng)
			checkVerifies(t, opts.FS)
			s := openSpool(t, testDir, opts)
			checkKept(t, s, &cut.promised, evicted)
			if !evicted {
				checkContiguous(t, s)
			}
		})
	}
	if cutInside < seeds/2 {
		t.Errorf("only %d of %d power cuts came while the spool worked", cutInside, seeds)
	}
}

// checkVerifies: what a power cut leaves is no damage.
func checkVerifies(t *testing.T, fs vfs.FS) {
	t.Helper()
	report, err := Verify(testDir, fs)
	if err != nil && !errors.Is(err, errNoSpool) && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if !report.Whole() {
		t.Errorf("after a power cut: %v", report.Faults)
	}
}

// cutWhileOpening opens a spool, cuts the power at a random operation meanwhile,
// and returns what that leaves.
func cutWhileOpening(t *testing.T, fs *vfs.MemFS, rng *rand.Rand) *vfs.MemFS {
	t.Helper()
	cut := &powerCut{mem: fs, at: 1 + rng.Int64N(60), promise: &promises{}}
	cut.config = vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 25, 50, 100}[rng.IntN(4)], RNG: rng}
	opts := memOptions()
	opts.FS = errorfs.Wrap(fs, errorfs.InjectorFunc(cut.before))
	s, err := Open(testDir, opts)
	if err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	cut.cut()
	return cut.left
}

// runUntilCut works on a spool with several goroutines, and closes it.
func runUntilCut(t *testing.T, opts Options, p *promises) {
	s, err := Open(testDir, opts)
	if err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	for w := range 6 {
		working.Go(func() {
			for i := range 8 {
				appendAndSettle(t, s, p, w*8+i)
			}
		})
	}
	working.Go(func() {
		for range 3 {
			if err := s.db.Flush(); err != nil {
				t.Error(err)
			}
		}
	})
	working.Wait()
	closeSpool(t, s)
}

// appendAndSettle acknowledges every third record and quarantines every seventh.
func appendAndSettle(t *testing.T, s *Spool, p *promises, n int) {
	r := record(n, crashBody(n))
	a, err := s.Append(context.Background(), r)
	if err != nil {
		if s.opts.MaxBytes != evictingBytes || !errors.Is(err, ErrFull) {
			t.Error(err)
		}
		return
	}
	p.note(func() { p.appended[n] = a.Seq })
	x := []Settlement{{Ref: Ref{Seq: a.Seq}, At: epoch, Note: []byte("note")}}
	switch {
	case n%3 == 0:
		p.note(func() { p.acked[n] = true })
		err = s.Ack(x)
	case n%7 == 0:
		if err = s.Quarantine(x); err == nil {
			p.note(func() { p.quarantined[n] = true })
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// checkKept holds what a power cut has left against what had been promised. What
// was acknowledged may have been evicted, when there were evictions.
func checkKept(t *testing.T, s *Spool, p *promises, evicted bool) {
	t.Helper()
	highest := uint64(0)
	for n, seq := range p.appended {
		highest = max(highest, seq)
		got, held, err := s.Find(record(n, 0).ID)
		switch {
		case err != nil:
			t.Errorf("Find: %v", err)
		case held && got != seq:
			t.Errorf("record %d was promised as number %d and is number %d", n, seq, got)
		case !held && (!evicted || !p.acked[n]):
			t.Errorf("record %d was promised as number %d and is gone", n, seq)
		}
	}
	checkWhole(t, s)
	quarantined := map[uint64]bool{}
	for _, q := range listed(t, s.Quarantined, 0) {
		quarantined[q.Seq] = true
	}
	for n := range p.quarantined {
		if !quarantined[p.appended[n]] {
			t.Errorf("record %d was quarantined and no longer is", n)
		}
	}
	if next := add(t, s, record(1_000_000, 10)); next.Seq <= highest {
		t.Errorf("number %d was given out again", next.Seq)
	}
}

// checkWhole reads all records: each must be one that was appended, to the byte.
func checkWhole(t *testing.T, s *Spool) {
	t.Helper()
	for seq := range entries(t, s)[kindRecord] {
		r, err := s.Read(seq)
		if err != nil {
			t.Error(err)
			continue
		}
		var n int
		if _, err := fmt.Sscanf(string(r.Header), "record %d", &n); err != nil {
			t.Errorf("number %d: header %q", seq, r.Header)
			continue
		}
		checkRead(t, s, seq, record(n, crashBody(n)))
	}
}

// checkContiguous: of what was under way at the power cut, a part from the first
// on may be there, but no record without those before it.
func checkContiguous(t *testing.T, s *Spool) {
	t.Helper()
	held := entries(t, s)[kindRecord]
	for seq := range uint64(len(held)) {
		if !held[seq+1] {
			t.Errorf("of %d records, number %d is missing", len(held), seq+1)
		}
	}
}

// TestPowerCutAfterRequeue: Requeue is durable, as an operator relies on it.
func TestPowerCutAfterRequeue(t *testing.T) {
	mem := vfs.NewCrashableMem()
	opts := memOptions()
	opts.FS = mem
	s := openSpool(t, testDir, opts)
	refs := addMany(t, s, 0, 3, 100)
	quarantine(t, s, epoch, refs[:2]...)
	if _, err := s.Requeue(refs[:2]); err != nil {
		t.Fatal(err)
	}
	opts.FS = mem.CrashClone(vfs.CrashCloneCfg{})
	closeSpool(t, s)
	diff(t, "pending", refs, pending(t, openSpool(t, testDir, opts)))
}

func TestPowerCutAfterQuarantine(t *testing.T) {
	mem := vfs.NewCrashableMem()
	opts := memOptions()
	opts.FS = mem
	s := openSpool(t, testDir, opts)
	refs := addMany(t, s, 0, 3, 100)
	quarantine(t, s, epoch, refs[1])
	opts.FS = mem.CrashClone(vfs.CrashCloneCfg{})
	closeSpool(t, s)
	after := openSpool(t, testDir, opts)
	diff(t, "quarantined", settledOf(refs[1:2], epoch), listed(t, after.Quarantined, 0))
	diff(t, "pending", []Ref{refs[0], refs[2]}, pending(t, after))
}

// TestPowerCutAfterFirstAppend: the directories above a new spool are durable too.
func TestPowerCutAfterFirstAppend(t *testing.T) {
	for _, dir := range []string{"/spool", "/data/spool", "/srv/a/b/c/spool", "data/spool"} {
		t.Run(dir, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			opts := memOptions()
			opts.FS = mem
			s, err := Open(dir, opts)
			if err != nil {
				t.Fatal(err)
			}
			add(t, s, record(1, 100))
			opts.FS = mem.CrashClone(vfs.CrashCloneCfg{})
			closeSpool(t, s)
			if got := pending(t, openSpool(t, dir, opts)); len(got) != 1 {
				t.Errorf("%d records after a power cut, want 1", len(got))
			}
		})
	}
}

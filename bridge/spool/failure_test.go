package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// faultyDisk fails the operations that which chooses, once it is told to.
type faultyDisk struct {
	mem   *vfs.MemFS
	fs    vfs.FS
	which func(errorfs.Op) bool
	on    atomic.Bool
	hits  atomic.Int64
}

func newFaultyDisk(which func(errorfs.Op) bool) *faultyDisk {
	d := &faultyDisk{mem: vfs.NewCrashableMem(), which: which}
	d.fs = errorfs.Wrap(d.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if d.on.Load() && d.which(op) {
			d.hits.Add(1)
			return syscall.EIO
		}
		return nil
	}))
	return d
}

// healed is the disk as the process's end leaves it, without what was not synced.
func (d *faultyDisk) healed() vfs.FS { return d.mem.CrashClone(vfs.CrashCloneCfg{}) }

// ops chooses operations of one kind on the files whose name contains part.
func ops(part string, kinds ...errorfs.OpKind) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		for _, kind := range kinds {
			if op.Kind == kind && strings.Contains(op.Path, part) {
				return true
			}
		}
		return false
	}
}

var (
	logSync       = ops(".log", errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo)
	logWrite      = ops(".log", errorfs.OpFileWrite)
	manifestSync  = ops("MANIFEST", errorfs.OpFileSync, errorfs.OpFileSyncData)
	manifestWrite = ops("MANIFEST", errorfs.OpFileWrite)
	directorySync = func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileSync && op.Path == testDir }
)

// returned waits for f, which must not hang.
func returned(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s has not returned in 20 s", what)
	}
}

// TestFailingDiskAcknowledgesNothing: from the failure on no Append is answered
// with nil, whoever waits gets away, and what was acknowledged before is kept.
func TestFailingDiskAcknowledgesNothing(t *testing.T) {
	for _, tc := range []struct {
		name  string
		which func(errorfs.Op) bool
		flush bool // the fault is met by a flush
	}{
		{"fsync of the log", logSync, false},
		{"write to the log", logWrite, false},
		{"fsync of the manifest", manifestSync, true},
		{"write to the manifest", manifestWrite, true},
		{"fsync of the directory", directorySync, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := newFaultyDisk(tc.which)
			opts := memOptions()
			opts.FS = disk.fs
			s := openSpool(t, testDir, opts)
			addMany(t, s, 0, 20, 1500)
			disk.on.Store(true)
			if tc.flush {
				go func() { _ = s.db.Flush() }()
				<-s.Failed()
			}
			returned(t, "Append", func() { appendInVain(t, s, 16) })
			checkFailed(t, s)
			returned(t, "Close", func() {
				if err := s.Close(); !errors.Is(err, ErrFailed) {
					t.Errorf("Close: %v", err)
				}
			})
			opts.FS = disk.healed()
			again := openSpool(t, testDir, opts)
			for n := range 20 {
				checkRead(t, again, uint64(n+1), record(n, 1500))
			}
			addMany(t, again, 1000, 3, 10)
		})
	}
}

// appendInVain appends new records from many goroutines: all must get ErrFailed.
func appendInVain(t *testing.T, s *Spool, writers int) {
	t.Helper()
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			if a, err := s.Append(context.Background(), record(100+w, 1500)); !errors.Is(err, ErrFailed) {
				t.Errorf("Append on a failing disk: %+v, %v", a, err)
			}
		})
	}
	writing.Wait()
}

func checkFailed(t *testing.T, s *Spool) {
	t.Helper()
	select {
	case <-s.Failed():
	default:
		t.Error("Failed is not closed")
	}
	if err := s.Err(); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), syscall.EIO.Error()) {
		t.Errorf("Err() = %v, want ErrFailed with its cause", err)
	}
	if err := s.Admits(1); !errors.Is(err, ErrFailed) {
		t.Errorf("Admits: %v", err)
	}
}

func TestHealthySpoolHasNotFailed(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	add(t, s, record(1, 10))
	select {
	case <-s.Failed():
		t.Error("Failed is closed")
	default:
	}
	if err := s.Err(); err != nil {
		t.Errorf("Err() = %v", err)
	}
}

// TestSweeperEndsAtAFailure, before Close is called, and does not go on to log
// what it can no longer do.
func TestSweeperEndsAtAFailure(t *testing.T) {
	disk := newFaultyDisk(logSync)
	opts := memOptions()
	opts.FS = disk.fs
	before := goroutines()
	s := openSpool(t, testDir, opts)
	firstSweep(t, s)
	disk.on.Store(true)
	appendInVain(t, s, 1)
	eventually(t, "the sweeper has ended", func() bool {
		return !slices.ContainsFunc(newGoroutines(before), func(stack string) bool { return strings.Contains(stack, "sweepLoop") })
	})
	_ = s.Close()
}

// TestFailureReleasesAppendsInLine: those whose group waits behind the one that
// fails get ErrFailed as well.
func TestFailureReleasesAppendsInLine(t *testing.T) {
	syncs := newSyncGate(vfs.NewMem())
	opts := memOptions()
	opts.FS = syncs.fs
	s := openSpool(t, testDir, opts)
	syncs.hold()
	first := make(chan error, 1)
	go func() { _, err := s.Append(context.Background(), record(0, 10)); first <- err }()
	syncs.awaitHeld(t)
	inLine := make(chan error, 10)
	for n := range 10 {
		go func() { _, err := s.Append(context.Background(), record(1+n, 10)); inLine <- err }()
	}
	eventually(t, "all wait", func() bool { return s.intake.length() == 10 })
	syncs.releaseWith(syscall.EIO)
	returned(t, "an Append", func() {
		for range 10 {
			if err := <-inLine; !errors.Is(err, ErrFailed) {
				t.Errorf("in line: %v", err)
			}
		}
		if err := <-first; !errors.Is(err, ErrFailed) {
			t.Errorf("first: %v", err)
		}
	})
	_ = s.Close()
}

// TestFailureWhileClosing: Close must not wait for a committer that is held.
func TestFailureWhileClosing(t *testing.T) {
	syncs := newSyncGate(vfs.NewMem())
	opts := memOptions()
	opts.FS = syncs.fs
	s := openSpool(t, testDir, opts)
	syncs.hold()
	appended := make(chan error, 1)
	go func() { _, err := s.Append(context.Background(), record(0, 10)); appended <- err }()
	syncs.awaitHeld(t)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	eventually(t, "Close has begun", s.intake.isClosed)
	syncs.releaseWith(syscall.EIO)
	returned(t, "Close", func() {
		if err := <-closed; !errors.Is(err, ErrFailed) {
			t.Errorf("Close: %v", err)
		}
		if err := <-appended; !errors.Is(err, ErrFailed) {
			t.Errorf("Append: %v", err)
		}
	})
}

// TestAckOnAFailingDisk: Ack does not wait for the disk, so that it meets a
// failure late; it must be an error then, not a panic.
func TestAckOnAFailingDisk(t *testing.T) {
	for _, tc := range []struct {
		name  string
		which func(errorfs.Op) bool
	}{{"write", logWrite}, {"fsync", logSync}} {
		t.Run(tc.name, func(t *testing.T) {
			disk := newFaultyDisk(tc.which)
			opts := memOptions()
			opts.FS = disk.fs
			s := openSpool(t, testDir, opts)
			refs := addMany(t, s, 0, 10, 100)
			disk.on.Store(true)
			if tc.name == "fsync" {
				returned(t, "Append", func() { appendInVain(t, s, 1) })
			}
			x := settlements(refs, epoch)
			x[0].Note = make([]byte, 10_000) // fills the log's blocks
			returned(t, "Ack", func() {
				eventually(t, "Ack tells of the failure", func() bool { return errors.Is(s.Ack(x), ErrFailed) })
			})
			checkFailed(t, s)
			if err := s.Ack(x); !errors.Is(err, ErrFailed) {
				t.Errorf("the next Ack: %v", err)
			}
			_ = s.Close()
		})
	}
}

// TestFailedTableIsWrittenAgain: what is in the log is safe, so that a table that
// cannot be written is no failure of the spool.
func TestFailedTableIsWrittenAgain(t *testing.T) {
	disk := newFaultyDisk(ops(".sst", errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpCreate))
	opts := memOptions()
	opts.FS = disk.fs
	s := openSpool(t, testDir, opts)
	addMany(t, s, 0, 10, 1500)
	disk.on.Store(true)
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a table fails", func() bool { return disk.hits.Load() > 0 })
	addMany(t, s, 10, 10, 1500)
	disk.on.Store(false)
	<-flushed
	for n := range 20 {
		checkRead(t, s, uint64(n+1), record(n, 1500))
	}
}

// TestEveryFaultOfOpenIsAnError fails one operation of Open after the other, on a
// new directory and on one that holds records. Open must come back, with an
// error or a spool that works, and lose nothing.
func TestEveryFaultOfOpenIsAnError(t *testing.T) {
	for _, records := range []int{0, 5} {
		t.Run(fmt.Sprintf("%d records", records), func(t *testing.T) {
			failed := 0
			for n := int64(1); ; n++ {
				met, err := openWithFault(t, records, n)
				if !met {
					break
				}
				if err != nil {
					failed++
				}
			}
			if failed < 10 {
				t.Errorf("only %d faults stopped Open", failed)
			}
		})
	}
}

// openWithFault fails the n-th operation of Open that writes; met tells whether
// there were so many.
func openWithFault(t *testing.T, records int, n int64) (met bool, openErr error) {
	t.Helper()
	count := int64(0)
	var mu sync.Mutex
	disk := newFaultyDisk(func(op errorfs.Op) bool {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			count++
		}
		return count == n && op.Kind.ReadOrWrite() == errorfs.OpIsWrite
	})
	opts := memOptions()
	opts.FS = disk.fs
	if records > 0 {
		s, err := Open(testDir, opts)
		if err != nil {
			t.Fatal(err)
		}
		addMany(t, s, 0, records, 100)
		closeSpool(t, s)
	}
	disk.on.Store(true)
	returned(t, fmt.Sprintf("Open with fault %d", n), func() {
		var s *Spool
		if s, openErr = Open(testDir, opts); openErr == nil {
			_ = s.Close()
		} else if !strings.Contains(openErr.Error(), testDir) || !strings.Contains(openErr.Error(), syscall.EIO.Error()) {
			t.Errorf("fault %d: error without directory or cause: %v", n, openErr)
		}
	})
	opts.FS = disk.healed()
	again, err := Open(testDir, opts)
	if err != nil {
		t.Fatalf("after fault %d: %v", n, err)
	}
	if got := pending(t, again); len(got) != records {
		t.Errorf("after fault %d: %d records, want %d", n, len(got), records)
	}
	closeSpool(t, again)
	return disk.hits.Load() > 0, openErr
}

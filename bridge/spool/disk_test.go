package spool

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

const testBallast = MinBallastBytes

// TestCheckDecidesByFreeSpace: the ballast and as much again must be free, and a
// quarter more before a full disk counts as healed.
func TestCheckDecidesByFreeSpace(t *testing.T) {
	const size = 1000
	for _, tc := range []struct {
		name             string
		ballast, low     bool // before
		free             uint64
		wantBallast, now bool
	}{
		{"plenty", true, false, 1e6, true, false},
		{"just enough", true, false, size, true, false},
		{"too little", true, false, size - 1, true, true},
		{"none", true, false, 0, true, true},
		{"low, and a little more", true, true, size + size/4 - 1, true, true},
		{"low, and enough again", true, true, size + size/4, true, false},
		{"new disk", false, false, 1e6, true, false},
		{"new disk, just enough", false, false, 2*size + size/4, true, false},
		{"new disk, too small for a ballast", false, false, 2*size + size/4 - 1, false, true},
		{"ballast given up, still full", false, true, 0, false, true},
		{"ballast given up, space again", false, true, 2*size + size/4, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mem := vfs.NewMem()
			d := newDisk(mem, "/", size, quiet, func() {})
			if tc.ballast {
				d.makeBallast()
			}
			d.isLow.Store(tc.low)
			mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: tc.free, TotalBytes: 1e9})
			d.check()
			if d.short() != (tc.free < 2*size || !tc.wantBallast) && tc.ballast {
				t.Errorf("short: %v", d.short())
			}
			if d.low() != tc.now {
				t.Errorf("low: %v, want %v", d.low(), tc.now)
			}
			if got := ballastSize(mem, "/") == size; got != tc.wantBallast || d.ballast != tc.wantBallast {
				t.Errorf("ballast on disk %v, known %v; want %v", got, d.ballast, tc.wantBallast)
			}
		})
	}
}

// ballastSize is -1 when there is none.
func ballastSize(fs vfs.FS, dir string) int64 {
	info, err := fs.Stat(fs.PathJoin(dir, ballastName))
	if err != nil {
		return -1
	}
	return info.Size()
}

func TestBallastIsFoundAgain(t *testing.T) {
	mem := vfs.NewMem()
	newDisk(mem, "/", 1000, quiet, nil).makeBallast()
	for _, tc := range []struct {
		size int64
		want bool
	}{{1000, true}, {999, false}, {2000, false}} {
		if d := newDisk(mem, "/", tc.size, quiet, nil); d.ballast != tc.want {
			t.Errorf("ballast of 1000 bytes counts as one of %d: %v", tc.size, d.ballast)
		}
	}
}

// TestBallastThatCannotBeMadeIsToldOnce, and not at each look.
func TestBallastThatCannotBeMadeIsToldOnce(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1e9, TotalBytes: 1e9})
	broken := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite {
			return syscall.EDQUOT
		}
		return nil
	})}
	broken.On()
	var log logbook
	d := newDisk(errorfs.Wrap(mem, broken), "/", 1000, log.logger(), nil)
	for range 5 {
		d.check()
	}
	if !d.low() || ballastSize(mem, "/") != -1 || log.count("ballast not made") != 1 {
		t.Errorf("low %v, ballast of %d bytes, log:\n%s", d.low(), ballastSize(mem, "/"), &log)
	}
	broken.Off()
	d.check()
	if d.low() || ballastSize(mem, "/") != 1000 {
		t.Errorf("healed: low %v, ballast of %d bytes", d.low(), ballastSize(mem, "/"))
	}
}

// diskUnderTest is a disk that can be filled and emptied.
type diskUnderTest struct {
	dir   string
	fs    vfs.FS
	fill  func() // not a byte is left
	empty func()

	swings int // how often it may be seen to fill and empty at most
}

func memoryDisk() diskUnderTest {
	d := newSmallDisk(64 << 20)
	return diskUnderTest{testDir, d, func() { d.fill(0) }, func() { d.setCapacity(64 << 20) }, 1}
}

// TestFullDisk fills the disk under a working spool and empties it again.
func TestFullDisk(t *testing.T) { tryFullDisk(t, memoryDisk()) }

func tryFullDisk(t *testing.T, disk diskUnderTest) {
	var log logbook
	opts := Options{
		FS: disk.fs, BallastBytes: testBallast, SweepEvery: 2 * time.Millisecond, Logger: log.logger(), Retention: 1e6 * time.Hour,
	}
	s := openSpool(t, disk.dir, opts)
	eventually(t, "ballast is made", func() bool { return ballastSize(disk.fs, disk.dir) == testBallast })
	history := addMany(t, s, 0, 100, 2000) // its going alone does not heal the disk
	ack(t, s, epoch, history...)
	addMany(t, s, 100, 10, 10_000)

	disk.fill()
	appendUntilFull(t, s, 1000)
	refs := pending(t, s) // some were taken on the way
	ack(t, s, epoch, refs[0])
	quarantine(t, s, epoch, refs[1])
	eventually(t, "history is evicted", func() bool { return s.Stats().Retained.Records == 0 })
	if err := s.Err(); err != nil {
		t.Fatalf("failed on a full disk: %v", err)
	}
	for i, ref := range refs[2:10] {
		checkRead(t, s, ref.Seq, record(102+i, 10_000))
	}

	disk.empty()
	eventually(t, "records are taken again", func() bool { return s.Admits(1) == nil })
	addMany(t, s, 5000, 5, 10_000)
	if got := ballastSize(disk.fs, disk.dir); got != testBallast {
		t.Errorf("ballast of %d bytes after healing", got)
	}
	full := log.count("disk is full")
	eventually(t, "the log tells of the space", func() bool { return log.count("has space again") == full })
	if full < 1 || full > disk.swings {
		t.Errorf("%d lines say that the disk is full:\n%s", full, &log)
	}
}

// appendUntilFull appends until ErrFull, which must be the only error.
func appendUntilFull(t *testing.T, s *Spool, from int) {
	t.Helper()
	for n := from; ; n++ {
		_, err := s.Append(context.Background(), record(n, 10_000))
		if errors.Is(err, ErrFull) {
			if !strings.Contains(err.Error(), "bytes are free on its disk") {
				t.Errorf("the error does not say what is full: %v", err)
			}
			return
		}
		if err != nil || n > from+10_000 {
			t.Fatalf("Append on a full disk, the %d-th: %v", n-from+1, err)
		}
	}
}

// TestHistoryMakesRoomBeforeTheDiskIsFull, so that nothing need be refused for it.
func TestHistoryMakesRoomBeforeTheDiskIsFull(t *testing.T) {
	disk := newSmallDisk(64 << 20)
	opts := memOptions()
	opts.FS, opts.BallastBytes = disk, testBallast
	s := openSpool(t, testDir, opts)
	firstSweep(t, s)
	history := addMany(t, s, 0, 1500, 10_000)
	ack(t, s, epoch, history...)
	refs := addMany(t, s, 1500, 3, 10_000)
	sweepNow(t, s)
	diff(t, "with space enough", Stats{Pending: tallyOf(refs), Retained: tallyOf(history)}, s.Stats())
	disk.fill(2*testBallast - 1)
	sweepNow(t, s)
	if left := s.Stats().Retained.Bytes; left > tallyOf(history).Bytes-testBallast {
		t.Errorf("%d bytes of history are held though the disk is short of space", left)
	}
	diff(t, "pending", refs, pending(t, s))
	disk.setCapacity(64 << 20)
	sweepNow(t, s)
}

// TestWriteThatMeetsAFullDisk: when the disk fills between two looks, the ballast
// is given up, the very write that found out succeeds, and the next is refused.
func TestWriteThatMeetsAFullDisk(t *testing.T) {
	disk := newSmallDisk(64 << 20)
	opts := memOptions()
	opts.FS, opts.BallastBytes = disk, testBallast
	var log logbook
	opts.Logger = log.logger()
	s := openSpool(t, testDir, opts)
	firstSweep(t, s)
	addMany(t, s, 0, 3, 10_000)
	disk.fill(5000)
	met := add(t, s, record(3, 50_000))
	if disk.refusals() == 0 || ballastSize(disk, testDir) != -1 {
		t.Errorf("%d writes refused, ballast of %d bytes", disk.refusals(), ballastSize(disk, testDir))
	}
	if _, err := s.Append(context.Background(), record(4, 10)); !errors.Is(err, ErrFull) {
		t.Errorf("the next: %v", err)
	}
	checkRead(t, s, met.Seq, record(3, 50_000))
	disk.setCapacity(64 << 20)
	sweepNow(t, s)
	add(t, s, record(4, 10))
	if log.count("disk is full") != 1 || log.count("has space again") != 1 {
		t.Errorf("log:\n%s", &log)
	}
}

// TestOpenOnAFullDisk: what is pending can be drained after a restart.
func TestOpenOnAFullDisk(t *testing.T) {
	disk := newSmallDisk(64 << 20)
	opts := memOptions()
	opts.FS, opts.BallastBytes = disk, testBallast
	s := openSpool(t, testDir, opts)
	firstSweep(t, s)
	refs := addMany(t, s, 0, 5, 10_000)
	closeSpool(t, s)
	disk.fill(0)
	s = openSpool(t, testDir, opts)
	diff(t, "pending", refs, pending(t, s))
	ack(t, s, epoch, refs...)
	sweepNow(t, s)
	if _, err := s.Append(context.Background(), record(9, 10)); !errors.Is(err, ErrFull) {
		t.Errorf("Append: %v", err)
	}
	disk.setCapacity(64 << 20)
	sweepNow(t, s)
	add(t, s, record(9, 10))
}

// TestDiskWithoutUsage: on a file system that does not tell its free space the
// spool works, without a ballast.
func TestDiskWithoutUsage(t *testing.T) {
	opts := memOptions()
	s := openSpool(t, testDir, opts)
	firstSweep(t, s)
	add(t, s, record(1, 10))
	if got := ballastSize(opts.FS, testDir); got != -1 {
		t.Errorf("ballast of %d bytes", got)
	}
}

// TestStoreFitsTheBallast: what the store writes before it can free anything is a
// fixed share of every ballast, and the default costs it nothing of its speed.
func TestStoreFitsTheBallast(t *testing.T) {
	for _, ballast := range []int64{MinBallastBytes, 24 << 20, defaultBallastBytes, 1 << 40} {
		o := &pebble.Options{}
		fitBallast(o, ballast)
		o.EnsureDefaults()
		memtable, table := int64(o.MemTableSize), o.TargetFileSizes[0]
		if memtable > ballast/4 || o.LBaseMaxBytes > ballast/4 || table > ballast/32 || o.MaxManifestFileSize > ballast/16 {
			t.Errorf("ballast %d: memtable %d, first level %d, table %d, manifest %d", ballast, memtable, o.LBaseMaxBytes, table, o.MaxManifestFileSize)
		}
		if ballast >= defaultBallastBytes && memtable != 16<<20 {
			t.Errorf("ballast %d: memtable %d, want 16 MiB", ballast, memtable)
		}
	}
}

func TestUnfitBallastIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name          string
		disk, ballast int64
		want          string
	}{
		{"too small", 1 << 30, MinBallastBytes - 1, "give it 4194304 at least"},
		{"too small a disk", 4*MinBallastBytes - 1, MinBallastBytes, "give it a quarter of the disk at most"},
		{"just fits", 4 * MinBallastBytes, MinBallastBytes, ""},
		{"none", 1 << 20, -1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := memOptions()
			opts.FS, opts.BallastBytes = newSmallDisk(tc.disk), tc.ballast
			s, err := Open(testDir, opts)
			if tc.want == "" && err == nil {
				closeSpool(t, s)
			} else if tc.want == "" || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestDiskFilledAgain: another program takes the ballast's place as well. Writes
// wait, the spool lives, and it goes on when there is space.
func TestDiskFilledAgain(t *testing.T) {
	disk := newSmallDisk(64 << 20)
	opts := memOptions()
	opts.FS, opts.BallastBytes = disk, testBallast
	s := openSpool(t, testDir, opts)
	firstSweep(t, s)
	refs := addMany(t, s, 0, 3, 10_000)
	disk.fill(0)
	add(t, s, record(3, 100_000)) // takes the ballast's place in part
	disk.fill(0)
	acked := make(chan error, 1)
	before := disk.refusals()
	go func() { acked <- s.Ack([]Settlement{{Ref: refs[0], At: epoch, Note: make([]byte, 200_000)}}) }()
	eventually(t, "writes are tried again", func() bool { return disk.refusals() > before+5 })
	if err := s.Err(); err != nil {
		t.Fatalf("failed: %v", err)
	}
	disk.setCapacity(64 << 20)
	if err := <-acked; err != nil {
		t.Fatal(err)
	}
	sweepNow(t, s)
	add(t, s, record(4, 10))
}

// TestEvictedSpaceIsHadBack: on a full disk nothing is written over what was evicted,
// also by an earlier process, so that no compaction of the store's own frees it.
func TestEvictedSpaceIsHadBack(t *testing.T) {
	for _, restart := range []bool{false, true} {
		disk := newSmallDisk(64 << 20)
		opts := memOptions()
		opts.FS, opts.BallastBytes = disk, testBallast
		s := openSpool(t, testDir, opts)
		firstSweep(t, s)
		refs := addMany(t, s, 0, 200, 50_000)
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		ack(t, s, epoch, refs[:100]...)
		if err := s.evictBytes(1 << 40); err != nil {
			t.Fatal(err)
		}
		if restart {
			closeSpool(t, s)
			s = openSpool(t, testDir, opts)
		}
		disk.fill(0)
		s.disk.onFull()
		sweepNow(t, s)
		held, err := s.db.EstimateDiskUsage([]byte{kindRecord}, []byte{kindRecord + 1})
		if want := uint64(tallyOf(refs[100:]).Bytes * 11 / 10); err != nil || held > want {
			t.Errorf("restart %v: tables of records take %d bytes, want %d at most, %v", restart, held, want, err)
		}
		diff(t, "pending", refs[100:], pending(t, s))
		disk.setCapacity(64 << 20)
		sweepNow(t, s)
	}
}

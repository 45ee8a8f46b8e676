package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// mountSmall mounts a file system of that many MiB for the test. Only root can:
// without it the test is skipped, and never in silence for another reason.
func mountSmall(t *testing.T, mebibytes int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mebibytes))
	switch {
	case err == nil:
	case errors.Is(err, syscall.EPERM) && (os.Getuid() != 0 || os.Getenv("CI") != "true"):
		t.Skipf("a small file system cannot be mounted, which takes root: %v", err)
	default:
		t.Fatalf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// TestBallastTakesRealSpace: a sparse file would reserve nothing.
func TestBallastTakesRealSpace(t *testing.T) {
	dir := t.TempDir()
	d := newDisk(vfs.Default, dir, 300_001, quiet, nil)
	d.makeBallast()
	var stat syscall.Stat_t
	if err := syscall.Stat(d.path(), &stat); err != nil {
		t.Fatal(err)
	}
	if stat.Size != 300_001 || stat.Blocks*512 < stat.Size {
		t.Errorf("ballast of %d bytes takes %d", stat.Size, stat.Blocks*512)
	}
}

// fillTo takes all space of a disk but free bytes, at one stroke: a program that
// goes on writing would take the ballast's place as well, and no spool could help.
// The stroke fails, and is done again, when the spool writes meanwhile.
func fillTo(t *testing.T, file string, free int64) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	eventually(t, "the disk is filled", func() bool {
		usage, err := vfs.Default.GetDiskUsage(file)
		if err != nil {
			t.Fatal(err)
		}
		return syscall.Fallocate(int(f.Fd()), 0, 0, int64(usage.AvailBytes)-free) == nil
	})
}

// TestFullRealDisk does the same as TestFullDisk with a file system of the kernel.
func TestFullRealDisk(t *testing.T) {
	mount := mountSmall(t, 64)
	filler := mount + "/filler"
	tryFullDisk(t, diskUnderTest{
		dir: mount + "/spool", fs: vfs.Default,
		fill:  func() { fillTo(t, filler, 4096) },
		empty: func() { _ = os.Remove(filler) },

		swings: 10,
	})
}

// TestHistoryMakesRoomOnARealDisk writes twice what a small disk holds, while the
// limit would allow more than it holds: history must make room by itself.
func TestHistoryMakesRoomOnARealDisk(t *testing.T) {
	const size, total, bodySize = 448, 900 << 20, 100_000
	mount := mountSmall(t, size)
	s := openSpool(t, mount+"/spool", Options{SweepEvery: 200 * time.Millisecond, Logger: quiet, Retention: 1e6 * time.Hour})
	r := record(0, bodySize)
	for n, refused := 0, 0; n < total/bodySize; {
		binary.BigEndian.PutUint64(r.ID[:], uint64(n))
		a, err := s.Append(context.Background(), r)
		switch {
		case err == nil:
			ack(t, s, epoch, Ref{Seq: a.Seq})
			n++
		case errors.Is(err, ErrFull) && refused < 10_000:
			refused++
			time.Sleep(2 * time.Millisecond) // as a sender that tries again
		default:
			t.Fatalf("after %d records, refused %d times: %v", n, refused, err)
		}
	}
	eventually(t, "the disk has space", func() bool { return s.Admits(1) == nil })
	if held := s.Stats().Retained.Bytes; held == 0 {
		t.Error("all history is gone, more than was needed")
	}
}

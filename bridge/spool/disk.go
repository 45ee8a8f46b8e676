package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const ballastName = "BALLAST"

// disk watches the free space under the spool. It holds a ballast file in
// reserve: when a write finds the disk full, the ballast is given up, the write
// is retried (vfs.OnDiskFull), and the spool refuses records until there is room
// for the ballast again. If another program takes the ballast's place as well, what
// Pebble could not go on without waits for space (patientFS).
type disk struct {
	fs      vfs.FS
	dir     string
	size    int64 // of the ballast, and of what must be free besides
	log     *slog.Logger
	alarm   func() // asks for a sweep
	isLow   atomic.Bool
	isShort atomic.Bool
	mu      sync.Mutex // guards the ballast file
	ballast bool       // the file exists, whole
	warned  bool       // the log tells that the ballast cannot be made
}

func newDisk(fs vfs.FS, dir string, size int64, log *slog.Logger, alarm func()) *disk {
	d := &disk{fs: fs, dir: dir, size: size, log: log, alarm: alarm}
	info, err := fs.Stat(d.path())
	d.ballast = err == nil && info.Size() == size
	return d
}

// fits is nil unless the whole disk is too small for what the ballast makes the store
// take (fitBallast): once filled, it would never have space enough again.
func (d *disk) fits() error {
	usage, err := d.fs.GetDiskUsage(d.dir)
	if err != nil || int64(usage.TotalBytes) >= 4*d.size {
		return nil //nolint:nilerr // not a real disk
	}
	return fmt.Errorf("a disk of %d bytes is too small for a ballast of %d: give it a quarter of the disk at most", usage.TotalBytes, d.size)
}

// DiskUsage is how many bytes of dir's disk are free for this process, and how many it
// has.
func DiskUsage(dir string) (free, total int64, err error) {
	usage, err := vfs.Default.GetDiskUsage(dir)
	return int64(usage.AvailBytes), int64(usage.TotalBytes), err
}

func (d *disk) path() string { return d.fs.PathJoin(d.dir, ballastName) }

// low tells whether records are refused for lack of space.
func (d *disk) low() bool { return d.isLow.Load() }

// short tells whether history should make room, so that it does not come to low.
func (d *disk) short() bool { return d.isShort.Load() }

// onFull gives up the ballast. Every write to the disk waits for it.
func (d *disk) onFull() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ballast = false
	if err := d.fs.Remove(d.path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.log.Error("spool: ballast not removed", "file", d.path(), "error", err)
	}
	d.isShort.Store(true)
	d.setLow(true, 0)
	d.alarm()
}

// check looks at the free space: short while less than twice size is free beside
// the ballast, low while less than size is, and then until a quarter more is.
func (d *disk) check() {
	usage, err := d.fs.GetDiskUsage(d.dir)
	if err != nil {
		return // not a real disk; onFull still tells
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	free := int64(usage.AvailBytes)
	if !d.ballast && free >= 2*d.size+d.size/4 {
		d.makeBallast()
		free -= d.size
	}
	d.isShort.Store(!d.ballast || free < 2*d.size)
	switch {
	case !d.ballast || free < d.size:
		d.setLow(true, free)
	case free >= d.size+d.size/4:
		d.setLow(false, free)
	}
}

// setLow logs the change, not each look.
func (d *disk) setLow(low bool, free int64) {
	if d.isLow.Swap(low) == low {
		return
	}
	if low {
		d.log.Error("spool: disk is full, webhooks are refused until there is space", "dir", d.dir, "free_bytes", free, "needed_bytes", d.size)
		return
	}
	d.log.Info("spool: disk has space again, webhooks are taken", "dir", d.dir, "free_bytes", free)
}

// makeBallast writes real bytes: a sparse file would reserve nothing, and not
// every file system can preallocate.
func (d *disk) makeBallast() {
	err := d.writeBallast()
	if err != nil {
		_ = d.fs.Remove(d.path())
		if !d.warned {
			d.log.Warn("spool: ballast not made", "file", d.path(), "error", err)
		}
	}
	d.ballast, d.warned = err == nil, err != nil
}

func (d *disk) writeBallast() error {
	f, err := d.fs.Create(d.path(), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for left := d.size; left > 0 && err == nil; left -= int64(len(block)) {
		_, err = f.Write(block[:min(left, int64(len(block)))])
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// patientFS has writes wait for space where Pebble ends the process without it: in the
// write-ahead log and the manifest. Tables do not wait, since one that is given up
// frees what it took, maybe for the log. await returns whether to try again.
type patientFS struct {
	vfs.FS
	await func() bool
}

func (fs patientFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	return fs.patient(name, f, err)
}

func (fs patientFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(from, to, category)
	return fs.patient(to, f, err)
}

func (fs patientFS) patient(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || strings.HasSuffix(name, ".sst") {
		return f, err
	}
	return patientFile{f, fs.await}, nil
}

type patientFile struct {
	vfs.File
	await func() bool
}

func (f patientFile) Write(p []byte) (n int, err error) {
	for {
		m, err := f.File.Write(p[n:])
		n += m
		if !errors.Is(err, syscall.ENOSPC) || !f.await() {
			return n, err
		}
	}
}

// awaitSpace waits before a write to a full disk is tried again; false when it is not
// to be: while the spool is opened, closed or has failed, and without a ballast.
func (s *Spool) awaitSpace() bool {
	if !s.opened.Load() || s.opts.BallastBytes < 0 {
		return false
	}
	select {
	case <-s.quit:
		return false
	case <-s.failed:
		return false
	case <-time.After(10 * time.Millisecond):
		return true
	}
}

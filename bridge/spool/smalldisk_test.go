package spool

import (
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// smallDisk holds the files in testDir to a capacity, which can change as if
// another program took space or gave it back. It writes what fits, as disks do.
type smallDisk struct {
	vfs.FS
	mu       sync.Mutex
	capacity int64
	total    int64 // the disk's size; others take what capacity is below it
	refused  int   // writes that did not fit
}

func newSmallDisk(capacity int64) *smallDisk {
	return &smallDisk{FS: vfs.NewMem(), capacity: capacity, total: capacity}
}

func (d *smallDisk) setCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// fill leaves free bytes of free space.
func (d *smallDisk) fill(free int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = d.used() + free
}

func (d *smallDisk) refusals() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused
}

// used is the sum of all files; d.mu must be held.
func (d *smallDisk) used() (sum int64) {
	names, _ := d.FS.List(testDir)
	for _, name := range names {
		if info, err := d.FS.Stat(d.PathJoin(testDir, name)); err == nil && !info.IsDir() {
			sum += info.Size()
		}
	}
	return sum
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	used := d.used()
	return vfs.DiskUsage{
		AvailBytes: uint64(max(0, d.capacity-used)), TotalBytes: uint64(d.total), UsedBytes: uint64(used),
	}, nil
}

func (d *smallDisk) Unwrap() vfs.FS { return d.FS }

func (d *smallDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.wrap(d.FS.Create(name, c))
}

func (d *smallDisk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.wrap(d.FS.ReuseForWrite(from, to, c))
}

func (d *smallDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.wrap(d.FS.OpenReadWrite(name, c, o...))
}

func (d *smallDisk) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &smallDiskFile{File: f, disk: d}, nil
}

type smallDiskFile struct {
	vfs.File
	disk *smallDisk
	pos  int64
}

func (f *smallDiskFile) Write(p []byte) (n int, err error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	room := max(info.Size()-f.pos, 0) + max(f.disk.capacity-f.disk.used(), 0)
	if fits := min(int64(len(p)), room); fits > 0 {
		n, err = f.File.Write(p[:fits])
		f.pos += int64(n)
	}
	if err == nil && n < len(p) {
		f.disk.refused++
		err = syscall.ENOSPC
	}
	return n, err
}

package spool

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// Failed is closed when the disk has failed under the spool: a write or an fsync
// of the write-ahead log came back with an error. What was acknowledged is safe;
// whether anything else is on disk is unknown, so nothing is taken any more and
// the process should end. Err tells why.
func (s *Spool) Failed() <-chan struct{} { return s.failed }

// Err is nil until Failed is closed, then an ErrFailed with its cause.
func (s *Spool) Err() error {
	if p := s.fault.Load(); p != nil {
		return *p
	}
	return nil
}

// setFault notes the first failure, and lets every waiting Append go with it.
func (s *Spool) setFault(reason string) {
	err := fmt.Errorf("%w: %s", ErrFailed, reason)
	if s.fault.CompareAndSwap(nil, &err) {
		close(s.failed)
	}
}

// fail is called by the store in place of ending the process. It never returns:
// the store must not go on.
func (s *Spool) fail(reason string) {
	s.setFault(reason)
	select {}
}

// apply commits and closes batch. When the disk fails it returns ErrFailed: in a
// goroutine of its own, since Pebble holds that for ever (see fail), or panics
// when it finds its log broken by a batch that had not waited for the disk.
func (s *Spool) apply(batch *pebble.Batch, how *pebble.WriteOptions) error {
	if err := s.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				s.setFault(fmt.Sprintf("commit: %v", p))
			}
		}()
		done <- errors.Join(batch.Commit(how), batch.Close())
	}()
	select {
	case err := <-done:
		return err
	case <-s.failed:
		return s.Err()
	}
}

// dirSyncFS fails the spool when a directory cannot be synced. Pebble would panic
// then, in a goroutine of its own. It also syncs the directory where Pebble relies
// on the order in which a file system keeps changes of it: a manifest is to be
// there before the marker that names it, and a marker before the one it replaces
// is removed.
type dirSyncFS struct {
	vfs.FS
	fail func(reason string)
}

func (fs dirSyncFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil || !strings.HasPrefix(fs.PathBase(name), "MANIFEST-") {
		return f, err
	}
	if err := storefiles.SyncDirectory(fs.FS, fs.PathDir(name)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (fs dirSyncFS) Remove(name string) error {
	if strings.HasPrefix(fs.PathBase(name), "marker.") {
		if err := storefiles.SyncDirectory(fs.FS, fs.PathDir(name)); err != nil {
			return err
		}
	}
	return fs.FS.Remove(name)
}

func (fs dirSyncFS) OpenDir(name string) (vfs.File, error) {
	d, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return dirSyncFile{File: d, name: name, fail: fs.fail}, nil
}

type dirSyncFile struct {
	vfs.File
	name string
	fail func(reason string)
}

func (d dirSyncFile) Sync() error {
	if err := d.File.Sync(); err != nil {
		d.fail(fmt.Sprintf("sync directory %s: %v", d.name, err))
	}
	return nil
}

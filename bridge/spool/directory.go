package spool

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// makeDirectory makes dir and its missing parents, and syncs the directory above
// each that it made: else a power cut could take the new spool as a whole.
func makeDirectory(on vfs.FS, dir string) error {
	parent := on.PathDir(dir)
	if _, err := on.Stat(dir); err == nil || parent == dir {
		return nil
	}
	if err := makeDirectory(on, parent); err != nil {
		return err
	}
	if err := on.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return storefiles.SyncDirectory(on, parent)
}

// lockDirectory takes the lock that one process at a time can have. A lock file
// that cannot even be opened is no sign of another process.
func lockDirectory(on vfs.FS, dir string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, on)
	var noFile *fs.PathError
	switch {
	case err == nil:
		return lock, nil
	case errors.As(err, &noFile):
		return nil, fmt.Errorf("lock: %w", err)
	default:
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	}
}

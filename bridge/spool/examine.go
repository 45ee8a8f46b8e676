package spool

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// examined is a spool that no bridge has open, as it is read without changing it.
type examined struct {
	*storefiles.Remains
	lock   *pebble.Lock
	opens  bool // the store opens
	faults faultList
}

var errNoSpool = errors.New("there is no spool here")

// examine locks a spool and reads of it what can be read: of a store that opens,
// the tables that it names, else all.
func examine(dir string, on vfs.FS) (*examined, error) {
	if _, err := on.Stat(dir); err != nil {
		return nil, err
	}
	lock, err := lockDirectory(on, dir)
	if err != nil {
		return nil, err
	}
	e := &examined{lock: lock}
	if err := e.read(on, dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return e, nil
}

func (e *examined) read(on vfs.FS, dir string) error {
	found, err := storefiles.Inspect(on, dir, appendedIn)
	if err != nil {
		return err
	}
	if e.opens, err = found.TryOpening(e.lock); err != nil {
		return err
	}
	if e.faults.list = found.Faults; found.Fresh && len(found.Faults) == 0 {
		return errNoSpool
	}
	e.Remains = found.OpenRemains(func(place string, err error) { e.faults.add(place, err.Error()) })
	return nil
}

// close lets go of the spool.
func (e *examined) close() {
	e.Remains.Close()
	_ = e.lock.Close()
}

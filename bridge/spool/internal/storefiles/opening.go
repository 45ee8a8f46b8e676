package storefiles

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
)

// MarkedOpening is as Marked, for the error of opening the store. There Pebble does
// not tell damage by its errors' type, so all is damage but what the disk or the
// operating system refuses.
func (i *Inspection) MarkedOpening(err error) error {
	var refused syscall.Errno
	if err == nil || errors.As(err, &refused) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: %s does not open: %s", ErrDamaged, i.store(), OneLine(err.Error()))
}

// store names the files by which it is opened.
func (i *Inspection) store() string { return "the store of " + i.manifest + " and " + i.options }

// TryOpening opens the store without changing anything, if there is one and no
// fault speaks against it. Of a store that opens, Tables is then those that it
// names; others are unfinished or superfluous, and the next start removes them.
// That it does not open is a new fault.
func (i *Inspection) TryOpening(lock *pebble.Lock) (opens bool, err error) {
	if i.Fresh || len(i.Faults) > 0 {
		return false, nil
	}
	named, err := i.openReadOnly(lock)
	if err == nil {
		i.Tables = slices.DeleteFunc(i.Tables, func(name string) bool { return !slices.Contains(named, name) })
		return true, nil
	}
	if err := i.MarkedOpening(err); !errors.Is(err, ErrDamaged) {
		return false, err
	}
	i.fault(i.store(), "does not open: "+OneLine(err.Error()), RemedySalvage)
	return false, nil
}

// openReadOnly returns the tables that the store names.
func (i *Inspection) openReadOnly(lock *pebble.Lock) (named []string, err error) {
	defer Catch(&err)
	db, err := pebble.Open(i.dir, &pebble.Options{
		FS: i.fs, Lock: lock, ReadOnly: true, ErrorIfNotExists: true, FormatMajorVersion: pebble.FormatNewest,
		Logger:        panicLogger{},
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}},
	})
	if err != nil {
		return nil, err
	}
	levels, err := db.SSTables()
	for _, tables := range levels {
		for _, t := range tables {
			named = append(named, fmt.Sprintf("%s.sst", t.FileNum))
		}
	}
	return named, errors.Join(err, db.Close())
}

// Catch turns a panic of Pebble's, which it has for bytes that it cannot make
// sense of, into ErrDamaged.
func Catch(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, p)
	}
}

// panicLogger hears the store's last words as a panic, for Catch.
type panicLogger struct{}

func (panicLogger) Infof(string, ...any)              {}
func (panicLogger) Errorf(string, ...any)             {}
func (panicLogger) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

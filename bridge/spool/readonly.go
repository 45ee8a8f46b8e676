package spool

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// examined is a spool that no bridge has open, as it is read without changing it.
type examined struct {
	*inspection
	lock    *pebble.Lock
	db      *pebble.DB // nil when the store does not open
	stored  uint64     // the highest number in it
	behind  uint64     // the highest that is held: the next start rescues what is above stored from a log
	remains *remains
	faults  faultList
}

// examine locks a spool and opens what can be opened of it.
func examine(dir string, on vfs.FS) (*examined, error) {
	if _, err := on.Stat(dir); err != nil {
		return nil, err
	}
	lock, err := lockDirectory(on, dir)
	if err != nil {
		return nil, err
	}
	e := &examined{lock: lock}
	if err := e.open(on, dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return e, nil
}

var errNoSpool = errors.New("there is no spool here")

func (e *examined) open(on vfs.FS, dir string) (err error) {
	if e.inspection, err = inspect(on, dir); err != nil {
		return err
	}
	e.faults.list = e.inspection.faults
	if e.fresh && len(e.faults.list) == 0 {
		return errNoSpool
	}
	if len(e.faults.list) == 0 {
		e.db, err = openReadOnly(on, dir, e.lock)
	}
	switch {
	case errors.Is(markedOpening("", err), ErrDamaged):
		e.faults.add(e.store(), "does not open: "+err.Error(), remedySalvage)
	case err != nil:
		return err
	}
	return e.openFiles()
}

// openFiles reads what there is by itself: of a store that opens, the tables that
// it names, else all.
func (e *examined) openFiles() error {
	if e.db != nil {
		e.stored, _ = lastRecord(e.db) // 0 when a table is so damaged that it cannot be opened
		if err := e.keepNamed(); err != nil {
			return errors.Join(err, e.db.Close())
		}
	}
	e.remains = openRemains(e.inspection, e.tables, func(place string, err error) {
		e.faults.add(place, err.Error(), remedySalvage)
	})
	return nil
}

// keepNamed leaves out unfinished and superfluous tables, which the next start
// removes.
func (e *examined) keepNamed() error {
	levels, err := e.db.SSTables()
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, tables := range levels {
		for _, t := range tables {
			named[fmt.Sprintf("%s.sst", t.FileNum)] = true
		}
	}
	e.tables = slices.DeleteFunc(e.tables, func(name string) bool { return !named[name] })
	return nil
}

// close lets go of the spool. Its errors say again what could not be read.
func (e *examined) close() {
	_ = e.remains.close()
	if e.db != nil {
		_ = e.db.Close()
	}
	_ = e.lock.Close()
}

// openReadOnly opens a store so that nothing on disk is changed.
func openReadOnly(on vfs.FS, dir string, lock *pebble.Lock) (db *pebble.DB, err error) {
	defer catch(&err)
	return pebble.Open(dir, &pebble.Options{
		FS: on, Lock: lock, ReadOnly: true, ErrorIfNotExists: true, FormatMajorVersion: pebble.FormatNewest,
		MaxOpenFiles: 256, Logger: panicLogger{},
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}},
	})
}

// panicLogger hears the store's last words as a panic, for catch.
type panicLogger struct{}

func (panicLogger) Infof(string, ...any)              {}
func (panicLogger) Errorf(string, ...any)             {}
func (panicLogger) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// faultList gathers faults, each once.
type faultList struct {
	list []Fault
	run  run
}

func (l *faultList) add(place, what, remedy string) {
	if f := (Fault{place, oneLine(what), remedy}); !slices.Contains(l.list, f) {
		l.list = append(l.list, f)
	}
}

// run is neighbouring records with the same fault.
type run struct {
	first, last uint64
	what        string
}

// addRecord adds a fault of one record to those of its neighbours.
func (l *faultList) addRecord(seq uint64, what string) {
	if l.run.what == what && l.run.last+1 == seq {
		l.run.last = seq
		return
	}
	l.endRun()
	l.run = run{first: seq, last: seq, what: what}
}

// endRun must be called after the last addRecord.
func (l *faultList) endRun() {
	r := l.run
	switch l.run = (run{}); {
	case r.what == "":
	case r.first == r.last:
		l.list = append(l.list, Fault{fmt.Sprintf("record %d", r.first), r.what, remedySalvage})
	default:
		l.list = append(l.list, Fault{fmt.Sprintf("records %d to %d", r.first, r.last), r.what, remedySalvage})
	}
}

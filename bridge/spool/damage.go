package spool

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// ErrDamaged is the cause of every error about bytes on disk that are not what
// was written, or are missing.
var ErrDamaged = storefiles.ErrDamaged

// Fault is one thing that is wrong with a spool on disk.
type Fault = storefiles.Fault

// remedy tells the operator what to do about a damaged spool. The program keeps
// the spool one level below its data directory.
func remedy(on vfs.FS, dir string) string {
	return "run zenduty-bridge spool verify --data-dir " + on.PathDir(dir)
}

// told marks an error of the store's that tells of damage, and says what to do.
func (s *Spool) told(err error) error {
	if err = storefiles.Marked(err); errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%w (%s)", err, remedy(s.opts.FS, s.dir))
	}
	return err
}

// faultList gathers faults, each once, and those of neighbouring records as one.
type faultList struct {
	list []Fault

	run         int // in list, the fault of the records from first to last
	first, last uint64
}

func (l *faultList) add(place, what string) {
	what = storefiles.OneLine(what)
	for _, f := range l.list {
		if f.Place == place && f.What == what {
			return
		}
	}
	l.list = append(l.list, Fault{Place: place, What: what, Remedy: storefiles.RemedySalvage})
}

// addRecord adds what is wrong with one record.
func (l *faultList) addRecord(seq uint64, what string) {
	if l.first > 0 && l.last+1 == seq && l.list[l.run].What == what {
		l.last = seq
		l.list[l.run].Place = fmt.Sprintf("records %d to %d", l.first, l.last)
		return
	}
	l.run, l.first, l.last = len(l.list), seq, seq
	l.list = append(l.list, Fault{Place: fmt.Sprintf("record %d", seq), What: what, Remedy: storefiles.RemedySalvage})
}

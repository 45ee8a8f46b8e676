package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrDamaged is the cause of every error about bytes on disk that are not what
// was written, or are missing.
var ErrDamaged = errors.New("spool is damaged")

// remedy tells the operator what to do about a damaged spool. The program keeps
// the spool one level below its data directory.
func remedy(on vfs.FS, dir string) string {
	return "run zenduty-bridge spool verify --data-dir " + on.PathDir(dir)
}

// Fault is one thing that is wrong with a spool on disk.
type Fault struct {
	Place  string `json:"place"`  // a file and where in it, or records
	What   string `json:"what"`   // what is wrong there
	Remedy string `json:"remedy"` // what can be done about it
}

func (f Fault) String() string { return f.Place + ": " + f.What }

// The ways out of damage.
const (
	remedySalvage = "salvage copies all that can still be read"
	remedyRestore = "put it back, or salvage: that copies all that can still be read"
)

// damaged makes one error of faults; nil when there are none.
func damaged(faults []Fault) error {
	switch len(faults) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: %v", ErrDamaged, faults[0])
	default:
		return fmt.Errorf("%w: %v, and %d more faults", ErrDamaged, faults[0], len(faults)-1)
	}
}

// marked adds ErrDamaged to an error of the store's that tells of damage.
func marked(err error) error {
	if err == nil || errors.Is(err, ErrDamaged) || !pebble.IsCorruptionError(err) {
		return err
	}
	return fmt.Errorf("%w: %s", ErrDamaged, oneLine(err.Error()))
}

// oneLine is a text without line breaks, which the store's errors have.
func oneLine(text string) string {
	return strings.ReplaceAll(strings.TrimSuffix(text, "\n<corruption detail carrier>"), "\n", "; ")
}

// told is as marked, and says what to do, for callers of the spool.
func (s *Spool) told(err error) error {
	if err = marked(err); errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%w (%s)", err, remedy(s.opts.FS, s.dir))
	}
	return err
}

// markedOpening is as marked, for a store that does not open: there Pebble does
// not tell damage by its errors' type, so all is damage but what the disk or the
// operating system refuses.
func markedOpening(what string, err error) error {
	var refused syscall.Errno
	switch {
	case err == nil || errors.Is(err, ErrDamaged) || errors.Is(err, ErrFailed):
		return err
	case errors.As(err, &refused) && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return fmt.Errorf("%w: %s does not open: %s", ErrDamaged, what, oneLine(err.Error()))
}

// catch turns a panic of the store's, which it has for bytes that it cannot make
// sense of, into ErrDamaged.
func catch(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, p)
	}
}

// readFile reads a whole file; the log's files, the largest, are a few memtables
// long.
func readFile(on vfs.FS, path string) ([]byte, error) {
	f, err := on.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

package storefiles

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// ErrDamaged is the cause of every error about bytes on disk that are not what
// was written, or are missing.
var ErrDamaged = errors.New("spool is damaged")

// Fault is one thing that is wrong with a store on disk.
type Fault struct {
	Place  string `json:"place"`  // a file and where in it, or entries
	What   string `json:"what"`   // what is wrong there
	Remedy string `json:"remedy"` // what can be done about it
}

func (f Fault) String() string { return f.Place + ": " + f.What }

// The ways out of damage.
const (
	RemedySalvage = "salvage copies all that can still be read"
	RemedyRestore = "put it back, or salvage: that copies all that can still be read"
)

// Damage makes one error of faults; nil when there are none.
func Damage(faults []Fault) error {
	switch len(faults) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: %v", ErrDamaged, faults[0])
	default:
		return fmt.Errorf("%w: %v, and %d more faults", ErrDamaged, faults[0], len(faults)-1)
	}
}

// Marked adds ErrDamaged to an error of an open store that tells of damage.
func Marked(err error) error {
	if err == nil || errors.Is(err, ErrDamaged) || !pebble.IsCorruptionError(err) {
		return err
	}
	return fmt.Errorf("%w: %s", ErrDamaged, OneLine(err.Error()))
}

// OneLine is a text without line breaks, which Pebble's errors have.
func OneLine(text string) string {
	return strings.ReplaceAll(strings.TrimSuffix(text, "\n<corruption detail carrier>"), "\n", "; ")
}

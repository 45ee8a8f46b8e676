package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// files is what a spool's directory has, by kind.
type files struct {
	fs      vfs.FS
	dir     string
	logs    map[uint64]string // write-ahead logs, their names by number
	tables  []string          // in order
	options string            // the last of the files OPTIONS
	traces  bool              // of a store that was made to the end
}

func listFiles(on vfs.FS, dir string) (files, error) {
	names, err := on.List(dir)
	if err != nil {
		return files{}, err
	}
	slices.Sort(names)
	f := files{fs: on, dir: dir, logs: map[uint64]string{}}
	for _, name := range names {
		if number, _, ok := wal.ParseLogFilename(name); ok {
			f.logs[uint64(number)] = name
		}
		if strings.HasSuffix(name, ".sst") {
			f.tables = append(f.tables, name)
		}
		if strings.HasPrefix(name, "OPTIONS-") || strings.HasPrefix(name, "marker."+formatMarker) {
			f.traces = true
		}
		if strings.HasPrefix(name, "OPTIONS-") {
			f.options = name
		}
	}
	return f, nil
}

func (f files) path(name string) string { return f.fs.PathJoin(f.dir, name) }

// hasRecords: something is there that could hold some. A store that was being made
// when its process ended has none.
func (f files) hasRecords() bool { return len(f.tables)+len(f.logs) > 0 }

// inspection is what can be said of a directory before its store is opened.
type inspection struct {
	files
	manifest string  // its name
	account  account // of the ledger
	oldest   uint64  // the oldest log that is needed
	fresh    bool    // there is no store yet
	torn     string  // where the last log ends in a write that was cut off
	rescue   []byte  // the append behind that, if there is one
	faults   []Fault // for which the store may not be opened
}

// inspect finds what the store would pass over in silence when it is opened, and
// then remove: it takes a missing manifest for a new store, a broken one for a
// shorter one, a missing log for an empty one, and damage near the end of a log
// for its end. Nothing is changed. The error is of the disk, not of the spool.
func inspect(on vfs.FS, dir string) (*inspection, error) {
	listed, err := listFiles(on, dir)
	if err != nil {
		return nil, err
	}
	i := &inspection{files: listed}
	manifest, err := currentManifest(on, dir)
	switch {
	case err != nil:
		i.fault("marker", err.Error(), remedySalvage)
		return i, nil
	case manifest == "":
		i.inspectUnmarked()
		return i, nil
	}
	i.manifest = manifest
	if i.oldest, err = oldestLog(on, i.path(manifest)); err != nil {
		return i, i.unlessDamage(manifest, err)
	}
	i.account, err = readLedger(on, dir)
	if errors.Is(err, fs.ErrNotExist) && !i.hasRecords() {
		err = nil
	}
	if err != nil {
		return i, i.unlessDamage(ledgerName, err)
	}
	return i, i.inspectLogs()
}

func (i *inspection) fault(place, what, remedy string) {
	i.faults = append(i.faults, Fault{Place: place, What: what, Remedy: remedy})
}

// unlessDamage notes a file that is missing or damaged as a fault; any other
// error is the disk's, and returned.
func (i *inspection) unlessDamage(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		i.fault(name, "missing", remedyRestore)
	case errors.Is(err, ErrDamaged):
		i.fault(name, err.Error(), remedySalvage)
	default:
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// inspectUnmarked looks at a directory without the marker of a manifest: a new
// store's, unless there are traces of another.
func (i *inspection) inspectUnmarked() {
	i.fresh = true
	if i.hasRecords() || i.traces {
		i.fault("marker."+manifestMarker, "missing, but there are a store's files", remedyRestore)
	}
}

// inspectLogs holds the logs that are needed against the ledger, and reads them.
func (i *inspection) inspectLogs() error {
	for _, number := range i.account.logs {
		if _, there := i.logs[number]; !there && number >= i.oldest {
			i.fault(logName(number), "missing and still needed, unless "+i.manifest+" is cut short or damaged", remedyRestore)
		}
	}
	for _, number := range i.needed() {
		if err := i.inspectLog(number); err != nil {
			return err
		}
	}
	return nil
}

func logName(number uint64) string { return fmt.Sprintf("%06d.log", number) }

// needed is the logs that the store replays, oldest first.
func (i *inspection) needed() []uint64 {
	var numbers []uint64
	for number := range i.logs {
		if number >= i.oldest {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// mustEndClean: a log ends with a trailer if it was followed by another, or the
// spool was closed.
func (i *inspection) mustEndClean(number uint64) bool {
	needed := i.needed()
	if number != needed[len(needed)-1] {
		return true
	}
	logs := i.account.logs
	return i.account.closed && len(logs) > 0 && logs[len(logs)-1] == number
}

func (i *inspection) inspectLog(number uint64) error {
	name := i.logs[number]
	if number > math.MaxUint32 {
		return nil // its chunks hold a part of the number, which Pebble checks
	}
	data, err := readFile(i.fs, i.path(name))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	place := func(at int64) string { return name + ", offset " + strconv.FormatInt(at, 10) }
	s := scanLog(data, uint32(number))
	rescue := s.judge()
	switch {
	case s.end == endDamaged:
		i.fault(place(s.at), "damaged: what follows had been synced after it", remedySalvage)
	case s.end != endClean && i.mustEndClean(number):
		i.fault(place(s.at), "cut off or damaged: the log had been closed and does not end as one", remedySalvage)
	case s.end == endTorn:
		i.torn, i.rescue = place(s.at), rescue
	case s.end == endOpen:
		i.rescue = rescue
	}
	return nil
}

// store names the files by which a store is opened, for when it does not.
func (i *inspection) store() string { return "the store of " + i.manifest + " and " + i.options }

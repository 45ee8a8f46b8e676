package storefiles

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// Inspection is what can be said of a directory before its store is opened.
type Inspection struct {
	Fresh  bool     // there is no store yet
	Old    bool     // it is of an older format than the newest, or being made
	Torn   string   // where the last log ends in a write that was cut off; mostly nowhere
	Rescue []byte   // a batch behind the last log's end that is to be appended again
	Tables []string // the tables' files
	Faults []Fault  // for which the store may not be opened

	fs       vfs.FS
	dir      string
	manifest string // its name
	options  string // the name of the file OPTIONS
	oldest   uint64 // the oldest log that is needed
	logs     []uint64
	account  account // of the ledger
}

// Inspect finds what a store would pass over in silence when it is opened, and then
// remove: it takes a missing manifest for a new store, a broken one for a shorter
// one, a missing log for an empty one, and damage near the end of a log for its
// end. Nothing is changed. The error is of the disk, not of the store.
func Inspect(on vfs.FS, dir string, appends Appends) (*Inspection, error) {
	i := &Inspection{fs: on, dir: dir}
	if err := i.list(); err != nil {
		return nil, err
	}
	store, err := pebble.Peek(dir, on)
	if err != nil {
		i.fault("marker", err.Error(), RemedySalvage)
		return i, nil
	}
	i.options = on.PathBase(store.OptionsFilename)
	i.Old = store.FormatMajorVersion < pebble.FormatNewest
	if !store.Exists {
		i.Fresh = true
		if i.hasRecords() || store.OptionsFilename != "" || store.FormatMajorVersion != pebble.FormatDefault {
			i.fault("marker.manifest", "missing, but there are a store's files", RemedyRestore)
		}
		return i, nil
	}
	i.manifest = on.PathBase(store.ManifestFilename)
	if i.oldest, err = oldestLog(on, store.ManifestFilename); err != nil {
		return i, i.unlessDamage(i.manifest, err)
	}
	i.account, err = readLedger(on, dir)
	if err != nil && (i.hasRecords() || !errors.Is(err, fs.ErrNotExist)) {
		return i, i.unlessDamage(LedgerName, err)
	}
	return i, i.inspectLogs(appends)
}

func (i *Inspection) list() error {
	names, err := i.fs.List(i.dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			i.Tables = append(i.Tables, name)
		}
		if number, _, ok := wal.ParseLogFilename(name); ok {
			i.logs = append(i.logs, uint64(number))
		}
	}
	slices.Sort(i.logs)
	return nil
}

// hasRecords: something is there that could hold some. A store that was being made
// when its process ended has none.
func (i *Inspection) hasRecords() bool { return len(i.Tables)+len(i.logs) > 0 }

func (i *Inspection) fault(place, what, remedy string) {
	i.Faults = append(i.Faults, Fault{Place: place, What: what, Remedy: remedy})
}

// unlessDamage notes a file that is missing or damaged as a fault; any other
// error is the disk's, and returned.
func (i *Inspection) unlessDamage(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		i.fault(name, "missing", RemedyRestore)
	case errors.Is(err, ErrDamaged):
		i.fault(name, err.Error(), RemedySalvage)
	default:
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// inspectLogs holds the logs that are needed against the ledger, and reads them.
func (i *Inspection) inspectLogs(appends Appends) error {
	for _, number := range i.account.logs {
		if number >= i.oldest && !slices.Contains(i.logs, number) {
			i.fault(logName(number), "missing and still needed, unless "+i.manifest+" is cut short or damaged", RemedyRestore)
		}
	}
	i.Rescue = i.account.rescue
	for _, number := range i.needed() {
		scan, err := i.scan(number)
		if err != nil {
			return err
		}
		i.inspectLog(number, scan, appends)
	}
	return nil
}

func logName(number uint64) string { return fmt.Sprintf("%06d.log", number) }

// needed is the logs that the store replays, oldest first.
func (i *Inspection) needed() []uint64 {
	from, _ := slices.BinarySearch(i.logs, i.oldest)
	return i.logs[from:]
}

// scan reads a log. Its chunks hold the lower half of its number.
func (i *Inspection) scan(number uint64) (logScan, error) {
	data, err := readFile(i.fs, i.fs.PathJoin(i.dir, logName(number)))
	if err != nil {
		return logScan{}, fmt.Errorf("read %s: %w", logName(number), err)
	}
	return scanLog(data, uint32(number&math.MaxUint32)), nil
}

// mustEndClean: a log ends with a trailer if it was followed by another, or the
// store was closed.
func (i *Inspection) mustEndClean(number uint64) bool {
	if number != i.logs[len(i.logs)-1] {
		return true
	}
	logs := i.account.logs
	return i.account.closed && len(logs) > 0 && logs[len(logs)-1] == number
}

func (i *Inspection) inspectLog(number uint64, s logScan, appends Appends) {
	var rescue []byte
	if s.end == endOpen || s.end == endTorn {
		rescue = s.judge(appends)
	}
	place := fmt.Sprintf("%s, offset %d", logName(number), s.at)
	switch {
	case s.end == endDamaged:
		i.fault(place, "damaged: what follows had been synced after it", RemedySalvage)
	case s.end != endClean && i.mustEndClean(number):
		i.fault(place, "cut off or damaged: the log had been closed and does not end as one", RemedySalvage)
	case s.end == endTorn:
		i.Torn = place
	}
	if rescue != nil {
		i.Rescue = rescue
	}
}

// readFile reads a whole file; the logs, the largest, are a few memtables long.
func readFile(on vfs.FS, path string) ([]byte, error) {
	f, err := on.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// SyncDirectory puts the names in a directory on stable storage.
func SyncDirectory(on vfs.FS, dir string) error {
	d, err := on.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Report is what Verify has found.
type Report struct {
	Opens  bool    // the store opens; else the counts are of what salvage would find
	Stats  Stats   // the records that can be read, by state
	Faults []Fault // none: the spool is whole
}

// Whole tells that every byte is as it was written, and every entry has those that
// belong to it.
func (r Report) Whole() bool { return len(r.Faults) == 0 }

// Verify reads all of a spool that no bridge has open, and changes nothing in it
// (but makes the file LOCK if that is missing): all blocks against their
// checksums, and all entries against each other. fs is where the spool lives, nil
// for the machine's.
// The error is ErrLocked when a process has the spool open, or tells why it could
// not be looked at; what is wrong with the spool is in the report.
func Verify(dir string, fs vfs.FS) (Report, error) {
	report, err := verify(dir, orDefault(fs))
	if err != nil {
		return report, fmt.Errorf("verify spool %s: %w", dir, err)
	}
	return report, nil
}

func orDefault(fs vfs.FS) vfs.FS {
	if fs == nil {
		return vfs.Default
	}
	return fs
}

func verify(dir string, on vfs.FS) (report Report, err error) {
	defer catch(&err)
	e, err := examine(dir, on)
	if err != nil {
		return report, err
	}
	report.Opens = e.db != nil
	e.checkTables()
	e.checkHoldings(&report.Stats)
	if report.Opens {
		e.checkMeta()
		e.checkIDs()
	}
	report.Faults = e.faults.list
	e.close()
	return report, nil
}

// checkTables reads every block of the tables.
func (e *examined) checkTables() {
	for _, name := range e.tables {
		if err := checkTable(e.files, name); err != nil {
			e.faults.add(name, err.Error(), remedySalvage)
		}
	}
}

// checkHoldings holds each record against its state and, in a store, its id, and
// counts those that can be read.
func (e *examined) checkHoldings(stats *Stats) {
	defer e.faults.endRun()
	_ = e.remains.holdings(func(h holding) error {
		for _, what := range h.faults {
			e.faults.addRecord(h.seq, what)
		}
		if h.record == nil {
			return nil
		}
		e.behind = max(e.stored, h.seq)
		stats.of(h.state().kind).add(Tally{1, h.record.size()})
		if e.db != nil && h.seq <= e.stored {
			e.checkID(h)
		}
		return nil
	})
}

func (e *examined) checkID(h holding) {
	value, closer, err := e.db.Get(idKey(h.record.ID))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		e.faults.addRecord(h.seq, "its id is missing: a duplicate would not be noticed")
		return
	case err != nil:
		e.faults.addRecord(h.seq, "its id cannot be read")
		return
	}
	defer closer.Close()
	if want := seqKey(kindRecord, h.seq)[1:]; !bytes.Equal(value, want) {
		e.faults.addRecord(h.seq, fmt.Sprintf("its id leads to %x instead", value))
	}
}

// checkIDs finds ids that lead to no record.
func (e *examined) checkIDs() {
	c := e.remains.entries(kindID)
	defer c.iter.close()
	for ; c.valid; c.next() {
		id, seq := c.iter.key()[1:], c.iter.value()
		if len(seq) != 8 {
			e.faults.add(fmt.Sprintf("id %x", id), "does not decode", remedySalvage)
		} else if number := binary.BigEndian.Uint64(seq); !e.isHeld(number) {
			e.faults.add(fmt.Sprintf("id %x", id), fmt.Sprintf("leads to record %d, which there is not", number), remedySalvage)
		}
	}
}

// isHeld is whether there is a record; one that cannot be read is told of elsewhere.
func (e *examined) isHeld(seq uint64) bool {
	if seq > e.stored && seq <= e.behind {
		return true
	}
	_, closer, err := e.db.Get(seqKey(kindRecord, seq))
	if err != nil {
		return !errors.Is(err, pebble.ErrNotFound)
	}
	_ = closer.Close() // it has been read
	return true
}

// checkMeta looks at the store's own entries.
func (e *examined) checkMeta() {
	c := e.remains.entries(kindMeta)
	defer c.iter.close()
	for ; c.valid; c.next() {
		e.checkMetaEntry(string(c.iter.key()[1:]), c.iter.value())
	}
}

func (e *examined) checkMetaEntry(name string, value []byte) {
	place := "entry " + name
	switch {
	case name == metaFormat && (len(value) != 1 || value[0] != format):
		e.faults.add(place, fmt.Sprintf("%x: this program reads format %d", value, format), "use the version of the program that wrote it")
	case name == metaLastSeq && len(value) != 8:
		e.faults.add(place, "does not decode", remedySalvage)
	}
}

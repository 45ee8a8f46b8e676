package spool

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
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
	defer storefiles.Catch(&err)
	e, err := examine(dir, on)
	if err != nil {
		return report, err
	}
	defer e.close()
	e.CheckTables()
	ids := idSum{seed: maphash.MakeSeed()}
	err = e.holdings(func(h holding) error {
		if h.record != nil {
			report.Stats.of(h.state().kind).add(Tally{1, h.record.size()})
			ids.expect(h.record.ID, h.seq)
		}
		return nil
	})
	e.checkMeta()
	e.checkIDs(&ids)
	report.Opens, report.Faults = e.opens, e.faults.list
	return report, err
}

// checkMeta looks at the store's own entries.
func (e *examined) checkMeta() {
	c := e.Entries(kindMeta, false)
	defer c.Close()
	for ; c.Valid; c.Next() {
		switch name := string(c.Key[1:]); {
		case name == metaFormat && (len(c.Value) != 1 || c.Value[0] != format):
			e.faults.list = append(e.faults.list, Fault{
				Place: "entry " + name, What: fmt.Sprintf("%x: this program reads format %d", c.Value, format),
				Remedy: "use the version of the program that wrote it",
			})
		case name == metaLastSeq && len(c.Value) != 8:
			e.faults.add("entry "+name, "does not decode")
		}
	}
}

// checkIDs finds that the ids lead to the records, and to nothing else. When there
// are other faults, what is missing of either is their consequence.
func (e *examined) checkIDs(ids *idSum) {
	if len(e.faults.list) > 0 {
		return
	}
	c := e.Entries(kindID, false)
	defer c.Close()
	for ; c.Valid; c.Next() {
		ids.found(c.Key, c.Value)
	}
	if ids.sum != 0 {
		e.faults.add("ids", "do not lead to the records, each to its own: a duplicate might not be noticed")
	}
}

// idSum holds the ids of records against the entries of ids, each of which comes
// in an order of its own. The sum is 0 when they are the same.
type idSum struct {
	seed maphash.Seed
	sum  uint64
}

func (s *idSum) expect(id ID, seq uint64) {
	s.sum += maphash.Bytes(s.seed, binary.BigEndian.AppendUint64(idKey(partition(seq), id), seq))
}

func (s *idSum) found(key, value []byte) {
	s.sum -= maphash.Bytes(s.seed, append(append([]byte(nil), key...), value...))
}

package storefiles

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
)

// Remains is what a store's tables and logs hold, read without the store, which
// would give nothing of what a damaged file overlaps.
type Remains struct {
	tables []*table
	log    []version // of all logs, by key, the latest first
	erased []span    // ranges that have been removed for good, in order and disjoint
	fault  func(place string, err error)
}

// span is the keys from start to before end.
type span struct{ start, end []byte }

// OpenRemains reads the logs that are needed and opens the tables. What cannot be
// read, now or later, is told to fault. A table that a compaction had made
// superfluous, and the end of the process left behind, may bring back an entry that
// was gone.
func (i *Inspection) OpenRemains(fault func(place string, err error)) *Remains {
	r := &Remains{fault: fault}
	for _, number := range i.needed() {
		scan, err := i.scan(number)
		r.told(logName(number), err)
		r.addLog(logName(number), scan, i.mustEndClean(number))
	}
	if i.Rescue != nil {
		r.told(LedgerName, r.addBatch(i.Rescue))
	}
	slices.SortStableFunc(r.log, func(a, b version) int {
		return cmp.Or(bytes.Compare(a.key, b.key), -cmp.Compare(a.number, b.number))
	})
	for _, name := range i.Tables {
		t, err := openTable(i.fs, i.dir, name)
		if err == nil {
			r.tables = append(r.tables, t)
			var spans []span
			spans, err = t.erased()
			r.erased = append(r.erased, spans...)
		}
		r.told(name, err)
	}
	r.erased = merged(r.erased)
	return r
}

func (r *Remains) told(place string, err error) {
	if err != nil {
		r.fault(place, err)
	}
}

func (r *Remains) addLog(name string, scan logScan, mustEndClean bool) {
	for _, b := range scan.batches {
		r.told(name, r.addBatch(b.data))
	}
	if scan.broken > 0 && (scan.end == endDamaged || mustEndClean) {
		r.fault(name, fmt.Errorf("%d groups of changes are not whole", scan.broken))
	}
}

// addBatch takes the changes of one batch, whose numbers follow each other.
func (r *Remains) addBatch(batch []byte) error {
	header, ok := batchrepr.ReadHeader(batch)
	if !ok {
		return errors.New("a group of changes without header")
	}
	number := uint64(header.SeqNum)
	for changes := batchrepr.Read(batch); ; {
		kind, key, value, ok, err := changes.Next()
		if err != nil || !ok {
			return err
		}
		switch kind {
		case pebble.InternalKeyKindLogData:
			continue
		case pebble.InternalKeyKindRangeDelete:
			r.erased = append(r.erased, span{key, value})
		default:
			r.log = append(r.log, version{key: key, value: value, number: number, deleted: kind != pebble.InternalKeyKindSet})
		}
		number++
	}
}

// merged makes spans ordered and disjoint.
func merged(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return bytes.Compare(a.start, b.start) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && bytes.Compare(s.start, out[n-1].end) <= 0 {
			if bytes.Compare(s.end, out[n-1].end) > 0 {
				out[n-1].end = s.end
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// isErased: what an eviction has removed never comes back, so that it does not
// matter which is the later.
func (r *Remains) isErased(key []byte) bool {
	n, found := slices.BinarySearchFunc(r.erased, key, func(s span, key []byte) int { return bytes.Compare(s.start, key) })
	return found || n > 0 && bytes.Compare(key, r.erased[n-1].end) < 0
}

// CheckTables reads every block of the tables.
func (r *Remains) CheckTables() {
	for _, t := range r.tables {
		r.told(t.name, t.check())
	}
}

// Close lets go of the tables. Its errors say again what could not be read.
func (r *Remains) Close() {
	for _, t := range r.tables {
		_ = t.reader.Close()
	}
}

// Entries goes through the entries of one kind in order: of each key its latest
// version, unless that deletes it.
type Entries struct {
	Valid      bool // there is an entry; else this is the end
	Key, Value []byte

	remains *Remains
	tables  []*cursor
	log     []version // what is not behind
}

// Entries stands at the first entry of a kind, if there is one. Numbered says that
// the kind's keys are; else what is behind an entry that cannot be read is passed
// over, too. The caller closes it.
func (r *Remains) Entries(kind byte, numbered bool) *Entries {
	e := &Entries{remains: r}
	for _, t := range r.tables {
		iter, err := t.iter(kind)
		if r.told(t.name, err); err == nil {
			e.tables = append(e.tables, newCursor(iter, kind, numbered, func(err error) { r.fault(t.name, err) }))
		}
	}
	byKey := func(v version, key []byte) int { return bytes.Compare(v.key, key) }
	from, _ := slices.BinarySearchFunc(r.log, []byte{kind}, byKey)
	to, _ := slices.BinarySearchFunc(r.log, []byte{kind + 1}, byKey)
	e.log = r.log[from:to]
	e.Next()
	return e
}

// Next goes on to the next entry.
func (e *Entries) Next() {
	for e.Valid = e.lowest(); e.Valid; e.Valid = e.lowest() {
		if latest := e.pop(); !latest.deleted && !e.remains.isErased(e.Key) {
			e.Value = latest.value
			return
		}
	}
}

// lowest sets Key to that which comes next.
func (e *Entries) lowest() (ok bool) {
	var lowest []byte
	if len(e.log) > 0 {
		lowest, ok = e.log[0].key, true
	}
	for _, t := range e.tables {
		if t.valid && (!ok || bytes.Compare(t.iter.current().key, lowest) < 0) {
			lowest, ok = t.iter.current().key, true
		}
	}
	e.Key = append([]byte(nil), lowest...)
	return ok
}

// pop moves behind Key and returns its latest version. Where a compaction has
// taken the number away, which makes it 0, that of a log is the later.
func (e *Entries) pop() (latest version) {
	found := false
	take := func(v version) {
		if !found || v.number > latest.number {
			latest, found = v, true
			latest.value = bytes.Clone(v.value)
		}
	}
	for len(e.log) > 0 && bytes.Equal(e.log[0].key, e.Key) {
		take(e.log[0])
		e.log = e.log[1:]
	}
	for _, t := range e.tables {
		for t.valid && bytes.Equal(t.iter.current().key, e.Key) {
			take(t.iter.current())
			t.next()
		}
	}
	return latest
}

// Close must be called before that of the Remains.
func (e *Entries) Close() {
	for _, t := range e.tables {
		_ = t.iter.close()
	}
}

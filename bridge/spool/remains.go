package spool

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
)

// remains is what a store's tables and logs hold, read without the store, which
// would give nothing of what a damaged file overlaps: of each key its latest
// version, by the numbers that Pebble has given to all changes.
type remains struct {
	tables []*table
	log    []version // of all logs, by key, the latest first
	erased []span    // ranges that evictions have removed for good
	fault  func(place string, err error)
}

// version is one change of an entry, as a log has it.
type version struct {
	key, value []byte
	number     uint64
	deleted    bool
}

// span is the keys from start to before end.
type span struct{ start, end []byte }

// openRemains reads the logs that are needed and opens tables. What cannot be read
// is told to fault. A table that a compaction had made superfluous, and the end of
// the process left behind, may bring back an entry that was gone.
func openRemains(i *inspection, tables []string, fault func(place string, err error)) *remains {
	r := &remains{fault: fault}
	for _, number := range i.needed() {
		r.readLog(i, number)
	}
	slices.SortStableFunc(r.log, func(a, b version) int {
		return cmp.Or(bytes.Compare(a.key, b.key), -cmp.Compare(a.number, b.number))
	})
	for _, name := range tables {
		t, err := openTable(i.files, name)
		if err == nil {
			r.tables = append(r.tables, t)
			err = r.readErased(t)
		}
		if err != nil {
			fault(name, err)
		}
	}
	r.erased = merged(r.erased)
	return r
}

func (r *remains) readLog(i *inspection, number uint64) {
	name := i.logs[number]
	data, err := readFile(i.fs, i.path(name))
	if err != nil {
		r.fault(name, err)
		return
	}
	scan := scanLog(data, uint32(number))
	broken := scan.batches(func(batch []byte, _ bool) {
		if err := r.readBatch(batch); err != nil {
			r.fault(name, err)
		}
	})
	if broken > 0 && (scan.end == endDamaged || i.mustEndClean(number)) {
		r.fault(name, fmt.Errorf("%d groups of changes are not whole", broken))
	}
}

// readBatch takes the changes of one batch, whose numbers follow each other.
func (r *remains) readBatch(batch []byte) error {
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

func (r *remains) readErased(t *table) error {
	spans, err := t.erased()
	r.erased = append(r.erased, spans...)
	return err
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
func (r *remains) isErased(key []byte) bool {
	n, found := slices.BinarySearchFunc(r.erased, key, func(s span, key []byte) int { return bytes.Compare(s.start, key) })
	if found {
		return true
	}
	return n > 0 && bytes.Compare(key, r.erased[n-1].end) < 0
}

// entries goes through the entries of one kind; its iter must be closed.
func (r *remains) entries(kind byte) *cursor {
	m := &mergeIter{remains: r}
	for _, t := range r.tables {
		iter, err := t.iter([]byte{kind}, []byte{kind + 1})
		if err != nil {
			r.fault(t.name, err)
			continue
		}
		m.iters = append(m.iters, iter)
		m.tables = append(m.tables, newCursor(iter, kind, func(err error) { r.fault(t.name, err) }))
	}
	from, _ := slices.BinarySearchFunc(r.log, []byte{kind}, byKey)
	to, _ := slices.BinarySearchFunc(r.log, []byte{kind + 1}, byKey)
	m.allLog = r.log[from:to]
	return newCursor(m, kind, func(error) {}) // its parts have told
}

func byKey(v version, key []byte) int { return bytes.Compare(v.key, key) }

func (r *remains) close() error {
	var errs []error
	for _, t := range r.tables {
		errs = append(errs, t.reader.Close())
	}
	return errors.Join(errs...)
}

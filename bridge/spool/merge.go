package spool

import (
	"bytes"
	"errors"
	"slices"
)

// mergeIter makes one entryIter of tables and logs: of each key its latest
// version, unless that deletes it.
type mergeIter struct {
	remains *remains
	iters   []*tableIter
	tables  []*cursor // over iters
	allLog  []version
	log     []version // of allLog, what is not behind
	current version
}

func (m *mergeIter) seek(key []byte) bool {
	for _, t := range m.tables {
		t.seek(key)
	}
	from, _ := slices.BinarySearchFunc(m.allLog, key, byKey)
	m.log = m.allLog[from:]
	return m.next()
}

func (m *mergeIter) next() bool {
	for {
		key, ok := m.lowest()
		if !ok {
			return false
		}
		m.current = m.pop(key)
		if !m.current.deleted && !m.remains.isErased(key) {
			return true
		}
	}
}

// lowest is the key that comes next; the caller's own.
func (m *mergeIter) lowest() (key []byte, ok bool) {
	if len(m.log) > 0 {
		key, ok = m.log[0].key, true
	}
	for i, t := range m.tables {
		if t.valid && (!ok || bytes.Compare(m.iters[i].key(), key) < 0) {
			key, ok = m.iters[i].key(), true
		}
	}
	return bytes.Clone(key), ok
}

// pop moves behind a key and returns its latest version. Where a compaction has
// taken the number away, which makes it 0, that of a log is the later.
func (m *mergeIter) pop(key []byte) version {
	latest := version{key: key, deleted: true}
	found := false
	take := func(v version) {
		if !found || v.number > latest.number {
			latest, found = version{key: key, value: bytes.Clone(v.value), number: v.number, deleted: v.deleted}, true
		}
	}
	for len(m.log) > 0 && bytes.Equal(m.log[0].key, key) {
		take(m.log[0])
		m.log = m.log[1:]
	}
	for i, t := range m.tables {
		for t.valid && bytes.Equal(m.iters[i].key(), key) {
			take(m.iters[i].latest())
			t.next()
		}
	}
	return latest
}

func (m *mergeIter) key() []byte   { return m.current.key }
func (m *mergeIter) value() []byte { return m.current.value }
func (m *mergeIter) err() error    { return nil } // told to remains.fault

func (m *mergeIter) close() error {
	var errs []error
	for _, i := range m.iters {
		errs = append(errs, i.close())
	}
	return errors.Join(errs...)
}

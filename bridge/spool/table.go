package spool

import (
	"bytes"
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// table is one of a store's tables, by itself.
type table struct {
	name   string
	reader *sstable.Reader
}

func openTable(f files, name string) (t *table, err error) {
	defer catch(&err)
	file, err := f.fs.Open(f.path(name))
	if err != nil {
		return nil, err
	}
	readable, err := sstable.NewSimpleReadable(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	options := &pebble.Options{}
	options.EnsureDefaults()
	reader, err := sstable.NewReader(context.Background(), readable, options.MakeReaderOptions())
	if err != nil {
		return nil, errors.Join(err, readable.Close())
	}
	return &table{name: name, reader: reader}, nil
}

// checkTable reads all blocks of a table. The error names the first that does not
// fit its checksum.
func checkTable(f files, name string) (err error) {
	defer catch(&err)
	t, err := openTable(f, name)
	if err != nil {
		return err
	}
	return errors.Join(t.reader.ValidateBlockChecksums(), t.reader.Close())
}

// erased is the ranges that the table deletes.
func (t *table) erased() (spans []span, err error) {
	defer catch(&err)
	iter, err := t.reader.NewRawRangeDelIter(context.Background(), sstable.FragmentIterTransforms{}, sstable.NoReadEnv)
	if err != nil || iter == nil {
		return nil, err
	}
	defer iter.Close()
	s, err := iter.First()
	for ; s != nil; s, err = iter.Next() {
		spans = append(spans, span{bytes.Clone(s.Start), bytes.Clone(s.End)})
	}
	return spans, err
}

// iter goes through the table's entries from start to before end.
func (t *table) iter(start, end []byte) (i *tableIter, err error) {
	defer catch(&err)
	iter, err := t.reader.NewIter(sstable.IterTransforms{}, start, end, sstable.TableBlobContext{})
	return &tableIter{iter: iter}, err
}

// tableIter is an iterator over a table as an entryIter, to which each version of
// a key is an entry.
type tableIter struct {
	iter    sstable.Iterator
	current version
	fault   error // of the entry's value
}

func (i *tableIter) seek(key []byte) bool {
	entry := i.iter.SeekGE(key, 0)
	if i.fault = nil; entry == nil {
		return false
	}
	value, _, err := entry.Value(nil)
	return i.take(entry.K, value, err)
}

func (i *tableIter) next() bool {
	entry := i.iter.Next()
	if entry == nil {
		return false
	}
	value, _, err := entry.Value(nil)
	return i.take(entry.K, value, err)
}

func (i *tableIter) take(key pebble.InternalKey, value []byte, err error) bool {
	i.fault = err
	i.current = version{
		key: append(i.current.key[:0], key.UserKey...), value: value, number: uint64(key.SeqNum()),
		deleted: key.Kind() != pebble.InternalKeyKindSet && key.Kind() != pebble.InternalKeyKindSetWithDelete,
	}
	return err == nil
}

func (i *tableIter) key() []byte     { return i.current.key }
func (i *tableIter) value() []byte   { return i.current.value }
func (i *tableIter) latest() version { return i.current }
func (i *tableIter) err() error      { return errors.Join(i.fault, i.iter.Error()) }
func (i *tableIter) close() error    { return i.iter.Close() }

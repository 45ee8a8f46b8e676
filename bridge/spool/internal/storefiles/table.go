package storefiles

import (
	"bytes"
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// table is one of a store's tables, by itself.
type table struct {
	name   string
	reader *sstable.Reader
}

func openTable(on vfs.FS, dir, name string) (t *table, err error) {
	defer Catch(&err)
	file, err := on.Open(on.PathJoin(dir, name))
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

// check reads all blocks. The error names the first that does not fit its checksum.
func (t *table) check() (err error) {
	defer Catch(&err)
	return t.reader.ValidateBlockChecksums()
}

// erased is the ranges that the table deletes.
func (t *table) erased() (spans []span, err error) {
	defer Catch(&err)
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

// iter goes through the entries of a kind.
func (t *table) iter(kind byte) (i *tableIter, err error) {
	defer Catch(&err)
	iter, err := t.reader.NewIter(sstable.IterTransforms{}, []byte{kind}, []byte{kind + 1}, sstable.TableBlobContext{})
	return &tableIter{iter: iter}, err
}

// tableIter is a versionIter over a table.
type tableIter struct {
	iter  sstable.Iterator
	at    version
	fault error // of the entry's value
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
	i.at = version{
		key: append(i.at.key[:0], key.UserKey...), value: value, number: uint64(key.SeqNum()),
		deleted: key.Kind() != pebble.InternalKeyKindSet && key.Kind() != pebble.InternalKeyKindSetWithDelete,
	}
	return err == nil
}

func (i *tableIter) current() version { return i.at }
func (i *tableIter) err() error       { return errors.Join(i.fault, i.iter.Error()) }
func (i *tableIter) close() error     { return i.iter.Close() }

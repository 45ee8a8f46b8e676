package storefiles

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The first fields of a version edit, each a tag and its value, are LevelDB's:
// https://github.com/google/leveldb/blob/main/db/version_edit.cc. Pebble writes
// the two about virtual tables in between.
const (
	tagComparer       = 1
	tagLogNumber      = 2
	tagNextFile       = 3
	tagLastSequence   = 4
	tagPreviousLog    = 9
	tagCreatedBacking = 105
	tagRemovedBacking = 106
)

// oldestLog is the number of the oldest log whose records are not all in tables,
// as the manifest says: Pebble replays the logs from there on. It reads as Pebble
// does, up to the first record that is not whole, so that a manifest that was cut
// short is one that asks for logs which are long gone.
func oldestLog(on vfs.FS, path string) (oldest uint64, err error) {
	f, err := on.Open(path)
	if err != nil {
		return 0, err
	}
	for edits := record.NewReader(f, 0); ; {
		var edit []byte
		r, err := edits.Next()
		if err == nil {
			edit, err = io.ReadAll(r)
		}
		if errors.Is(err, io.EOF) || record.IsInvalidRecord(err) {
			return oldest, f.Close()
		}
		if err != nil {
			return 0, errors.Join(err, f.Close())
		}
		if number := editedLog(edit); number != 0 {
			oldest = number
		}
	}
}

// editedLog is the log number that a version edit sets; 0 if it sets none.
func editedLog(edit []byte) (number uint64) {
	for len(edit) > 0 {
		tag, rest := uvarint(edit)
		value, rest := uvarint(rest)
		switch tag {
		case tagComparer:
			rest = rest[min(value, uint64(len(rest))):]
		case tagLogNumber:
			number = value
		case tagNextFile, tagLastSequence, tagPreviousLog, tagRemovedBacking:
		case tagCreatedBacking:
			_, rest = uvarint(rest)
		default:
			return number // the tables come last
		}
		edit = rest
	}
	return number
}

// uvarint takes a number off b; what is no number takes all of it.
func uvarint(b []byte) (uint64, []byte) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil
	}
	return v, b[n:]
}

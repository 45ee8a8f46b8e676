package storefiles

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestOldestLogFollowsTheStore: it is that of the newest log once the others are in
// tables, and what the store no longer has is never needed.
func TestOldestLogFollowsTheStore(t *testing.T) {
	on := vfs.NewMem()
	db, closeStore := openStore(t, on)
	defer closeStore()
	before := uint64(0)
	for n := range 4 {
		put(t, db, n+1, 1000)
		must(t, db.Flush())
		found := inspected(t, on)
		if found.oldest <= before || len(found.Faults) > 0 {
			t.Errorf("oldest log %d after %d, %v", found.oldest, before, found.Faults)
		}
		before = found.oldest
	}
}

// FuzzEditedLog: whatever the bytes, it ends.
func FuzzEditedLog(f *testing.F) {
	f.Add([]byte{tagComparer, 3, 'a', 'b', 'c', tagLogNumber, 7, tagNextFile, 9, 100})
	f.Add([]byte{tagCreatedBacking, 1, 2, tagLogNumber, 0xff})
	f.Fuzz(func(_ *testing.T, edit []byte) { editedLog(edit) })
}

package spool

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// appendBatch is the log's form of records from first to last.
func appendBatch(t *testing.T, s *Spool, first, last int) []byte {
	t.Helper()
	b := s.db.NewBatch()
	for seq := first; seq <= last; seq++ {
		r := record(seq-1, 100)
		stageRecord(b, Ref{Seq: uint64(seq), ID: r.ID, Key: r.Key, Size: r.size(), Received: r.Received}, r)
	}
	repr := append([]byte(nil), b.Repr()...)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return repr
}

func TestRescueAppendsOnce(t *testing.T) {
	opts := memOptions()
	var told logbook
	opts.Logger = told.logger()
	s := openSpool(t, testDir, opts)
	refs := addMany(t, s, 0, 2, 100)
	behind := appendBatch(t, s, 3, 4)
	for range 2 {
		if err := s.rescue(behind); err != nil {
			t.Fatal(err)
		}
	}
	if got := pending(t, s); len(got) != 4 {
		t.Errorf("pending: %v", got)
	}
	checkRead(t, s, 4, record(3, 100))
	if told.count("are kept") != 1 {
		t.Errorf("told:\n%s", &told)
	}
	if err := s.rescue(appendBatch(t, s, int(refs[0].Seq), int(refs[1].Seq))); err != nil {
		t.Error(err)
	}
	s.held.addPending(pending(t, s)[2:]) // which Open would have counted
	s.lastSeq.Store(4)
}

// TestOpenKeepsAnAppendBehindAGap on a real log, in which the acknowledgement
// between two appends is not whole.
func TestOpenKeepsAnAppendBehindAGap(t *testing.T) {
	at := t.TempDir()
	s := openSpool(t, at, diskOptions())
	refs := addMany(t, s, 0, 3, 300)
	ack(t, s, epoch, refs[0])
	refs = append(refs, add(t, s, record(3, 300)))
	sp := specimen{dir: at}.copy(t)
	sp.damage(t, theLog, withGap)
	s = openSpool(t, sp.dir, diskOptions())
	diff(t, "pending", refs, pending(t, s))
	checkRead(t, s, 4, record(3, 300))
	closeSpool(t, s)
	openSpool(t, sp.dir, diskOptions())
	if ledger := readFile(t, vfs.Default, sp.file(t, storefiles.LedgerName)); strings.Contains(ledger, "rescue ") {
		t.Errorf("what has been kept is still to be kept:\n%s", ledger)
	}
}

// withGap spoils the batch before the last in a log that is shorter than a block.
func withGap(log []byte) []byte {
	offsets := batchOffsets(log)
	if len(offsets) < 3 {
		return log
	}
	last, end := offsets[len(offsets)-2], offsets[len(offsets)-1]
	log[last-1] ^= 1
	resign(log[last:end])
	return log
}

// batchOffsets are where the batches begin in a log that is shorter than a block,
// and where the last ends.
func batchOffsets(data []byte) (offsets []int) {
	const full, header = 9, 19
	at := 0
	for ; at+header <= len(data) && data[at+6] == full; at += header + int(binary.LittleEndian.Uint16(data[at+4:])) {
		offsets = append(offsets, at)
	}
	return append(offsets, at)
}

// resign takes from a chunk what it says of the log before it, as if it had been
// written before any fsync.
func resign(c []byte) {
	clear(c[11:19])
	sum := crc32.Checksum(c[6:], crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(c, sum>>15|sum<<17+0xa282ead8)
}

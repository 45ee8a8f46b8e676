package spool

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"testing"
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

// settleBatch is that of a change of states.
func settleBatch(t *testing.T, s *Spool) []byte {
	t.Helper()
	b := s.db.NewBatch()
	_ = b.Set(seqKey(kindRetained, 1), []byte("x"), nil)
	repr := append([]byte(nil), b.Repr()...)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return repr
}

// TestJudge decides about logs whose end is behind the second batch.
func TestJudge(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	records := func(first, last int) []byte { return appendBatch(t, s, first, last) }
	settled := settleBatch(t, s)
	for _, tc := range []struct {
		name    string
		before  [][]byte
		behind  [][]byte
		damaged bool
		rescued uint64 // its first number
	}{
		{"nothing behind", [][]byte{records(1, 2)}, nil, false, 0},
		{"settled behind", [][]byte{records(1, 2)}, [][]byte{settled, settled}, false, 0},
		{"one append behind, in order", [][]byte{records(1, 2)}, [][]byte{settled, records(3, 5), settled}, false, 3},
		{"one append behind, after others", [][]byte{records(1, 2)}, [][]byte{records(4, 5)}, true, 0},
		{"two appends behind", [][]byte{records(1, 2)}, [][]byte{records(3, 3), records(4, 4)}, true, 0},
		{"one append behind, none before", nil, [][]byte{records(7, 8)}, false, 7},
		{"two appends behind, none before", nil, [][]byte{records(7, 8), records(9, 9)}, true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			scan := logScan{end: endOpen, at: 1000}
			for i, b := range tc.before {
				scan.chunks = append(scan.chunks, chunk{offset: int64(i), payload: b, first: true, last: true})
			}
			for i, b := range tc.behind {
				scan.chunks = append(scan.chunks, chunk{offset: 2000 + int64(i), payload: b, first: true, last: true, afterGap: i == 0})
			}
			rescued := scan.judge()
			if damaged := scan.end == endDamaged; damaged != tc.damaged {
				t.Errorf("damaged %v, want %v", damaged, tc.damaged)
			}
			if first, _ := appendedIn(rescued); !tc.damaged && first != tc.rescued {
				t.Errorf("record %d is rescued, want %d", first, tc.rescued)
			}
		})
	}
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
	sp.damage(t, theLog, func(data []byte) []byte {
		var number uint32
		if _, err := fmt.Sscanf(filepath.Base(sp.file(t, theLog)), "%d.log", &number); err != nil {
			t.Fatal(err)
		}
		chunks := scanLog(data, number).chunks
		acked, last := chunks[len(chunks)-2], chunks[len(chunks)-1]
		data[acked.end-1] ^= 1
		resign(data[last.offset:last.end]) // as if it had been written before any fsync
		return data
	})
	s = openSpool(t, sp.dir, diskOptions())
	diff(t, "pending", refs, pending(t, s))
	checkRead(t, s, 4, record(3, 300))
}

// resign takes from a chunk what it says of the log before it.
func resign(c []byte) {
	clear(c[shortHeader:syncHeader])
	sum := crc32.Checksum(c[6:], castagnoli)
	binary.LittleEndian.PutUint32(c, sum>>15|sum<<17+0xa282ead8)
}

package storefiles

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// killedLog is the log of a killed process after count entries of a size, and its
// number. Each was synced by itself.
func killedLog(t testing.TB, count, size int) (data []byte, number uint32) {
	t.Helper()
	on := vfs.NewMem()
	db, closeStore := openStore(t, on)
	defer closeStore()
	for n := range count {
		put(t, db, n+1, size)
	}
	logs := inspected(t, on).logs
	number = uint32(logs[len(logs)-1])
	return read(t, on, on.PathJoin(testDir, logName(uint64(number)))), number
}

// contents are a log's batches.
func contents(s logScan) (batches [][]byte) {
	for _, b := range s.batches {
		batches = append(batches, b.data)
	}
	return batches
}

// firstOffsets are where the batches of a log begin, that are a chunk each.
func firstOffsets(data []byte, number uint32) (offsets []int64) {
	for at := int64(0); ; {
		c, ok := chunkAt(data, at, number)
		if !ok {
			return offsets
		}
		offsets = append(offsets, at)
		at = c.end
	}
}

// TestScanLogReadsAsPebbleDoes, of records within a block and over many.
func TestScanLogReadsAsPebbleDoes(t *testing.T) {
	for count, size := range map[int]int{30: 0, 31: 100, 32: 1500, 7: 32 << 10, 2: 100_000} {
		data, number := killedLog(t, count, size)
		s := scanLog(data, number)
		diff(t, "batches", pebblesBatches(t, data, number), contents(s))
		if len(s.batches) < count || s.broken != 0 || s.end != endOpen {
			t.Errorf("%d bytes each: %d batches, %d broken, end %d", size, len(s.batches), s.broken, s.end)
		}
	}
}

// pebblesBatches are a log's batches, as Pebble reads them.
func pebblesBatches(t *testing.T, data []byte, number uint32) (batches [][]byte) {
	t.Helper()
	fs := vfs.NewMem()
	write(t, fs, logName(uint64(number)), data)
	logs, err := wal.Scan(wal.Dir{FS: fs})
	if err != nil || len(logs) != 1 {
		t.Fatalf("%d logs: %v", len(logs), err)
	}
	for reader := logs[0].OpenForRead(); ; {
		r, _, err := reader.NextRecord()
		if errors.Is(err, io.EOF) || record.IsInvalidRecord(err) {
			return batches
		}
		if err != nil {
			t.Fatal(err)
		}
		batch, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, batch)
	}
}

// TestScanLogFindsDamage: a flip of any bit in what is followed by another record
// is found, also within the last block; one in the last record cannot be told from
// a write that was cut off. All other batches are read.
func TestScanLogFindsDamage(t *testing.T) {
	data, number := killedLog(t, 12, 300)
	whole := scanLog(data, number)
	offsets := firstOffsets(data, number)
	last := offsets[len(offsets)-1]
	for at := int64(0); at < whole.at; at += 7 {
		spoilt := bytes.Clone(data)
		spoilt[at] ^= 0x20
		s := scanLog(spoilt, number)
		if len(s.batches) != len(whole.batches)-1 {
			t.Errorf("offset %d: %d of %d batches are read", at, len(s.batches), len(whole.batches))
		}
		if damaged := s.end == endDamaged; damaged != (at < last) {
			t.Errorf("offset %d: damaged %v, the last record begins at %d", at, damaged, last)
		}
	}
}

func TestScanLogEnds(t *testing.T) {
	data, number := killedLog(t, 12, 300)
	offsets := firstOffsets(data, number)
	second, third := offsets[1], offsets[2]
	trailer := make([]byte, shortHeader)
	trailer[6] = firstShortKind
	binary.LittleEndian.PutUint32(trailer[7:], number+1)
	for _, tc := range []struct {
		name string
		data []byte
		end  logEnd
		want int // batches
	}{
		{"as it was left", data, endOpen, len(offsets)},
		{"empty file", nil, endOpen, 0},
		{"cut between two records", data[:second], endOpen, 1},
		{"cut within a record", data[:third-1], endTorn, 1},
		{"cut within a header", data[:second+8], endOpen, 1},
		{"closed", append(bytes.Clone(data[:third]), trailer...), endClean, 2},
		{"zeroes behind", append(bytes.Clone(data[:third]), make([]byte, 100_000)...), endOpen, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := scanLog(tc.data, number)
			if s.end != tc.end || len(s.batches) != tc.want {
				t.Errorf("end %d, %d batches; want %d, %d", s.end, len(s.batches), tc.end, tc.want)
			}
		})
	}
	if s := scanLog(data, number+7); len(s.batches) != 0 || s.end != endOpen {
		t.Errorf("a recycled file's old records are taken for this log's: %d batches, end %d", len(s.batches), s.end)
	}
}

// FuzzScanLog: whatever the bytes, it ends, and what it gives is within them.
func FuzzScanLog(f *testing.F) {
	data, number := killedLog(f, 3, 200)
	f.Add(data[:min(len(data), 2000)], number)
	f.Add([]byte{}, uint32(0))
	f.Fuzz(func(t *testing.T, data []byte, number uint32) {
		s := scanLog(data, number)
		if s.at < 0 || s.at > int64(len(data)) {
			t.Errorf("ends at %d of %d", s.at, len(data))
		}
		s.judge(appends)
	})
}

// TestJudge decides about logs whose end is behind the batches before.
func TestJudge(t *testing.T) {
	const settled = "settled"
	for _, tc := range []struct {
		name           string
		before, behind []string // from which record to which
		damaged        bool
		rescued        string
	}{
		{"nothing behind", []string{"1-2"}, nil, false, ""},
		{"settled behind", []string{"1-2"}, []string{settled, settled}, false, ""},
		{"one append behind, in order", []string{"1-2"}, []string{settled, "3-5", settled}, false, "3-5"},
		{"one append behind, after others", []string{"1-2"}, []string{"4-5"}, true, ""},
		{"two appends behind", []string{"1-2"}, []string{"3-3", "4-4"}, true, ""},
		{"one append behind, none before", nil, []string{"7-8"}, false, "7-8"},
		{"two appends behind, none before", nil, []string{"7-8", "9-9"}, true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s logScan
			for _, b := range tc.before {
				s.batches = append(s.batches, batch{[]byte(b), false})
			}
			for _, b := range tc.behind {
				s.batches = append(s.batches, batch{[]byte(b), true})
			}
			rescued := s.judge(func(b []byte) (first, last uint64) {
				_, _ = fmt.Sscanf(string(b), "%d-%d", &first, &last)
				return first, last
			})
			if damaged := s.end == endDamaged; damaged != tc.damaged || string(rescued) != tc.rescued {
				t.Errorf("damaged %v, rescued %q; want %v, %q", damaged, rescued, tc.damaged, tc.rescued)
			}
		})
	}
}

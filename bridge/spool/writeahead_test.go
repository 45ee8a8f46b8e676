package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	pebblerecord "github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// killedLog is the log of a killed process after count records of a size, and its
// number. Each was synced by itself.
func killedLog(t testing.TB, count, bodySize int) (data []byte, number uint32) {
	t.Helper()
	dir := t.TempDir()
	s := openSpool(t, dir, diskOptions())
	addMany(t, s, 0, count, bodySize)
	listed, err := listFiles(s.opts.FS, dir)
	if err != nil {
		t.Fatal(err)
	}
	for n := range listed.logs {
		number = max(number, uint32(n))
	}
	data, err = os.ReadFile(filepath.Join(dir, listed.logs[uint64(number)]))
	if err != nil {
		t.Fatal(err)
	}
	return data, number
}

// batchesOf are a log's batches, as scanLog finds them.
func batchesOf(s logScan) (batches [][]byte, broken int) {
	broken = s.batches(func(b []byte, _ bool) { batches = append(batches, b) })
	return batches, broken
}

// TestScanLogReadsAsPebbleDoes, of records within a block and over many.
func TestScanLogReadsAsPebbleDoes(t *testing.T) {
	for count, size := range map[int]int{30: 0, 31: 100, 32: 1500, 7: 32 << 10, 2: 100_000} {
		data, number := killedLog(t, count, size)
		s := scanLog(data, number)
		got, broken := batchesOf(s)
		diff(t, "batches", pebblesBatches(t, data, number), got)
		if len(got) < count || broken != 0 || s.end != endOpen {
			t.Errorf("%d bytes each: %d batches, %d broken, end %d", size, len(got), broken, s.end)
		}
	}
}

// pebblesBatches are a log's batches, as Pebble reads them.
func pebblesBatches(t *testing.T, data []byte, number uint32) (batches [][]byte) {
	t.Helper()
	fs := vfs.NewMem()
	f, err := fs.Create(logName(uint64(number)), vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(data)
	}
	logs, scanErr := wal.Scan(wal.Dir{FS: fs})
	if err = errors.Join(err, scanErr); err != nil || len(logs) != 1 {
		t.Fatalf("%d logs: %v", len(logs), err)
	}
	for reader := logs[0].OpenForRead(); ; {
		r, _, err := reader.NextRecord()
		if errors.Is(err, io.EOF) || pebblerecord.IsInvalidRecord(err) {
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
	all, _ := batchesOf(whole)
	last := whole.chunks[len(whole.chunks)-1]
	for at := int64(0); at < whole.at; at += 7 {
		spoilt := bytes.Clone(data)
		spoilt[at] ^= 0x20
		s := scanLog(spoilt, number)
		batches, _ := batchesOf(s)
		if len(batches) != len(all)-1 {
			t.Errorf("offset %d: %d of %d batches are read", at, len(batches), len(all))
		}
		if damaged := s.end == endDamaged; damaged != (at < last.offset) {
			t.Errorf("offset %d: damaged %v, the last record begins at %d", at, damaged, last.offset)
		}
	}
}

func TestScanLogEnds(t *testing.T) {
	data, number := killedLog(t, 12, 300)
	whole := scanLog(data, number)
	chunks := whole.chunks
	second := chunks[1]
	trailer := make([]byte, shortHeader)
	trailer[6] = firstShortKind
	binary.LittleEndian.PutUint32(trailer[7:], number+1)
	for _, tc := range []struct {
		name string
		data []byte
		end  logEnd
		want int // chunks
	}{
		{"as it was left", data, endOpen, len(chunks)},
		{"empty file", nil, endOpen, 0},
		{"cut between two records", data[:second.offset], endOpen, 1},
		{"cut within a record", data[:second.end-1], endTorn, 1},
		{"cut within a header", data[:second.offset+8], endOpen, 1},
		{"closed", append(bytes.Clone(data[:second.end]), trailer...), endClean, 2},
		{"zeroes behind", append(bytes.Clone(data[:second.end]), make([]byte, 100_000)...), endOpen, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := scanLog(tc.data, number)
			if s.end != tc.end || len(s.chunks) != tc.want {
				t.Errorf("end %d, %d chunks; want %d, %d", s.end, len(s.chunks), tc.end, tc.want)
			}
		})
	}
	if s := scanLog(data, number+7); len(s.chunks) != 0 || s.end != endOpen {
		t.Errorf("a recycled file's old records are taken for this log's: %d chunks, end %d", len(s.chunks), s.end)
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
		s.judge()
	})
}

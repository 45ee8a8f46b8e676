package storefiles

import (
	"encoding/binary"
	"hash/crc32"
)

// The format of Pebble's write-ahead log, as the comment of its package record
// describes it: blocks of 32 KiB, chunks that do not cross them, each with a
// header of checksum (4 bytes), length (2), kind (1), the log's number (4) and, in
// the kinds from 9, up to which offset the log was synced when the chunk was
// written (8). All numbers are little-endian.
//
// Pebble's own reader ends at the first chunk that is not whole, and looks for
// proof of damage in the blocks behind the one that has it. In a log of kilobyte
// records that proof is mostly in the same block, and so are records to save.
const (
	blockSize      = 32 << 10
	shortHeader    = 11
	syncHeader     = 19
	firstShortKind = 5 // full, first, middle, last
	firstSyncKind  = 9
	lastSyncKind   = 12
)

// logEnd is how a log's chunks end.
type logEnd int

const (
	endOpen    logEnd = iota // by nothing, zeroes or a recycled file's older chunks
	endTorn                  // by a chunk of this log that is not whole
	endClean                 // by the trailer that closing it writes
	endDamaged               // amid what was synced
)

// logScan is what a log's file holds.
type logScan struct {
	end     logEnd
	at      int64   // where it ends
	batches []batch // whole, in order, also those behind the end
	broken  int     // how many are not whole
	open    *batch  // whose last chunk is still to come
}

// batch is a group of changes that was written as one.
type batch struct {
	data   []byte
	behind bool // the log's end
}

// chunk is a piece of a batch that its checksum vouches for.
type chunk struct {
	end         int64
	payload     []byte
	synced      int64 // the log was on disk up to here before this chunk was written
	first, last bool  // of its batch
}

// scanLog reads a log's file, also what is behind a gap. The log is damaged, and
// not just cut off by the end of its process, when a chunk behind the gap says
// that by then everything up to it, and so the gap, had been synced. (What the
// chunks say is too low when more than a block was written at once: see judge.)
func scanLog(data []byte, number uint32) logScan {
	s := logScan{at: int64(len(data))}
	ended, gap := false, false
	for at := skipPadding(data, 0); at < int64(len(data)); at = skipPadding(data, at) {
		if c, ok := chunkAt(data, at, number); ok {
			if ended && c.synced > s.at {
				s.end = endDamaged
			}
			s.take(c, ended, gap)
			at, gap = c.end, false
			continue
		}
		if !ended {
			s.endAt(data, at, number)
			if ended = true; s.end == endClean {
				break
			}
		}
		at++
		gap = true
	}
	s.drop()
	return s
}

func (s *logScan) endAt(data []byte, at int64, number uint32) {
	s.at = at
	switch {
	case isTrailer(data, at, number):
		s.end = endClean
	case isOurs(data, at, number):
		s.end = endTorn
	}
}

// take adds a chunk to its batch, if that began with the one before it.
func (s *logScan) take(c chunk, behind, gap bool) {
	if c.first || gap {
		s.drop()
	}
	switch {
	case c.first:
		s.open = &batch{data: c.payload, behind: behind}
	case s.open != nil:
		s.open.data = append(s.open.data, c.payload...)
	default:
		return
	}
	if c.last {
		s.batches = append(s.batches, *s.open)
		s.open = nil
	}
}

// drop gives up a batch that does not go on.
func (s *logScan) drop() {
	if s.open != nil {
		s.broken++
	}
	s.open = nil
}

// Appends tells which records a batch appends; zeroes if it is no append.
type Appends func(batch []byte) (first, last uint64)

// judge decides about what is behind the end of a log that was not closed, by the
// order of appends: each group of records is written only after the fsync of the
// one before. Two appends behind the gap, or one whose numbers say that another is
// missing, hence tell that the gap had been on disk: the log is damaged. One that
// is in order may never have been synced, as after a power cut; it is returned to
// be kept all the same, which harms nobody, as it may just as well have been.
func (s *logScan) judge(appends Appends) (rescue []byte) {
	last := uint64(0)
	for _, b := range s.batches {
		first, highest := appends(b.data)
		switch {
		case highest == 0:
		case !b.behind:
			last = highest
		case rescue != nil, last > 0 && first > last+1:
			s.end = endDamaged
			return nil
		default:
			rescue = b.data
		}
	}
	return rescue
}

// skipPadding passes over the zeroes at the end of a block that has no room for
// another chunk.
func skipPadding(data []byte, at int64) int64 {
	end := min((at/blockSize+1)*blockSize, int64(len(data)))
	if end-at >= syncHeader {
		return at
	}
	for _, b := range data[min(at, end):end] {
		if b != 0 {
			return at
		}
	}
	return end
}

// isTrailer: what closing a log writes is a header without a checksum, with the
// number that would be next.
func isTrailer(data []byte, at int64, number uint32) bool {
	if at+shortHeader > int64(len(data)) {
		return false
	}
	h := data[at : at+shortHeader]
	return binary.LittleEndian.Uint32(h) == 0 && binary.LittleEndian.Uint16(h[4:]) == 0 &&
		h[6] == firstShortKind && binary.LittleEndian.Uint32(h[7:]) == number+1
}

// isOurs: a chunk of this log begins here, whole or not.
func isOurs(data []byte, at int64, number uint32) bool {
	return at+shortHeader <= int64(len(data)) && data[at+6] >= firstShortKind && data[at+6] <= lastSyncKind &&
		binary.LittleEndian.Uint32(data[at+7:]) == number
}

// chunkAt reads the chunk whose header is at an offset.
func chunkAt(data []byte, at int64, number uint32) (chunk, bool) {
	if !isOurs(data, at, number) {
		return chunk{}, false
	}
	kind, header := data[at+6], int64(shortHeader)
	if kind >= firstSyncKind {
		header = syncHeader
	}
	end := at + header + int64(binary.LittleEndian.Uint16(data[at+4:]))
	if end > int64(len(data)) || end > (at/blockSize+1)*blockSize || !checksumFits(data[at:end]) {
		return chunk{}, false
	}
	position := (kind - firstShortKind) % 4
	c := chunk{end: end, payload: data[at+header : end : end], first: position <= 1, last: position == 0 || position == 3}
	if kind >= firstSyncKind {
		c.synced = int64(binary.LittleEndian.Uint64(data[at+shortHeader:]))
	}
	return c, true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksumFits: the checksum is of all that follows the length, rotated and
// shifted.
func checksumFits(c []byte) bool {
	sum := crc32.Checksum(c[6:], castagnoli)
	return binary.LittleEndian.Uint32(c) == sum>>15|sum<<17+0xa282ead8
}

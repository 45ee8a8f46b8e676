package spool

import (
	"encoding/binary"
	"hash/crc32"
)

// The format of Pebble's write-ahead log, as the comment of its package record
// describes it: blocks of 32 KiB, chunks that do not cross them, each with a
// header of checksum (4 bytes), length (2), kind (1), the log's number (4) and, in
// the kinds from 9, up to which offset the log was synced when the chunk was
// written (8). All numbers are little-endian.
const (
	blockSize      = 32 << 10
	shortHeader    = 11
	syncHeader     = 19
	firstShortKind = 5 // full, first, middle, last
	firstSyncKind  = 9
	lastSyncKind   = 12
)

// chunk is a piece of a log that its checksum vouches for.
type chunk struct {
	offset   int64 // of its header
	end      int64
	payload  []byte
	synced   int64 // the log was on disk up to here before this chunk was written
	first    bool  // of a batch's chunks
	last     bool
	afterGap bool // there is none directly before it
}

// logEnd is how a log's chunks end.
type logEnd int

const (
	endClean   logEnd = iota // by the trailer that closing it writes
	endOpen                  // by nothing, zeroes or a recycled file's older chunks
	endTorn                  // by a chunk of this log that is not whole
	endDamaged               // amid what was synced
)

// logScan is what a log's file holds.
type logScan struct {
	chunks []chunk // also those behind its end
	end    logEnd
	at     int64 // where it ends
}

// scanLog reads a log's file, also what is behind a gap. The log is damaged, and
// not just cut off by the end of its process, when a chunk behind the gap says
// that by then everything up to it, and so the gap, had been synced. (Pebble looks
// for such chunks too, but not in the block that has the gap. What the chunks say
// is too low when more than a block was written at once: see judge.)
func scanLog(data []byte, number uint32) logScan {
	var s logScan
	at := int64(0)
	for {
		at = skipPadding(data, at)
		if isTrailer(data, at, number) {
			s.end, s.at = endClean, at
			return s
		}
		c, ok := chunkAt(data, at, number)
		if !ok {
			break
		}
		s.chunks = append(s.chunks, c)
		at = c.end
	}
	s.end, s.at = endOpen, at
	if isOurs(data, at, number) {
		s.end = endTorn
	}
	s.scanBehind(data, number)
	return s
}

// scanBehind looks for chunks at every offset behind the end.
func (s *logScan) scanBehind(data []byte, number uint32) {
	afterGap := true
	for at := s.at + 1; at < int64(len(data)); {
		c, ok := chunkAt(data, at, number)
		if !ok {
			at++
			if at = skipPadding(data, at); !isTrailer(data, at, number) {
				afterGap = true
			}
			continue
		}
		if c.synced > s.at {
			s.end = endDamaged
		}
		c.afterGap = afterGap
		s.chunks = append(s.chunks, c)
		at, afterGap = skipPadding(data, c.end), false
	}
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
	c := chunk{offset: at, end: end, payload: data[at+header : end], first: position <= 1, last: position == 0 || position == 3}
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

// batches calls each for every batch of which all chunks are there, and returns
// how many are not whole. A batch is behind when the gap is before it.
func (s logScan) batches(each func(batch []byte, behind bool)) (broken int) {
	var batch []byte
	begun, behind := false, false
	for _, c := range s.chunks {
		if begun && (c.first || c.afterGap) {
			broken++
			begun = false
		}
		switch {
		case c.first:
			batch, begun, behind = append([]byte(nil), c.payload...), true, c.offset > s.at
		case begun:
			batch = append(batch, c.payload...)
		case c.afterGap || c.last:
			continue // the end of a batch whose beginning is not there
		}
		if begun && c.last {
			each(batch, behind)
			begun = false
		}
	}
	if begun {
		broken++
	}
	return broken
}

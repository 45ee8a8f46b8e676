package spool

import (
	"encoding/binary"
	"fmt"
	"time"
)

// IDSize is the length of a record's id in bytes.
const IDSize = 20

// ID identifies a record's content; two records with one ID are the same record.
type ID [IDSize]byte

// Record is what the spool keeps. Header and Body are the caller's bytes.
type Record struct {
	ID       ID
	Key      uint64    // ordering key: records of one key are relayed in order
	Received time.Time // to the nanosecond
	Header   []byte
	Body     []byte
}

func (r *Record) size() int64 { return int64(len(r.Header) + len(r.Body)) }

// Ref is a record without its bytes: enough to schedule, acknowledge and evict it.
type Ref struct {
	Seq      uint64 // position in the spool, rising, never given out twice
	ID       ID
	Key      uint64
	Size     int64 // bytes of header and body
	Received time.Time
}

const (
	kindRecord     = 'r'
	kindID         = 'i'
	kindPending    = 'p'
	kindRetained   = 'a'
	kindQuarantine = 'q'
	kindMeta       = 'm'
)

const refSize = IDSize + 8 + 8 + 8

const seqKeySize = 1 + 8

func seqKey(kind byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, seq)
}

// partitionBits: the ids of so many neighbours (2 to the 16th) stand together.
const partitionBits = 16

// partition is which ids the record seq has its own among.
func partition(seq uint64) uint64 { return seq >> partitionBits }

// idKey is partitioned because ids are in no order: were they all in one, each
// compaction that takes new ones in would write the old ones again, all of them.
func idKey(partition uint64, id ID) []byte {
	key := append(make([]byte, 0, seqKeySize+IDSize), kindID)
	key = binary.BigEndian.AppendUint64(key, partition)
	return append(key, id[:]...)
}

// idOf reads the id of an idKey; ok is false when it is none.
func idOf(key []byte) (id ID, ok bool) {
	if len(key) != seqKeySize+IDSize {
		return id, false
	}
	return ID(key[seqKeySize:]), true
}

func metaKey(name string) []byte { return append([]byte{kindMeta}, name...) }

// keySeq reads the sequence number of a seqKey. A key that is too short for one is the
// store's damage, which ends no process: there is no record 0, and reading it says so.
func keySeq(key []byte) uint64 {
	if len(key) < seqKeySize {
		return 0
	}
	return binary.BigEndian.Uint64(key[1:])
}

func appendRef(dst []byte, r Ref) []byte {
	dst = append(dst, r.ID[:]...)
	dst = binary.BigEndian.AppendUint64(dst, r.Key)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Size))
	return binary.BigEndian.AppendUint64(dst, uint64(r.Received.UnixNano()))
}

// decodeRef reads a state entry's Ref and returns what follows it.
func decodeRef(seq uint64, value []byte) (Ref, []byte, error) {
	if len(value) < refSize {
		return Ref{}, nil, fmt.Errorf("record %d: state of %d bytes: %w", seq, len(value), ErrDamaged)
	}
	r := Ref{Seq: seq, ID: ID(value[:IDSize])}
	r.Key = binary.BigEndian.Uint64(value[IDSize:])
	r.Size = int64(binary.BigEndian.Uint64(value[IDSize+8:]))
	r.Received = time.Unix(0, int64(binary.BigEndian.Uint64(value[IDSize+16:])))
	return r, value[refSize:], nil
}

// decodeSettled reads what Ack and Quarantine put behind the Ref.
func decodeSettled(seq uint64, rest []byte) (at time.Time, note []byte, err error) {
	if len(rest) < 8 {
		return time.Time{}, nil, fmt.Errorf("record %d: settled state without time: %w", seq, ErrDamaged)
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(rest))), rest[8:], nil
}

func appendSettled(dst []byte, r Ref, at time.Time, note []byte) []byte {
	dst = appendRef(dst, r)
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.UnixNano()))
	return append(dst, note...)
}

const recordVersion = 1

// encodedSize is the exact length of encodeRecord's result.
func encodedSize(r *Record) int {
	return 1 + 8 + 8 + IDSize + 4 + len(r.Header) + len(r.Body)
}

// encodeRecord writes r into dst, which is encodedSize long.
func encodeRecord(dst []byte, r *Record) {
	dst[0] = recordVersion
	binary.BigEndian.PutUint64(dst[1:], uint64(r.Received.UnixNano()))
	binary.BigEndian.PutUint64(dst[9:], r.Key)
	copy(dst[17:], r.ID[:])
	binary.BigEndian.PutUint32(dst[17+IDSize:], uint32(len(r.Header)))
	n := copy(dst[21+IDSize:], r.Header)
	copy(dst[21+IDSize+n:], r.Body)
}

const recordFixedSize = 21 + IDSize

// headerOf is the part of an encoded record that is its header.
func headerOf(seq uint64, value []byte) ([]byte, error) {
	const fixed = recordFixedSize
	if len(value) < fixed {
		return nil, fmt.Errorf("record %d: %d bytes: %w", seq, len(value), ErrDamaged)
	}
	if value[0] != recordVersion {
		return nil, fmt.Errorf("record %d: version %d, this program reads %d: %w", seq, value[0], recordVersion, ErrDamaged)
	}
	headerLen := int64(binary.BigEndian.Uint32(value[17+IDSize:]))
	if headerLen > int64(len(value)-fixed) {
		return nil, fmt.Errorf("record %d: header of %d bytes in %d: %w", seq, headerLen, len(value)-fixed, ErrDamaged)
	}
	return value[fixed : fixed+headerLen], nil
}

// decodeRecord copies a record out of value.
func decodeRecord(seq uint64, value []byte) (*Record, error) {
	header, err := headerOf(seq, value)
	if err != nil {
		return nil, err
	}
	headerLen := len(header)
	data := append([]byte(nil), value[recordFixedSize:]...)
	return &Record{
		Received: time.Unix(0, int64(binary.BigEndian.Uint64(value[1:]))),
		Key:      binary.BigEndian.Uint64(value[9:]),
		ID:       ID(value[17 : 17+IDSize]),
		Header:   data[:headerLen:headerLen],
		Body:     data[headerLen:],
	}, nil
}

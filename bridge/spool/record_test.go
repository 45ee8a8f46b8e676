package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"
)

func encoded(r *Record) []byte {
	dst := make([]byte, encodedSize(r))
	encodeRecord(dst, r)
	return dst
}

func TestDecodeRecordRefusesDamage(t *testing.T) {
	whole := encoded(record(3, 40))
	headerAt := 17 + IDSize
	for _, tc := range []struct {
		name   string
		damage func([]byte) []byte
		want   string
	}{
		{"empty", func([]byte) []byte { return nil }, "record 9: 0 bytes"},
		{"one byte short of an empty record", func(b []byte) []byte { return b[:headerAt+3] }, "record 9: 40 bytes"},
		{"version 0", func(b []byte) []byte { b[0] = 0; return b }, "version 0, this program reads 1"},
		{"version to come", func(b []byte) []byte { b[0] = 2; return b }, "version 2, this program reads 1"},
		{"header longer than the rest", func(b []byte) []byte { return b[:headerAt+4+3] }, "header of 8 bytes in 3"},
		{"header longer than 31 bits", func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[headerAt:], 0xffffffff)
			return b
		}, "header of 4294967295 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := decodeRecord(9, tc.damage(bytes.Clone(whole)))
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v; want %q of a damaged entry", err, tc.want)
			}
			if got != nil {
				t.Errorf("record %+v besides the error", got)
			}
		})
	}
}

func TestDecodeStateRefusesDamage(t *testing.T) {
	ref := Ref{Seq: 9, ID: record(9, 0).ID, Key: 4, Size: 77, Received: epoch}
	state := appendSettled(nil, ref, epoch, nil)
	for size := range len(state) {
		_, rest, err := decodeRef(9, state[:size])
		if err == nil {
			_, _, err = decodeSettled(9, rest)
		}
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "record 9") {
			t.Errorf("%d of %d bytes: error %v", size, len(state), err)
		}
	}
}

// TestDecodedRecordIsACopy: the bytes that decodeRecord is given belong to the
// store and change when it closes them.
func TestDecodedRecordIsACopy(t *testing.T) {
	value := encoded(record(3, 40))
	got, err := decodeRecord(3, value)
	if err != nil {
		t.Fatal(err)
	}
	clear(value)
	if !bytes.Equal(got.Body, record(3, 40).Body) || string(got.Header) != "record 3" {
		t.Error("the record changed with the bytes it was read from")
	}
	_ = append(got.Header, "overrun"...)
	if !bytes.Equal(got.Body, record(3, 40).Body) {
		t.Error("appending to the header overwrote the body")
	}
}

func TestKeysSortBySequenceNumber(t *testing.T) {
	seqs := []uint64{0, 1, 255, 256, 1 << 32, 1<<63 - 1, 1 << 63, ^uint64(0)}
	for i, seq := range seqs {
		key := seqKey(kindPending, seq)
		if keySeq(key) != seq {
			t.Errorf("number %d came back as %d", seq, keySeq(key))
		}
		if i > 0 && bytes.Compare(seqKey(kindPending, seqs[i-1]), key) >= 0 {
			t.Errorf("%d sorts before %d", seq, seqs[i-1])
		}
	}
}

// FuzzDecodeRecord: what decodes at all is exactly what would be written, and
// nothing panics.
func FuzzDecodeRecord(f *testing.F) {
	f.Add(encoded(record(1, 100)))
	f.Add(encoded(&Record{Received: time.Unix(0, 0)}))
	f.Add([]byte{recordVersion})
	f.Add(bytes.Repeat([]byte{recordVersion}, 21+IDSize))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := decodeRecord(1, value)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("error %v is none of damage", err)
			}
			return
		}
		if again := encoded(r); !bytes.Equal(value, again) {
			t.Errorf("decoded from %x, encoded to %x", value, again)
		}
	})
}

// FuzzDecodeRef is the same for the state entries.
func FuzzDecodeRef(f *testing.F) {
	ref := Ref{ID: record(1, 0).ID, Key: 1, Size: 1500, Received: epoch}
	f.Add(appendRef(nil, ref))
	f.Add(appendSettled(nil, ref, epoch, []byte("stream 1, sequence 2")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		ref, rest, err := decodeRef(1, value)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("error %v is none of damage", err)
			}
			return
		}
		again := append(appendRef(nil, ref), rest...)
		if at, note, err := decodeSettled(1, rest); err == nil {
			again = appendSettled(nil, ref, at, note)
		}
		if !bytes.Equal(value, again) {
			t.Errorf("decoded from %x, encoded to %x", value, again)
		}
	})
}

// FuzzIDKey: what is read as the key of an id is one, to the byte.
func FuzzIDKey(f *testing.F) {
	f.Add(idKey(partition(1<<40), record(1, 0).ID))
	f.Add(seqKey(kindID, 7))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, key []byte) {
		id, ok := idOf(key)
		if !ok || key[0] != kindID {
			return
		}
		if again := idKey(keySeq(key), id); !bytes.Equal(key, again) {
			t.Errorf("read from %x, written as %x", key, again)
		}
	})
}

package storefiles

import (
	"encoding/binary"
	"math"
)

// NumberedKey is a key whose entries a cursor can pass one by one: the kind, and a
// big-endian number.
func NumberedKey(kind byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, number)
}

const numberedSize = 1 + 8

func keyNumber(key []byte) uint64 { return binary.BigEndian.Uint64(key[1:]) }

// version is one change of an entry.
type version struct {
	key, value []byte
	number     uint64 // Pebble's, rising with each change
	deleted    bool
}

// versionIter goes through versions in the order of their keys. After seek or next
// was false, err tells the end from a fault.
type versionIter interface {
	seek(key []byte) bool
	next() bool
	current() version
	err() error
	close() error
}

// cursor goes through the versions of one kind, around those that cannot be read.
// That takes a kind with numbered keys; of another kind, what is behind such an
// entry is passed over, too.
type cursor struct {
	iter     versionIter
	kind     byte
	numbered bool
	valid    bool
	at       uint64          // the number, while valid
	fault    func(err error) // told why something could not be read
}

// newCursor stands at the first entry, if there is one.
func newCursor(iter versionIter, kind byte, numbered bool, fault func(error)) *cursor {
	c := &cursor{iter: iter, kind: kind, numbered: numbered, fault: fault}
	c.settle(iter.seek([]byte{kind}), 0)
	return c
}

func (c *cursor) next() { c.settle(c.iter.next(), c.at+1) }

// settle notes where the iterator is, or goes on behind what it cannot read: from
// is the lowest number that may be there.
func (c *cursor) settle(ok bool, from uint64) {
	if !ok && c.iter.err() != nil {
		c.fault(c.iter.err())
		ok = c.numbered && c.pass(from)
	}
	c.valid = ok && c.iter.current().key[0] == c.kind && (!c.numbered || len(c.iter.current().key) == numberedSize)
	if c.valid && c.numbered {
		c.at = keyNumber(c.iter.current().key)
	}
}

// passTries is after how many tries the steps become larger. Each costs Pebble
// milliseconds, in which it looks for the one bit that was flipped.
const passTries = 512

// pass finds the first number, from one on, that can be sought again. What can be
// read between two damaged parts is passed over only if it is shorter than a step,
// which takes hundreds that cannot be read before it.
func (c *cursor) pass(from uint64) bool {
	step := uint64(1)
	bad, good := from-1, from // what is below from has been read, or is not there
	for tries := 0; !c.try(good); tries++ {
		if tries > passTries {
			step *= 2
		}
		if bad = good; good > math.MaxUint64-step {
			return false
		}
		good += step
	}
	for good-bad > 1 {
		if middle := bad + (good-bad)/2; c.try(middle) {
			good = middle
		} else {
			bad = middle
		}
	}
	return c.iter.seek(NumberedKey(c.kind, good))
}

// try seeks a number and tells whether that could be read.
func (c *cursor) try(number uint64) bool {
	return c.iter.seek(NumberedKey(c.kind, number)) || c.iter.err() == nil
}

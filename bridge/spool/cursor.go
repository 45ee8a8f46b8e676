package spool

import "math"

// entryIter goes through entries in the order of their keys. After seek or next
// was false, err tells the end from a fault.
type entryIter interface {
	seek(key []byte) bool
	next() bool
	key() []byte
	value() []byte
	err() error
	close() error
}

// cursor goes through the entries of one kind, around those that cannot be read.
// That takes a kind whose keys are sequence numbers; of another kind, what is
// behind such an entry is passed over, too.
type cursor struct {
	iter  entryIter
	kind  byte
	valid bool
	at    uint64          // the sequence number, while valid
	fault func(err error) // told why something could not be read
}

// newCursor stands at the first entry, if there is one.
func newCursor(iter entryIter, kind byte, fault func(error)) *cursor {
	c := &cursor{iter: iter, kind: kind, fault: fault}
	c.seek([]byte{kind})
	return c
}

func (c *cursor) numbered() bool { return c.kind != kindMeta && c.kind != kindID }

// seek goes to the first entry at or behind a key of the cursor's kind.
func (c *cursor) seek(key []byte) {
	from := uint64(0)
	if c.numbered() && len(key) == seqKeySize {
		from = keySeq(key)
	}
	c.settle(c.iter.seek(key), from)
}

func (c *cursor) next() { c.settle(c.iter.next(), c.at+1) }

// settle notes where the iterator is, or goes on behind what it cannot read: from
// is the lowest number that may be there.
func (c *cursor) settle(ok bool, from uint64) {
	if !ok && c.iter.err() != nil {
		c.fault(c.iter.err())
		ok = c.numbered() && c.pass(from)
	}
	c.valid = ok && c.iter.key()[0] == c.kind && (!c.numbered() || len(c.iter.key()) == seqKeySize)
	if c.valid && c.numbered() {
		c.at = keySeq(c.iter.key())
	}
}

// How pass looks for the end of what cannot be read. Each try costs Pebble
// milliseconds, in which it looks for the one bit that was flipped.
const (
	passTries  = 512 // before the steps become larger
	passStates = 32  // the step over states, of which a block holds some hundred
)

// pass finds the first number, from one on, that can be sought again. What can be
// read between two damaged parts is passed over only if it is shorter than a step;
// a record never is, unless hundreds before it cannot be read.
func (c *cursor) pass(from uint64) bool {
	step := uint64(passStates)
	if c.kind == kindRecord {
		step = 1
	}
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
	return c.iter.seek(seqKey(c.kind, good))
}

// try seeks a number and tells whether that could be read.
func (c *cursor) try(seq uint64) bool {
	return c.iter.seek(seqKey(c.kind, seq)) || c.iter.err() == nil
}

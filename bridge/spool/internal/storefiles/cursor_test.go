package storefiles

import (
	"errors"
	"slices"
	"testing"
)

// brokenIter has records under some numbers, and cannot be read in some ranges.
type brokenIter struct {
	numbers []uint64
	bad     [][2]uint64 // from, to before
	at      int
	fault   error
}

func (b *brokenIter) seek(key []byte) bool {
	from := uint64(0)
	if len(key) == numberedSize {
		from = keyNumber(key)
	}
	b.at, _ = slices.BinarySearch(b.numbers, from)
	return b.look(from)
}

func (b *brokenIter) next() bool {
	b.at++
	return b.look(b.numbers[b.at-1] + 1)
}

// look fails when the way from a number to the next that is there leads through
// what cannot be read.
func (b *brokenIter) look(from uint64) bool {
	b.fault = nil
	to := ^uint64(0)
	if b.at < len(b.numbers) {
		to = b.numbers[b.at]
	}
	for _, bad := range b.bad {
		if from < bad[1] && to >= bad[0] {
			b.fault = errors.New("checksum")
		}
	}
	return b.fault == nil && b.at < len(b.numbers)
}

func (b *brokenIter) current() version { return version{key: NumberedKey('r', b.numbers[b.at])} }
func (b *brokenIter) err() error       { return b.fault }
func (b *brokenIter) close() error     { return nil }

func TestCursorPassesWhatCannotBeRead(t *testing.T) {
	upTo := func(n int) (numbers []uint64) {
		for i := range n {
			numbers = append(numbers, uint64(i+1))
		}
		return numbers
	}
	for _, tc := range []struct {
		name    string
		numbers []uint64
		bad     [][2]uint64
		lost    int
		faults  int
	}{
		{"nothing there", nil, nil, 0, 0},
		{"whole", upTo(50), nil, 0, 0},
		{"one", upTo(50), [][2]uint64{{7, 8}}, 1, 1},
		{"the first", upTo(50), [][2]uint64{{1, 4}}, 3, 1},
		{"the last", upTo(50), [][2]uint64{{48, 51}}, 3, 1},
		{"several, with records between", upTo(500), [][2]uint64{{7, 11}, {13, 14}, {100, 180}}, 85, 3},
		{"very many", upTo(50_000), [][2]uint64{{1000, 41_000}}, 40_000, 1},
		{"all", upTo(50), [][2]uint64{{0, 1 << 63}}, 50, 1},
		{"far apart", []uint64{1, 2, 5_000_000_000, 5_000_000_001}, [][2]uint64{{2, 4_000_000_000}}, 1, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			faults, found := 0, 0
			iter := &brokenIter{numbers: tc.numbers, bad: tc.bad}
			last := uint64(0)
			for c := newCursor(iter, 'r', true, func(error) { faults++ }); c.valid; c.next() {
				if c.at <= last {
					t.Fatalf("record %d after %d", c.at, last)
				}
				last = c.at
				found++
			}
			if lost := len(tc.numbers) - found; lost != tc.lost || faults != tc.faults {
				t.Errorf("%d lost, %d faults; want %d, %d", lost, faults, tc.lost, tc.faults)
			}
		})
	}
}

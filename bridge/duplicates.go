package bridge

import "sync"

// duplicates counts, by a held record's sequence number, how often it came again. It
// is of this process, and bounded: of what came again longest ago the count is lost
// when more than maxDuplicates others did.
type duplicates struct {
	mu             sync.Mutex
	recent, former map[uint64]uint64
}

const maxDuplicates = 1 << 14

func (d *duplicates) add(seq uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	count := d.count(seq)
	if d.recent == nil || len(d.recent) >= maxDuplicates {
		d.former, d.recent = d.recent, map[uint64]uint64{}
	}
	d.recent[seq] = count + 1
}

func (d *duplicates) of(seq uint64) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count(seq)
}

// count: mu is held.
func (d *duplicates) count(seq uint64) uint64 {
	if count, ok := d.recent[seq]; ok {
		return count
	}
	return d.former[seq]
}

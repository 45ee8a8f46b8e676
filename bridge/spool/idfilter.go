package spool

import (
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// idFilter is a set of ids that may tell of one which it does not have, and never
// misses one that it has: a split block Bloom filter, as Parquet's (Apache Parquet,
// BloomFilter.md). Nearly every webhook is new, and to ask the store so costs more
// than to write it. Its methods may be called concurrently.
type idFilter struct {
	seed     maphash.Seed
	blocks   []filterBlock
	added    atomic.Int64
	capacity int64 // how many it is good for: beyond, it is right and of less and less use
}

type filterBlock [8]uint32

const idsPerBlock = 16 // 16 bits each: one in a thousand that is new looks held

func newIDFilter(capacity int64) *idFilter {
	return &idFilter{seed: maphash.MakeSeed(), capacity: capacity, blocks: make([]filterBlock, capacity/idsPerBlock+1)}
}

// filterSalts are those of Parquet's specification.
var filterSalts = filterBlock{0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31}

func (f *idFilter) place(id ID) (block *filterBlock, hash uint32) {
	h := maphash.Bytes(f.seed, id[:])
	return &f.blocks[(h>>32)*uint64(len(f.blocks))>>32], uint32(h)
}

func (f *idFilter) add(id ID) {
	block, hash := f.place(id)
	for i, salt := range filterSalts {
		atomic.OrUint32(&block[i], 1<<(hash*salt>>27))
	}
	f.added.Add(1)
}

func (f *idFilter) mayHave(id ID) bool {
	block, hash := f.place(id)
	for i, salt := range filterSalts {
		if atomic.LoadUint32(&block[i])&(1<<(hash*salt>>27)) == 0 {
			return false
		}
	}
	return true
}

// heldIDs knows most ids that are not held, without the store.
type heldIDs struct {
	filter atomic.Pointer[idFilter] // of all that is held; nil until the first is made
	making atomic.Bool              // a renewal is under way, or has failed

	commit sync.Mutex // held from an id's adding until its record is in the store
	next   *idFilter  // being made, nil if none is; guarded by commit
}

// add is called with commit held: between the two filters, an id that is added to
// the old one only would be forgotten.
func (h *heldIDs) add(id ID) {
	for _, f := range []*idFilter{h.filter.Load(), h.next} {
		if f != nil {
			f.add(id)
		}
	}
}

// surelyNew tells that id is not held; false that it may be.
func (h *heldIDs) surelyNew(id ID) bool {
	f := h.filter.Load()
	return f != nil && !f.mayHave(id)
}

// outgrown tells that another filter is due: there is none yet, or it has been
// added more than it is good for, most of which may be evicted by now.
func (h *heldIDs) outgrown() bool {
	f := h.filter.Load()
	return f == nil || f.added.Load() > f.capacity
}

// fewestIDs is the least that a filter is made for: 2 MiB.
const fewestIDs = 1 << 20

// renewIDsIfDue makes another filter in the background. Without one, the store is
// asked for each id.
func (s *Spool) renewIDsIfDue() {
	if !s.ids.outgrown() || !s.ids.making.CompareAndSwap(false, true) {
		return
	}
	s.done.Go(func() {
		if err := s.renewIDs(); err != nil {
			s.opts.Logger.Error("spool: ids not read, appending is slower", "error", s.told(err))
			return // and it is not tried again
		}
		s.ids.making.Store(false)
	})
}

// renewIDs makes a filter of what is held now, with room for as much again.
func (s *Spool) renewIDs() error {
	next, before := s.beginRenewal()
	complete, err := s.addHeld(next, before)
	s.ids.endRenewal(complete)
	return errors.Join(err, before.Close())
}

// beginRenewal: what is committed from here on is added to next by the committer,
// what was before is in the snapshot.
func (s *Spool) beginRenewal() (next *idFilter, before *pebble.Snapshot) {
	held := s.Stats()
	records := held.Pending.Records + held.Retained.Records + held.Quarantined.Records
	next = newIDFilter(max(2*records, fewestIDs))
	s.ids.commit.Lock()
	defer s.ids.commit.Unlock()
	s.ids.next = next
	return next, s.db.NewSnapshot()
}

// endRenewal takes next into use if it is complete, else drops it.
func (h *heldIDs) endRenewal(complete bool) {
	h.commit.Lock()
	defer h.commit.Unlock()
	if complete {
		h.filter.Store(h.next)
	}
	h.next = nil
}

// addHeld adds all ids in the store to f; complete is false when the spool was
// closed meanwhile.
func (s *Spool) addHeld(f *idFilter, store pebble.Reader) (complete bool, err error) {
	iter, err := store.NewIter(&pebble.IterOptions{LowerBound: []byte{kindID}, UpperBound: []byte{kindID + 1}})
	if err != nil {
		return false, err
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		if id, ok := idOf(iter.Key()); ok {
			f.add(id)
		}
		select {
		case <-s.quit:
			return false, nil
		default:
		}
	}
	return iter.Error() == nil, iter.Error()
}

package bridge

import (
	"container/heap"
	"slices"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// lane is the pending records of one ordering key, oldest first. Only its head
// is sent; the lane is then out of the ready list until the outcome is known.
type lane struct {
	refs     []spool.Ref
	due      time.Time // when a head that failed is tried again
	attempts uint64    // of the head, by this process
	sentAt   time.Time // when the head was first sent; zero while it surely is not in the stream
	floor    uint64    // if it is, then above this sequence number
	unsure   bool      // an earlier attempt may have put it there
	unknown  bool      // the last attempt had no outcome
}

func (l *lane) head() spool.Ref { return l.refs[0] }

// lanes holds every loaded record. A lane is in exactly one place: ready,
// waiting for its due time, or in flight.
type lanes struct {
	byKey   map[uint64]*lane
	ready   []*lane // first in, first out
	waiting dueHeap
	records int              // loaded and not settled
	tried   map[uint64]tried // by key, what is known of heads from before they were forgotten
}

// tried is how often a record has been sent.
type tried struct{ seq, attempts uint64 }

func newLanes() *lanes { return &lanes{byKey: map[uint64]*lane{}, tried: map[uint64]tried{}} }

// add puts a newly loaded record at the end of its lane.
func (s *lanes) add(ref spool.Ref) {
	s.records++
	l, ok := s.byKey[ref.Key]
	if !ok {
		l = &lane{}
		if before := s.tried[ref.Key]; before.seq == ref.Seq {
			l.attempts = before.attempts
		}
		s.byKey[ref.Key] = l
		s.ready = append(s.ready, l)
	}
	l.refs = append(l.refs, ref)
}

// insert puts a record that is pending again into its lane, where its number
// belongs, but never before a head that has been sent.
func (s *lanes) insert(ref spool.Ref) {
	l, ok := s.byKey[ref.Key]
	if !ok {
		s.add(ref)
		return
	}
	s.records++
	at := slices.IndexFunc(l.refs, func(other spool.Ref) bool { return other.Seq > ref.Seq })
	switch {
	case at < 0:
		at = len(l.refs)
	case at == 0 && l.attempts > 0:
		at = 1
	}
	l.refs = slices.Insert(l.refs, at, ref)
}

// renewed is lanes without a record, that know how often these heads were tried:
// backoff goes on from there.
func (s *lanes) renewed() *lanes {
	fresh := newLanes()
	for key, l := range s.byKey {
		if l.attempts > 0 {
			fresh.tried[key] = tried{l.head().Seq, l.attempts}
		}
	}
	return fresh
}

// take removes the lane that has been ready longest; nil if none is.
func (s *lanes) take() *lane {
	if len(s.ready) == 0 {
		return nil
	}
	l := s.ready[0]
	s.ready[0] = nil
	s.ready = s.ready[1:]
	return l
}

// putBack makes lanes that were taken the next to be taken.
func (s *lanes) putBack(taken ...*lane) { s.ready = append(taken, s.ready...) }

// advance drops the settled head of a lane that was taken, and makes the lane
// ready again if there is more in it.
func (s *lanes) advance(l *lane) {
	s.records--
	key := l.head().Key
	*l = lane{refs: l.refs[1:]}
	if len(l.refs) == 0 {
		delete(s.byKey, key)
		return
	}
	s.ready = append(s.ready, l)
}

// postpone makes a lane that was taken ready again at due.
func (s *lanes) postpone(l *lane, due time.Time) {
	l.due = due
	heap.Push(&s.waiting, l)
}

// wake makes the lanes ready that are due by now.
func (s *lanes) wake(now time.Time) {
	for len(s.waiting) > 0 && !s.waiting[0].due.After(now) {
		s.ready = append(s.ready, heap.Pop(&s.waiting).(*lane))
	}
}

// wakeAll makes every waiting lane ready: what they waited for has come.
func (s *lanes) wakeAll() {
	for len(s.waiting) > 0 {
		s.ready = append(s.ready, heap.Pop(&s.waiting).(*lane))
	}
}

// nextDue is when the next waiting lane is due; ok is false if none waits.
func (s *lanes) nextDue() (due time.Time, ok bool) {
	if len(s.waiting) == 0 {
		return time.Time{}, false
	}
	return s.waiting[0].due, true
}

// dueHeap is a heap.Interface, earliest due first.
type dueHeap []*lane

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(*lane)) }

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return l
}

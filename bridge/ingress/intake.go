package ingress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"
)

var (
	errBusy    = errors.New("too many requests at once")
	errEvicted = errors.New("made way for another request")
)

// intake bounds how many requests are under way, what the bodies take that are not
// verified yet, and how many of them are rendered as Python would at the same time. At
// its bound a new one is not refused if another can make way: the one that began the
// longest ago of those whose body is on its way or waits to be rendered. That of a webhook
// comes within moments, most often in one packet with its header, and is mostly signed as
// it is, and so it is never that one.
type intake struct {
	maxRequests int
	maxBytes    int64 // of buffers beyond usualBody each
	maxTurns    int

	mu        sync.Mutex
	requests  int
	bytes     int64
	turns     int    // bodies that are rendered
	last      uint64 // number
	receiving map[*reception]struct{}
	waiting   []*reception // for their turn, the next one first
	spare     sync.Pool
}

func newIntake(maxRequests int, maxBytes int64) *intake {
	return &intake{
		maxRequests: maxRequests, maxBytes: maxBytes, maxTurns: max(runtime.GOMAXPROCS(0)/2, 1),
		receiving: map[*reception]struct{}{},
		spare:     sync.Pool{New: func() any { return new(reception) }},
	}
}

// reception is a request under way.
type reception struct {
	w       http.ResponseWriter
	number  uint64 // the lower, the longer ago it began
	bytes   int64
	evicted bool

	size int           // of the body that waits for its turn
	turn chan struct{} // closed when it waits no longer; nil before it does
}

// begin takes a request in, whose body comes next; end ends it. The error is errBusy.
func (in *intake) begin(w http.ResponseWriter) (*reception, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.requests >= in.maxRequests && !in.evict(func(*reception) bool { return true }) {
		return nil, errBusy
	}
	in.requests++
	in.last++
	r := in.spare.Get().(*reception)
	*r = reception{w: w, number: in.last}
	in.receiving[r] = struct{}{}
	return r, nil
}

// reserve makes room for so many more bytes of r's body. The error is errBusy or, if r
// itself had to make way, errEvicted.
func (in *intake) reserve(r *reception, bytes int64) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.bytes+bytes > in.maxBytes && !r.evicted {
		if !in.evict(func(other *reception) bool { return other != r && other.bytes > 0 }) {
			return errBusy
		}
	}
	if r.evicted {
		return errEvicted
	}
	r.bytes += bytes
	in.bytes += bytes
	return nil
}

// received notes that r's body has come to its end, and tells whether r had to make
// way; if not, it need not any more, unless it comes to wait for its turn.
func (in *intake) received(r *reception) (evicted bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.receiving, r)
	return r.evicted
}

// verified gives back what r's body had reserved.
func (in *intake) verified(r *reception) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.bytes -= r.bytes
	r.bytes = 0
}

func (in *intake) end(r *reception) {
	in.mu.Lock()
	if !r.evicted {
		in.requests--
		in.bytes -= r.bytes
		delete(in.receiving, r)
	}
	in.mu.Unlock()
	r.w = nil
	in.spare.Put(r)
}

// evict ends the oldest request that may be ended, of those whose body is on its way or
// waits for its turn; false if there is none. in.mu is held, under which that request can
// neither have come to its end nor to its turn.
func (in *intake) evict(may func(*reception) bool) bool {
	var oldest *reception
	look := func(r *reception) {
		if (oldest == nil || r.number < oldest.number) && may(r) {
			oldest = r
		}
	}
	for r := range in.receiving {
		look(r)
	}
	for _, r := range in.waiting {
		look(r)
	}
	if oldest == nil {
		return false
	}
	in.requests--
	in.bytes -= oldest.bytes
	oldest.bytes, oldest.evicted = 0, true
	if in.unqueue(oldest) {
		close(oldest.turn)
		return true
	}
	delete(in.receiving, oldest)
	_ = http.NewResponseController(oldest.w).SetReadDeadline(time.Unix(1, 0)) // of tests alone there are writers that cannot
	return true
}

// awaitTurn returns when r's body of so many bytes may be rendered, until endTurn. The
// smaller come first, since what a rendering takes is in proportion: so a webhook of the
// usual size waits for no large forgery but those that are under way. The error is
// errEvicted, errBusy when it is too late for an answer, or errUnreadable when the sender
// has gone.
func (in *intake) awaitTurn(ctx context.Context, r *reception, size int, deadline time.Time) error {
	if in.takeTurn(r, size) {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	select {
	case <-r.turn:
	case <-ctx.Done():
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	switch waited := in.unqueue(r); {
	case r.evicted:
		return errEvicted
	case waited && errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%w: the sender went before it was verified", errUnreadable)
	case waited:
		return fmt.Errorf("%w: others were rendered until it was too late", errBusy)
	}
	return nil
}

// takeTurn queues r unless it is its turn at once.
func (in *intake) takeTurn(r *reception, size int) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.turns < in.maxTurns {
		in.turns++
		return true
	}
	r.size, r.turn = size, make(chan struct{})
	i, _ := slices.BinarySearchFunc(in.waiting, r, bySize)
	in.waiting = slices.Insert(in.waiting, i, r)
	return false
}

// endTurn hands the turn on.
func (in *intake) endTurn() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.waiting) == 0 {
		in.turns--
		return
	}
	next := in.waiting[0]
	in.unqueue(next)
	close(next.turn)
}

// unqueue tells whether r was waiting for its turn; it is not any more. in.mu is held.
func (in *intake) unqueue(r *reception) bool {
	i, waits := slices.BinarySearchFunc(in.waiting, r, bySize)
	if waits {
		in.waiting = slices.Delete(in.waiting, i, i+1)
	}
	return waits
}

// bySize is the order of turns.
func bySize(a, b *reception) int {
	return cmp.Or(cmp.Compare(a.size, b.size), cmp.Compare(a.number, b.number))
}

func (in *intake) underWay() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.requests
}

package ingress

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

var (
	errBusy    = errors.New("too many requests at once")
	errEvicted = errors.New("made way for another request")
)

// intake bounds how many requests are under way, and what the bodies take that are not
// verified yet. At its bound a new one is not refused if another can make way: the one
// whose body has been on its way for the longest. That of a webhook comes within
// moments, most often in one packet with its header, and so it is never that one.
type intake struct {
	maxRequests int
	maxBytes    int64 // of buffers beyond usualBody each

	mu        sync.Mutex
	requests  int
	bytes     int64
	last      uint64 // number
	receiving map[*reception]struct{}
	spare     sync.Pool
}

func newIntake(maxRequests int, maxBytes int64) *intake {
	return &intake{
		maxRequests: maxRequests, maxBytes: maxBytes,
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
// way; if not, it need not any more.
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

// evict ends the oldest body on its way that may be ended; false if there is none.
// in.mu is held, under which that request cannot have come to its end.
func (in *intake) evict(may func(*reception) bool) bool {
	var oldest *reception
	for r := range in.receiving {
		if (oldest == nil || r.number < oldest.number) && may(r) {
			oldest = r
		}
	}
	if oldest == nil {
		return false
	}
	delete(in.receiving, oldest)
	in.requests--
	in.bytes -= oldest.bytes
	oldest.bytes, oldest.evicted = 0, true
	_ = http.NewResponseController(oldest.w).SetReadDeadline(time.Unix(1, 0)) // of tests alone there are writers that cannot
	return true
}

func (in *intake) underWay() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.requests
}

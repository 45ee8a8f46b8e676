package ingress

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

var errTooManyFailures = errors.New("too many failed authentications")

// maxAddresses bounds the limiter's memory. Beyond it all are forgotten: that
// costs an attacker with so many addresses nothing, and us a map.
const maxAddresses = 10_000

// An answer about too many failures is held back for the penalty, and for a pace more for
// each that is held with it: so those who wait for it before they try again, however many
// they are, try 1,000 times a second at most, and leave the processor to others. It holds
// nothing but its connection meanwhile: its body is read and forgotten. Beyond maxHeld,
// answers come at once.
const (
	penalty = 250 * time.Millisecond
	pace    = time.Millisecond
	maxHeld = 4096
)

// hold returns after the penalty, when the sender has gone, or when the server stops.
func (l *failureLimiter) hold(ctx context.Context) {
	defer l.held.Add(-1)
	held := l.held.Add(1)
	if held > maxHeld {
		return
	}
	timer := time.NewTimer(penalty + time.Duration(held)*pace)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-l.stopping.Done():
	}
}

// failureLimiter counts failed authentications by address. It is asked only
// after one has failed, so a good webhook is never refused for another's sake.
type failureLimiter struct {
	rate  rate.Limit
	burst int
	held  atomic.Int64 // answers that are held back

	stopping context.Context // of the server, after which none is held back
	stop     context.CancelFunc

	mu     sync.Mutex
	byAddr map[netip.Prefix]*rate.Limiter
}

func newFailureLimiter(r rate.Limit, burst int) *failureLimiter {
	stopping, stop := context.WithCancel(context.Background())
	return &failureLimiter{rate: r, burst: burst, byAddr: map[netip.Prefix]*rate.Limiter{}, stopping: stopping, stop: stop}
}

// orTooMany counts a failure of an address and returns it, or errTooManyFailures when
// there have been too many.
func (l *failureLimiter) orTooMany(client netip.Addr, failure error) error {
	if l.allow(party(client)) {
		return failure
	}
	return fmt.Errorf("%w: %w", errTooManyFailures, failure)
}

func (l *failureLimiter) allow(addr netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byAddr) >= maxAddresses {
		clear(l.byAddr)
	}
	limiter, ok := l.byAddr[addr]
	if !ok {
		limiter = rate.NewLimiter(l.rate, l.burst)
		l.byAddr[addr] = limiter
	}
	return limiter.Allow()
}

package ingress

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

var errTooManyFailures = errors.New("too many failed authentications")

// maxAddresses bounds the limiter's memory. Beyond it all are forgotten: that
// costs an attacker with so many addresses nothing, and us a map.
const maxAddresses = 10_000

// failureLimiter counts failed authentications by address. It is asked only
// after one has failed, so a good webhook is never refused for another's sake.
type failureLimiter struct {
	rate  rate.Limit
	burst int

	mu     sync.Mutex
	byAddr map[netip.Prefix]*rate.Limiter
}

func newFailureLimiter(r rate.Limit, burst int) *failureLimiter {
	return &failureLimiter{rate: r, burst: burst, byAddr: map[netip.Prefix]*rate.Limiter{}}
}

// orTooMany counts a failure of r's address and returns it, or
// errTooManyFailures when there have been too many.
func (l *failureLimiter) orTooMany(r *http.Request, failure error) error {
	if l.allow(clientPrefix(r)) {
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

// clientPrefix is the peer's address, IPv6 by its /64: one host has a whole one.
func clientPrefix(r *http.Request) netip.Prefix {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := peer.Addr().Unmap().WithZone(""), 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits)
	return prefix
}

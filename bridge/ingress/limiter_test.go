package ingress

import (
	"context"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// An answer about too many failures is held back, and takes up no request meanwhile.
func TestTooManyFailuresAreHeldBack(t *testing.T) {
	addr, registry := serve(t, &accepter{}, Options{FailedAuthRate: 0.001, FailedAuthBurst: 1, MaxConcurrentRequests: 1})
	answered(t, post{status: 401}, addr)
	c := open(t, addr)
	c.send("POST /webhooks/zenduty HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	await(t, "it is refused", func() bool { return counted(t, registry)["zenduty rate_limited"] == 1 })
	answered(t, post{header: signed(sample), status: 200}, addr)
	c.expect(http.StatusTooManyRequests, false)
}

func TestHold(t *testing.T) {
	for name, test := range map[string]struct {
		held int64
		gone bool
		stop bool
		want time.Duration
	}{
		"alone":           {want: penalty + pace},
		"as many as may":  {held: maxHeld - 1, want: penalty + maxHeld*pace},
		"too many":        {held: maxHeld},
		"sender has gone": {gone: true},
		"server stops":    {stop: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.gone {
					cancel()
				}
				l := newFailureLimiter(1, 1)
				l.held.Store(test.held)
				if test.stop {
					l.stop()
				}
				began := time.Now()
				l.hold(ctx)
				if took := time.Since(began); took != test.want || l.held.Load() != test.held {
					t.Errorf("%v, want %v; %d are held", took, test.want, l.held.Load())
				}
			})
		})
	}
}

// What is refused by its address alone is answered at once: its body is not read, and
// over HTTP/2 in memory while it is held.
func TestNotAllowedIsNotHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		elsewhere := keyed(t, "k")
		elsewhere.Allow = networks("203.0.113.0/24")
		r := newReloaded(&accepter{}, map[string]*Source{"allowed": keyed(t, "k"), "elsewhere": elsewhere})
		r.failures = newFailureLimiter(1, 0)
		for source, want := range map[string]time.Duration{"allowed": penalty + pace, "elsewhere": 0} {
			began := time.Now()
			if status, text := r.post(source, "another"); status != http.StatusTooManyRequests {
				t.Errorf("%s: %d %s", source, status, text)
			}
			if took := time.Since(began); took != want {
				t.Errorf("%s: answered after %v, want %v", source, took, want)
			}
		}
	})
}

// Who is held back does not hold the shutdown up.
func TestShutdownHoldsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloaded(&accepter{}, map[string]*Source{"zenduty": keyed(t, "k")})
		r.failures = newFailureLimiter(1, 0)
		began := time.Now()
		time.AfterFunc(penalty/2, func() { _ = r.Shutdown(t.Context(), 0) })
		if status, text := r.post("zenduty", "another"); status != http.StatusTooManyRequests {
			t.Errorf("%d %s", status, text)
		}
		if took := time.Since(began); took != penalty/2 {
			t.Errorf("answered after %v, want %v, when the shutdown began", took, penalty/2)
		}
	})
}

func TestFailureLimiterIsBounded(t *testing.T) {
	l := newFailureLimiter(1, 1)
	for i := range maxAddresses + 5 {
		l.allow(party(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})))
	}
	if len(l.byAddr) > maxAddresses {
		t.Errorf("%d addresses remembered", len(l.byAddr))
	}
}

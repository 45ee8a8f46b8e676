package ingress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// newTurnless is a server that has no turn left for a rendering, and all the time to wait
// for one. endTurn gives one back.
func newTurnless(t *testing.T) *stoppable {
	t.Helper()
	s := newStoppable(t, nil)
	s.opts.AnswerDeadline, s.http.ReadTimeout, s.http.WriteTimeout = time.Hour, time.Hour, time.Hour
	s.intake.turns = s.intake.maxTurns
	return s
}

func (s *stoppable) awaitWaiting(n int) {
	s.t.Helper()
	await(s.t, fmt.Sprintf("%d requests wait for their turn", n), func() bool {
		s.intake.mu.Lock()
		defer s.intake.mu.Unlock()
		return len(s.intake.waiting) == n
	})
}

// outcomes is how many requests were counted as that.
func (s *stoppable) outcomes(outcome string) int {
	return int(testutil.ToFloat64(s.metrics.webhooks.WithLabelValues("zenduty", outcome)))
}

// spelt is a webhook of at least so many bytes, and how Python would spell it.
func spelt(size int, id string) (sent, signed string) {
	signed = fmt.Sprintf(`{"payload": {"event_type": "triggered", "incident": {"unique_id": %q}}}`, id)
	return signed + strings.Repeat(" ", max(size-len(signed), 1)), signed
}

// signedAs is a request with a body and the signature of another text.
func signedAs(body, signed string) string {
	return fmt.Sprintf("POST /webhooks/zenduty HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s",
		zenduty.SignatureHeader, zenduty.Sign(secret, []byte(signed)), len(body), body)
}

// forged is a small request whose body unfolds to more than is usual.
func forged() string {
	body := gzipped([]byte("[" + strings.Repeat("0,", usualBody/2) + "0]"))
	return fmt.Sprintf("POST /webhooks/zenduty HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// What is signed as it was sent waits for no rendering, large or small.
func TestRawSignaturesTakeNoTurn(t *testing.T) {
	t.Parallel()
	s := newTurnless(t)
	s.start()
	for _, size := range []int{0, usualBody + 1} {
		body, _ := spelt(size, fmt.Sprint(size))
		c := s.dial()
		c.send(signedText(body))
		c.expect(http.StatusOK, false)
	}
}

// Whatever is wrong with a signature, the bridge goes as far to find that out: under raw
// to the hash of the body, under auto to the renderings as well.
func TestAnyWrongSignatureTakesATurn(t *testing.T) {
	t.Parallel()
	s := newTurnless(t)
	key := zenduty.Key{Name: "k", Secret: secret}
	s.SetSources(map[string]*Source{
		"zenduty": {Verifier: verifier(t, zenduty.ModeAuto, key)},
		"basic":   {Verifier: verifier(t, zenduty.ModeAuto, key), BasicAuth: NewBasicAuth("zen", "pass:word")},
		"raw":     {Verifier: verifier(t, zenduty.ModeRaw, key)},
	})
	s.failures = newFailureLimiter(1000, 1000)
	s.start()
	other := zenduty.Sign("another key", sample)
	headers := []string{"", "X-Signature: \r\n", "X-Signature: abc\r\n", "X-Signature: " + other + "\r\n", strings.Repeat("X-Signature: "+other+"\r\n", 2)}
	var waiting []*sender
	for _, credentials := range []string{"", "Authorization: Basic !!\r\n", "Authorization: Basic emVuOnBhc3M6d29yZA==\r\n"} {
		for _, signature := range headers {
			for source, takesTurn := range map[string]bool{"zenduty": true, "basic": true, "raw": false} {
				c := s.dial()
				c.send(fmt.Sprintf("POST /webhooks/%s HTTP/1.1\r\nHost: x\r\n%s%sContent-Length: %d\r\n\r\n%s", source, credentials, signature, len(sample), sample))
				if !takesTurn {
					c.expect(http.StatusUnauthorized, false)
					continue
				}
				waiting = append(waiting, c)
				s.awaitWaiting(len(waiting))
			}
		}
	}
	s.intake.endTurn() // which goes from one to the next
	for _, c := range waiting {
		c.expect(http.StatusUnauthorized, false)
	}
	s.awaitWaiting(0)
}

func TestTurnInVain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		deadline time.Duration
		vain     func(*sender)
		outcome  string
	}{
		"too late":            {100 * time.Millisecond, func(c *sender) { c.expect(http.StatusServiceUnavailable, false) }, "busy"},
		"the sender has gone": {time.Hour, func(c *sender) { c.Close() }, "unreadable"}, // all of it has come
	} {
		t.Run(name, func(t *testing.T) {
			s := newTurnless(t)
			s.opts.AnswerDeadline = test.deadline
			s.start()
			c := s.dial()
			c.send(signedAs(spelt(usualBody+1, "i")))
			test.vain(c)
			await(t, "it is counted", func() bool { return s.outcomes(test.outcome) == 1 })
			s.awaitWaiting(0)
			if n := s.intake.underWay(); n != 0 || s.intake.bytes != 0 {
				t.Errorf("%d requests and %d bytes are under way", n, s.intake.bytes)
			}
		})
	}
}

// Forged bodies that have come hold every request and all memory for what is not
// verified, and no turn is left. A good webhook is answered all the same: at once if it
// is signed as it was sent, and with the next turn if not.
func TestForgedBodiesKeepNoGoodOneOut(t *testing.T) {
	const many, most = 300, 200
	s := newTurnless(t)
	s.intake.maxRequests, s.intake.maxBytes = most, most*usualBody
	s.start()
	request := forged()
	for range many {
		s.dial().send(request)
	}
	await(t, "all have come", func() bool { return s.outcomes("evicted") == many-most })
	s.awaitWaiting(most)
	if s.intake.bytes != s.intake.maxBytes {
		t.Errorf("%d bytes are taken of %d", s.intake.bytes, s.intake.maxBytes)
	}
	for _, size := range []int{0, usualBody + 1} {
		body, _ := spelt(size, fmt.Sprint("raw ", size))
		c := s.dial()
		c.send(signedText(body))
		c.expect(http.StatusOK, false)
	}
	rendered := s.dial()
	rendered.send(signedAs(spelt(0, "rendered")))
	await(t, "it waits", func() bool {
		s.intake.mu.Lock()
		defer s.intake.mu.Unlock()
		return s.intake.waiting[0].size < usualBody
	})
	for range 100 {
		s.dial().send(request)
	}
	await(t, "more have come", func() bool { return s.outcomes("evicted") >= many-most+100 })
	s.intake.endTurn()
	rendered.expect(http.StatusOK, false)
}

// The smaller come first, and of one size those that began first.
func TestOrderOfTurns(t *testing.T) {
	in := newIntake(10, 1)
	in.turns = in.maxTurns
	var all []*reception
	for _, size := range []int{30, 10, 20, 10, 0} {
		r, err := in.begin(nil)
		if err != nil {
			t.Fatal(err)
		}
		in.received(r)
		in.takeTurn(r, size)
		all = append(all, r)
	}
	for _, i := range []int{4, 1, 3, 2, 0} {
		in.endTurn()
		select {
		case <-all[i].turn:
		default:
			t.Errorf("it is not the turn of the one that came as number %d", i)
		}
	}
	in.endTurn()
	if in.turns != in.maxTurns-1 {
		t.Errorf("%d of %d turns are taken", in.turns, in.maxTurns)
	}
}

// A request that waits makes way like one whose body is on its way, the oldest first.
func TestWaitingRequestsMakeWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newIntake(3, 1)
		in.turns = in.maxTurns
		verified, _ := in.begin(nil)
		in.received(verified)
		ends := make([]error, 2)
		for i := range ends {
			r, _ := in.begin(nil)
			in.received(r)
			go func() { ends[i] = in.awaitTurn(context.Background(), r, i, time.Now().Add(time.Hour)) }()
			synctest.Wait()
		}
		for i := range 2 {
			if _, err := in.begin(nil); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if left := slices.IndexFunc(ends, func(err error) bool { return !errors.Is(err, errEvicted) }); left != []int{1, -1}[i] {
				t.Errorf("after %d more requests the waits ended with %v", i+1, ends)
			}
			in.mu.Lock()
			clear(in.receiving) // the new one's body has come, and is verified
			in.mu.Unlock()
		}
		if _, err := in.begin(nil); !errors.Is(err, errBusy) {
			t.Errorf("%v, with no request that may make way", err)
		}
	})
}

package bridge

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

func acceptCanary(t *testing.T, b *Bridge, n int) Receipt {
	t.Helper()
	r := accept(t, b, fmt.Appendf(nil, `{"payload":{"event_type":%q,"nonce":%d,"incident":{"unique_id":"a"}}}`, CanaryEvent, n))
	if r.Status != Accepted || !r.Canary {
		t.Errorf("accepted as %+v", r)
	}
	return r
}

// canaries are what the stream has of them.
func (b *broker) canaries() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.stream {
		if m.Canary {
			n++
		}
	}
	return n
}

// notes are the deliveries in the history.
func notes(t *testing.T, s *spool.Spool) (list []delivery) {
	t.Helper()
	err := s.Retained(0, func(r spool.Settled) bool {
		d, err := decodeDelivery(r.Note)
		if err != nil {
			t.Error(err)
		}
		list = append(list, d)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestCanaryIsDelivered(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	if r := accept(t, b, body("a", 0)); r.Canary {
		t.Error("an incident's webhook is taken for a canary")
	}
	acceptCanary(t, b, 1)
	runUntilDrained(t, b)
	if fake.canaries() != 1 || len(fake.published("a")) != 2 {
		t.Errorf("stream: %+v", fake.stream)
	}
	found := false
	for _, d := range notes(t, s) {
		found = found || d.canary() && d.Ack.Sequence != 0 && d.Reason == canaryNote
	}
	if !found {
		t.Errorf("history: %+v", notes(t, s))
	}
}

// Whatever comes of it ends it, and the webhooks of the same source and incident go on.
func TestCanaryIsSentOnce(t *testing.T) {
	for name, failure := range map[string]*publisher.Error{"transient": transient, "refused": full, "for good": permanent} {
		t.Run(name, func(t *testing.T) {
			s := openSpool(t, vfs.NewMem())
			defer s.Close()
			fake := newBroker()
			fake.decide = func(m *publisher.Message, _ int) fate {
				if m.Canary {
					return fate{err: failure}
				}
				return fate{stored: true}
			}
			b := New(s, fake, Options{Logger: quiet})
			id := acceptCanary(t, b, 1).ID
			accept(t, b, body("a", 0))
			runUntilDrained(t, b)
			stats := s.Stats()
			if stats.Retained.Records != 2 || stats.Quarantined.Records != 0 || fake.attempts[id] != 1 {
				t.Errorf("sent %d times, %+v", fake.attempts[id], stats)
			}
			if d := notes(t, s)[0]; !strings.Contains(d.Reason, failure.Err.Error()) && !strings.Contains(notes(t, s)[1].Reason, failure.Err.Error()) {
				t.Errorf("the reason is not noted: %+v", notes(t, s))
			}
		})
	}
}

// A canary that cannot be sent soon never is, and does not stay pending.
func TestCanaryGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, vfs.NewMem())
		defer s.Close()
		fake := newBroker()
		fake.ready = false
		b := New(s, fake, Options{Logger: quiet})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx, nil) }()
		pending := func() int64 { synctest.Wait(); return s.Stats().Pending.Records }
		acceptCanary(t, b, 1)
		time.Sleep(canaryLife - time.Millisecond)
		if pending() != 1 {
			t.Error("ended too early")
		}
		time.Sleep(time.Millisecond)
		if pending() != 0 {
			t.Error("pending although it is old")
		}
		fake.setReady(true)
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if fake.canaries() != 0 {
			t.Error("sent although it was old")
		}
	})
}

// What the stream lost is sent again, canaries are not.
func TestCanaryIsNotHealed(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	accept(t, b, body("a", 0))
	acceptCanary(t, b, 1)
	runUntilDrained(t, b)
	fake.recreate()
	accept(t, b, body("b", 0))
	runUntilDrained(t, b)
	if len(fake.published("a")) != 1 || len(fake.published("b")) != 1 || fake.canaries() != 0 {
		t.Errorf("stream: %+v", fake.stream)
	}
}

// A canary whose answer the bridge did not live to see may be found in the stream. It
// is not healed then either.
func TestCanaryOfAnEarlierProcess(t *testing.T) {
	fs := vfs.NewMem()
	s := openSpool(t, fs)
	fake := newBroker()
	ctx, kill := context.WithCancel(context.Background())
	fake.decide = func(m *publisher.Message, _ int) fate {
		if m.Canary {
			kill()
			return fate{stored: true, told: 50 * time.Millisecond}
		}
		return fate{stored: true}
	}
	b := New(s, fake, Options{Logger: quiet})
	accept(t, b, body("a", 0)) // so that there is a mark of what may have been sent
	acceptCanary(t, b, 1)
	if err := b.Run(ctx, nil); err != nil {
		t.Fatal(err)
	}
	fake.calls.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openSpool(t, fs)
	defer s.Close()
	fake.decide = newBroker().decide
	b = New(s, fake, Options{Logger: quiet})
	runUntilDrained(t, b)
	if fake.canaries() != 1 {
		t.Errorf("stream: %+v", fake.stream)
	}
	fake.recreate()
	accept(t, b, body("b", 0))
	runUntilDrained(t, b)
	if fake.canaries() != 0 || len(fake.published("a")) != 1 {
		t.Errorf("stream made anew: %+v", fake.stream)
	}
}

// No webhook's lane is that of canaries, and what cannot be keyed is none.
func TestOnlyCanariesHaveTheirKey(t *testing.T) {
	unkeyable := envelope{Source: "zenduty", EventType: CanaryEvent, Unkeyable: "damaged"}
	if unkeyable.orderingKey() == canaryKey {
		t.Error("what cannot be keyed is a canary")
	}
	one, two := envelope{Source: "a", EventType: CanaryEvent}, envelope{Source: "b", EventType: CanaryEvent, Incident: "i"}
	if one.orderingKey() != canaryKey || two.orderingKey() != canaryKey {
		t.Error("canaries have other keys")
	}
}

package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

var (
	transient = &publisher.Error{Reason: "timeout", Uncertain: true, Err: errors.New("no answer")}
	full      = &publisher.Error{Reason: "stream_full", Err: errors.New("maximum messages exceeded")}
	permanent = &publisher.Error{Reason: "too_large", Permanent: true, Err: errors.New("maximum payload exceeded")}
)

func openSpool(t *testing.T, fs vfs.FS) *spool.Spool {
	t.Helper()
	s, err := spool.Open("spool", spool.Options{FS: fs, Logger: quiet, BallastBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func body(incident string, n int) []byte {
	return fmt.Appendf(nil, `{"payload":{"event_type":"triggered","incident":{"unique_id":%q,"incident_number":%d}}}`, incident, n)
}

func accept(t *testing.T, b *Bridge, data []byte) Receipt {
	t.Helper()
	r, err := b.Accept(context.Background(), Webhook{Source: "zenduty", Rendering: "raw", Key: "default", Body: data, Received: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// runUntilDrained runs the relay until nothing is pending.
func runUntilDrained(t *testing.T, b *Bridge) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	drain := make(chan struct{})
	close(drain)
	if err := b.Run(ctx, drain); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("not drained after 30 s: %+v", b.spool.Stats())
	}
}

func TestRelayKeepsOrderUnderFaults(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := openSpool(t, vfs.NewMem())
			defer s.Close()
			fake, random := newBroker(), rand.New(rand.NewPCG(seed, 0))
			fake.decide = func(*publisher.Message, int) fate {
				after := time.Duration(random.IntN(300)) * time.Microsecond
				switch random.IntN(4) {
				case 0:
					return fate{err: transient, told: after} // never arrived
				case 1:
					return fate{stored: true, arrives: after, err: transient} // but the answer was lost
				}
				return fate{stored: true, arrives: after}
			}
			b := New(s, fake, Options{Window: 8, BackoffMin: time.Microsecond, BackoffMax: time.Millisecond, Logger: quiet})
			const incidents, events = 20, 12
			for n := range events {
				for i := range incidents {
					accept(t, b, body(fmt.Sprintf("inc%d", i), n))
				}
			}
			runUntilDrained(t, b)
			fake.calls.Wait()
			for i := range incidents {
				name := fmt.Sprintf("inc%d", i)
				got := fake.published(name)
				if len(got) != events {
					t.Fatalf("%s: %d events, want %d", name, len(got), events)
				}
				for n, data := range got {
					if data != string(body(name, n)) {
						t.Fatalf("%s: event %d is %s", name, n, data)
					}
				}
			}
			if len(fake.overlaps) > 0 {
				t.Errorf("two publishes in flight at once for %v", fake.overlaps)
			}
			if fake.most > 8 {
				t.Errorf("%d in flight, the window is 8", fake.most)
			}
			if stats := s.Stats(); stats.Pending.Records != 0 || stats.Retained.Records != incidents*events {
				t.Errorf("spool: %+v", stats)
			}
		})
	}
}

func TestRelayGoesOnAfterARestart(t *testing.T) {
	fs := vfs.NewMem()
	s := openSpool(t, fs)
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	for n := range 10 {
		accept(t, b, body("a", n))
	}
	// JetStream stores the first four; the answer to the fourth never comes.
	ctx, kill := context.WithCancel(context.Background())
	fake.decide = func(*publisher.Message, int) fate {
		if len(fake.stream) == 3 {
			kill()
			return fate{stored: true, told: 50 * time.Millisecond}
		}
		return fate{stored: true}
	}
	if err := b.Run(ctx, nil); err != nil {
		t.Fatal(err)
	}
	fake.calls.Wait()
	if got := s.Stats().Pending.Records; got != 7 {
		t.Fatalf("%d pending after the kill, want 7: the unanswered one is pending again", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openSpool(t, fs)
	defer s.Close()
	fake.decide = newBroker().decide
	runUntilDrained(t, New(s, fake, Options{Logger: quiet}))
	got := fake.published("a")
	if len(got) != 10 {
		t.Fatalf("%d messages in the stream, want 10: %q", len(got), got)
	}
	for n := range got {
		if got[n] != string(body("a", n)) {
			t.Errorf("message %d is %s", n, got[n])
		}
	}
}

func TestPermanentErrorIsQuarantined(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	fake.decide = func(m *publisher.Message, _ int) fate {
		if string(m.Data) == string(body("a", 1)) {
			return fate{err: permanent}
		}
		return fate{stored: true}
	}
	b := New(s, fake, Options{Logger: quiet})
	for n := range 3 {
		accept(t, b, body("a", n))
	}
	runUntilDrained(t, b)
	if got := fake.published("a"); len(got) != 2 || got[1] != string(body("a", 2)) {
		t.Errorf("the rest did not flow on: %q", got)
	}
	if got := quarantine(t, s); len(got) != 1 || !strings.Contains(got[0].Reason, "maximum payload exceeded") || got[0].Ack.Sequence != 0 {
		t.Errorf("quarantine: %+v", got)
	}
}

func quarantine(t *testing.T, s *spool.Spool) []delivery {
	t.Helper()
	var got []delivery
	err := s.Quarantined(0, func(r spool.Settled) bool {
		d, err := decodeDelivery(r.Note)
		if err != nil {
			t.Error(err)
		}
		got = append(got, d)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestUnkeyableIsPublishedAndQuarantined(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	if r := accept(t, b, []byte("hello")); r.Status != Quarantined {
		t.Errorf("status %s", r.Status)
	}
	runUntilDrained(t, b)
	if len(fake.stream) != 1 || !fake.stream[0].Quarantined || string(fake.stream[0].Data) != "hello" {
		t.Errorf("stream: %+v", fake.stream)
	}
	if got := quarantine(t, s); len(got) != 1 || got[0].Ack.Sequence != 1 || got[0].Reason == "" {
		t.Errorf("quarantine: %+v", got)
	}
}

func TestUnreadableRecordIsSetAside(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	if _, err := s.Append(context.Background(), &spool.Record{ID: spool.ID{1}, Header: []byte("not an envelope"), Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	accept(t, b, body("a", 0))
	runUntilDrained(t, b)
	if len(fake.published("a")) != 1 {
		t.Error("the rest did not flow on")
	}
	if got := quarantine(t, s); len(got) != 1 || !strings.Contains(got[0].Reason, "damaged envelope") {
		t.Errorf("quarantine: %+v", got)
	}
}

func TestNothingIsSentWhileNATSIsAway(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	fake.ready = false
	b := New(s, fake, Options{Logger: quiet})
	accept(t, b, body("a", 0))
	ctx, cancel := context.WithCancel(context.Background())
	drain, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- b.Run(ctx, drain) }()
	accept(t, b, body("a", 1))
	close(drain)
	select {
	case err := <-ended:
		t.Fatalf("Run ended with records pending: %v", err)
	case <-time.After(50 * time.Millisecond): // it must not end; there is nothing to wait for
	}
	if len(fake.attempts) != 0 {
		t.Error("a message was sent while the publisher was not ready")
	}
	fake.setReady(true)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	cancel()
	if got := fake.published("a"); len(got) != 2 {
		t.Errorf("stream: %q", got)
	}
}

func TestOneStuckIncidentHoldsNoOther(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	fake.decide = func(m *publisher.Message, _ int) fate {
		if m.Incident == "stuck" {
			return fate{err: full}
		}
		return fate{stored: true}
	}
	b := New(s, fake, Options{Window: 4, BackoffMin: time.Millisecond, BackoffMax: time.Millisecond, Logger: quiet})
	for n := range 40 {
		accept(t, b, body("stuck", n))
	}
	for n := range 40 {
		accept(t, b, body("free", n))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, nil) }()
	for deadline := time.Now().Add(20 * time.Second); len(fake.published("free")) < 40; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the free incident waits for the stuck one")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := len(fake.published("stuck")); got != 0 {
		t.Errorf("%d of the stuck incident", got)
	}
}

// What the stream still has, or somebody has put back, is not sent again.
func TestHealSendsJustWhatIsMissing(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	registry := prometheus.NewRegistry()
	b := New(s, fake, Options{Logger: quiet, Registerer: registry})
	for n := range 6 {
		accept(t, b, body("a", n))
	}
	runUntilDrained(t, b)
	before := fake.stream

	fake.recreate()
	fake.publishOthers(10)
	for _, m := range before[1:3] { // of six, somebody restores two
		fake.store(m.Message, true)
	}
	accept(t, b, body("a", 6))
	runUntilDrained(t, b)
	checkReceipts(t, s, fake)
	want := []int{1, 2, 0, 3, 4, 5, 6}
	got := fake.published("a")
	for i, n := range want {
		if len(got) != len(want) || got[i] != string(body("a", n)) {
			t.Fatalf("stream: %q", got)
		}
	}
	healed := "# HELP zenduty_bridge_healed_total Webhooks sent again because the stream had lost them after it acknowledged them.\n# TYPE zenduty_bridge_healed_total counter\nzenduty_bridge_healed_total 4\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(healed), "zenduty_bridge_healed_total"); err != nil {
		t.Error(err)
	}
}

// checkReceipts: each names the message's place in the stream, also of what was
// found there again.
func checkReceipts(t *testing.T, s *spool.Spool, b *broker) {
	t.Helper()
	want, got := map[string]uint64{}, map[string]uint64{}
	for _, m := range b.stream {
		if m.Incident != "somebody else's" {
			want[m.ID] = m.sequence
		}
	}
	err := s.Retained(0, func(r spool.Settled) bool {
		d, err := decodeDelivery(r.Note)
		if err != nil {
			t.Error(err)
		}
		got[idText(r.ID)] = d.Ack.Sequence
		return true
	})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("receipts: %v, want to got %s", err, diff)
	}
}

// What could not be keyed was published as well, and is healed as well.
func TestHealSendsWhatWasQuarantined(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	accept(t, b, []byte("hello"))
	runUntilDrained(t, b)
	fake.recreate()
	accept(t, b, body("a", 0))
	runUntilDrained(t, b)
	if got := fake.published(""); len(fake.stream) != 2 || len(got) != 1 || got[0] != "hello" {
		t.Errorf("stream: %+v", fake.stream)
	}
	if got := quarantine(t, s); len(got) != 1 || got[0].Ack.Sequence == 0 {
		t.Errorf("quarantine: %+v", got)
	}
}

// Every attempt without an outcome is followed by a look into the stream. The
// waiting grows from one to the next all the same.
func TestUncertainAttemptsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, vfs.NewMem())
		defer s.Close()
		fake := newBroker()
		fake.decide = func(*publisher.Message, int) fate { return fate{err: transient} }
		b := New(s, fake, Options{Logger: quiet})
		accept(t, b, body("a", 0))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.Run(ctx, nil); err != nil {
			t.Fatal(err)
		}
		attempts := 0
		for _, n := range fake.attempts {
			attempts += n
		}
		if attempts < 12 || attempts > 40 || fake.lookups < attempts-1 {
			t.Errorf("%d attempts and %d looks into the stream in a minute, with a backoff of up to 5 s", attempts, fake.lookups)
		}
	})
}

// A purged stream has lost nothing: somebody wanted it empty.
func TestPurgeIsNotHealed(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	accept(t, b, body("a", 0))
	runUntilDrained(t, b)
	fake.stream = nil // and its last sequence number stays
	accept(t, b, body("a", 1))
	runUntilDrained(t, b)
	if got := fake.published("a"); len(got) != 1 {
		t.Errorf("stream: %q", got)
	}
}

// While the stream cannot be looked into nothing is sent, unless it never can.
func TestLookUpFails(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	fake.lookErr = errors.New("no answer")
	b := New(s, fake, Options{Logger: quiet, BackoffMin: time.Millisecond, BackoffMax: time.Millisecond})
	accept(t, b, body("a", 0))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := b.Run(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if len(fake.attempts) != 0 {
		t.Error("sent without having looked")
	}
	fake.lookErr = publisher.ErrNoRights
	runUntilDrained(t, b)
	if got := fake.published("a"); len(got) != 1 {
		t.Errorf("stream: %q", got)
	}
}

func TestDeliveryMetrics(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	registry := prometheus.NewRegistry()
	b := New(s, newBroker(), Options{Logger: quiet, Registerer: registry})
	accept(t, b, body("a", 0))
	runUntilDrained(t, b)
	if n, err := testutil.GatherAndCount(registry, "zenduty_bridge_delivery_lag_seconds", "zenduty_bridge_healed_total"); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if problems, err := testutil.GatherAndLint(registry); len(problems) > 0 || err != nil {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestBackoff(t *testing.T) {
	b := New(nil, nil, Options{BackoffMin: 100 * time.Millisecond, BackoffMax: 5 * time.Second, Logger: quiet})
	for attempts, limit := range map[uint64]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 6: 3200 * time.Millisecond, 7: 5 * time.Second, 1 << 40: 5 * time.Second,
	} {
		for range 100 {
			if got := b.backoff(attempts); got < limit/2 || got > limit {
				t.Fatalf("after %d attempts %v, want %v to %v", attempts, got, limit/2, limit)
			}
		}
	}
}

package bridge

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// refuser is a broker that refuses for good what is not mended.
func refuser(mended *atomic.Bool) *broker {
	fake := newBroker()
	fake.decide = func(m *publisher.Message, _ int) fate {
		if strings.Contains(string(m.Data), "large") && !mended.Load() {
			return fate{err: permanent}
		}
		return fate{stored: true, arrives: time.Second}
	}
	return fake
}

// inQuarantine lists the quarantine, page by page.
func inQuarantine(t *testing.T, b *Bridge) (list []Held) {
	t.Helper()
	for from := uint64(0); ; {
		page, err := b.Quarantine(t.Context(), from, 2)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, page.Webhooks...)
		if page.Next == 0 {
			return list
		}
		from = page.Next
	}
}

// What JetStream refused is sent once more when the cause is mended, and into
// quarantine again when it is not.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		fake := refuser(&mended)
		b := traceBridge(t, fake)
		var refused []string
		for n := range 3 {
			refused = append(refused, acceptFrom(t, b, "zenduty", body(fmt.Sprint("large", n), n)))
		}
		acceptFrom(t, b, "zenduty", body("a", 1))
		time.Sleep(time.Minute)
		list := inQuarantine(t, b)
		var got []string
		for _, held := range list {
			got = append(got, held.ID)
			if held.Kind != KindRefused || held.Reason != permanent.Error() || held.Attempts != 1 || held.Sequence != 0 || held.Settled.IsZero() {
				t.Errorf("%+v", held)
			}
		}
		if diff := cmp.Diff(refused, got); diff != "" {
			t.Fatal(diff)
		}

		if held, err := b.Retry(t.Context(), refused[0]); err != nil || held.State != StatePending || held.Kind != "" {
			t.Errorf("%+v, %v", held, err)
		}
		time.Sleep(time.Minute)
		if got := len(inQuarantine(t, b)); got != 3 {
			t.Errorf("%d in quarantine after a retry in vain", got)
		}

		mended.Store(true)
		for range 2 { // the second finds it gone
			_, err := b.Retry(t.Context(), refused[1])
			if err != nil && !errors.Is(err, ErrNotQuarantined) {
				t.Error(err)
			}
		}
		time.Sleep(time.Minute)
		if got := fake.published("large1"); len(got) != 1 {
			t.Errorf("published %q", got)
		}
		if _, err := b.Retry(t.Context(), refused[1]); !errors.Is(err, ErrNotQuarantined) || !strings.Contains(err.Error(), "it is acknowledged") {
			t.Errorf("of one that is acknowledged: %v", err)
		}
		if got := len(inQuarantine(t, b)); got != 2 || len(fake.overlaps) > 0 {
			t.Errorf("%d in quarantine, overlaps %q", got, fake.overlaps)
		}
	})
}

// A retried webhook goes before what of its incident has not been sent, never beside
// what has.
func TestRetryKeepsToItsLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		fake := refuser(&mended)
		slow := fake.decide
		fake.decide = func(m *publisher.Message, attempt int) fate {
			f := slow(m, attempt)
			f.arrives = time.Minute
			return f
		}
		b := traceBridge(t, fake)
		text := func(event string) []byte {
			return fmt.Appendf(nil, `{"payload":{"event_type":%q,"incident":{"unique_id":"a"}}}`, event)
		}
		id := acceptFrom(t, b, "zenduty", text("large"))
		time.Sleep(time.Hour)
		for _, event := range []string{"1", "2", "3"} {
			acceptFrom(t, b, "zenduty", text(event))
		}
		time.Sleep(time.Second) // 1 is under way
		mended.Store(true)
		if _, err := b.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		want := []string{string(text("1")), string(text("large")), string(text("2")), string(text("3"))}
		if diff := cmp.Diff(want, fake.published("a")); diff != "" || len(fake.overlaps) > 0 {
			t.Error(diff, fake.overlaps)
		}
	})
}

// A retry that a restart interrupts is not lost, and not doubled.
func TestRetrySurvivesReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		fake := refuser(&mended)
		b := traceBridge(t, fake)
		id := acceptFrom(t, b, "zenduty", body("large", 1))
		time.Sleep(time.Minute)
		fake.setReady(false)
		time.Sleep(time.Minute)
		mended.Store(true)
		if _, err := b.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		fake.setReady(true) // all is loaded anew
		time.Sleep(time.Hour)
		if got := fake.published("large"); len(got) != 1 {
			t.Errorf("published %q", got)
		}
	})
}

// A webhook that is dropped while its retry is under way is not sent again, and nobody
// is told that it was.
func TestRetryOfWhatWasDroppedMeanwhile(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	b := New(s, refuser(new(atomic.Bool)), Options{Logger: quiet})
	id := accept(t, b, body("large", 1)).ID
	runUntilDrained(t, b)
	held, err := b.quarantined(id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRelay(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, next := range []uint64{0, held.Seq + 1} { // before and after it was loaded
		r.next = next
		if err := b.Drop(t.Context(), id); err != nil && next == 0 {
			t.Fatal(err)
		}
		if err := r.retry(held.Ref); !errors.Is(err, ErrNotQuarantined) || !strings.Contains(err.Error(), id) {
			t.Errorf("loaded up to %d: %v", next, err)
		}
		if r.lanes.records > 0 {
			t.Errorf("loaded up to %d: %d records to be sent", next, r.lanes.records)
		}
	}
}

// What could not be keyed has been published as such: it is told apart, not retried,
// and dropped when somebody says so. It is new when it comes again.
func TestUnkeyable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newBroker()
		b := traceBridge(t, fake)
		id := acceptFrom(t, b, "zenduty", []byte("no JSON"))
		keyed := acceptFrom(t, b, "zenduty", body("a", 1))
		time.Sleep(time.Minute)
		held, err := b.Quarantined(t.Context(), id)
		if err != nil || held.Kind != KindUnkeyable || held.Stream != "S" || held.Sequence == 0 || held.Reason == "" || held.Lag < 0 {
			t.Errorf("%+v, %v", held, err)
		}
		if _, err := b.Retry(t.Context(), id); !errors.Is(err, ErrUnkeyable) {
			t.Errorf("retried: %v", err)
		}
		for _, id := range []string{keyed, strings.Repeat("0", 32)} {
			_, err := b.Quarantined(t.Context(), id)
			if drop := b.Drop(t.Context(), id); err == nil || drop == nil {
				t.Errorf("%s: %v, %v", id, err, drop)
			}
		}
		if err := b.Drop(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if err := b.Drop(t.Context(), id); !errors.Is(err, ErrNotHeld) {
			t.Errorf("dropped twice: %v", err)
		}
		if r := accept(t, b, []byte("no JSON")); r.Status != Quarantined || r.ID != id {
			t.Errorf("again: %+v", r)
		}
	})
}

package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// traceBridge is a bridge of two sources, which runs until the test ends.
func traceBridge(t *testing.T, fake *broker) *Bridge {
	t.Helper()
	s := openSpool(t, vfs.NewMem())
	b := New(s, fake, Options{Sources: []string{"zenduty", "other"}, BackoffMin: time.Minute, BackoffMax: time.Minute, Logger: quiet})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, nil) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func acceptFrom(t *testing.T, b *Bridge, source string, data []byte) string {
	t.Helper()
	r, err := b.Accept(t.Context(), Webhook{Source: source, Rendering: "raw", Key: "default", Body: data, Received: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

// ids are those of a trace, as numbers of the order in which they were accepted.
func ids(t *testing.T, b *Bridge, q Query, accepted []string) string {
	t.Helper()
	trace, err := b.Trace(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, held := range trace.Webhooks {
		for n, id := range accepted {
			if id == held.ID {
				fmt.Fprint(&text, n)
			}
		}
	}
	if trace.More {
		text.WriteString("+")
	}
	return text.String()
}

func TestTraceFinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := traceBridge(t, newBroker())
		accepted := []string{
			acceptFrom(t, b, "zenduty", body("a", 5)),
			acceptFrom(t, b, "zenduty", body("b", 6)),
			acceptFrom(t, b, "zenduty", append(body("a", 5), ' ')),
			acceptFrom(t, b, "other", body("c", 5)), // another account's number 5
			acceptFrom(t, b, "zenduty", append(body("a", 5), '\n')),
			acceptFrom(t, b, "zenduty", []byte(`{"payload":{"event_type":"test","incident":{"incident_number":7}}}`)),
			acceptFrom(t, b, "gone", body("a", 8)), // of a source that is configured no more
			acceptFrom(t, b, "zenduty", []byte("no JSON")),
		}
		synctest.Wait()
		for _, test := range []struct {
			name  string
			query Query
			want  string
		}{
			{"id", Query{ID: accepted[1]}, "1"},
			{"id of a quarantined one", Query{ID: accepted[7]}, "7"},
			{"id that is not held", Query{ID: strings.Repeat("0", 32)}, ""},
			{"incident, newest first", Query{Incident: "a"}, "420"},
			{"as many as asked for", Query{Incident: "a", Limit: 2}, "42+"},
			{"no more than there are", Query{Incident: "a", Limit: 3}, "420"},
			{"incident of one source", Query{Incident: "a", Source: "other"}, ""},
			{"no such incident", Query{Incident: "none"}, ""},
			{"number, of the newest incident that has it", Query{Number: 5}, "420"},
			{"number of one source", Query{Number: 5, Source: "other"}, "3"},
			{"number of an incident without id", Query{Number: 7}, "5"},
			{"number of a source that is gone", Query{Number: 8}, "6"},
			{"no such number", Query{Number: 9}, ""},
		} {
			if got := ids(t, b, test.query, accepted); got != test.want {
				t.Errorf("%s: %q, want %q", test.name, got, test.want)
			}
		}
		for _, bad := range []string{"", "x", strings.Repeat("w", 32), strings.Repeat("0", 31) + "\n", strings.Repeat("0", 40)} {
			if _, err := b.Quarantined(t.Context(), bad); !errors.Is(err, ErrBadID) {
				t.Errorf("id %q: %v", bad, err)
			}
		}
	})
}

// A trace tells the whole way of a webhook.
func TestTraceTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newBroker()
		fake.decide = func(m *publisher.Message, attempt int) fate {
			if attempt == 1 || m.Incident == "stuck" {
				return fate{err: full}
			}
			return fate{stored: true, arrives: time.Second}
		}
		b := traceBridge(t, fake)
		began := time.Now()
		data := []byte(`{"payload":{"event_type":"triggered","incident":{"unique_id":"a","incident_number":5,"service":{"unique_id":"s"}}}}`)
		id := acceptFrom(t, b, "zenduty", data)
		acceptFrom(t, b, "zenduty", data)
		acceptFrom(t, b, "zenduty", data)
		stuck := acceptFrom(t, b, "zenduty", body("stuck", 6))
		time.Sleep(2 * time.Minute)

		trace, err := b.Trace(t.Context(), Query{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		got := trace.Webhooks[0]
		if got.Lag < 31 || got.Lag > 62 || !got.Settled.Equal(began.Add(time.Duration(got.Lag*1e9))) { // a jittered minute, and one second
			t.Errorf("settled %s, lag %v", got.Settled, got.Lag)
		}
		got.Lag, got.Settled = 0, time.Time{}
		want := Held{
			ID: id, Seq: 1, Bytes: got.Bytes, Received: began, Source: "zenduty", Rendering: "raw", Key: "default",
			EventType: "triggered", Service: "s", Incident: "a", Number: 5,
			State: StateAcknowledged, Attempts: 2, Stream: "S", Sequence: 1, DuplicatesRefused: 2,
		}
		if diff := cmp.Diff(want, got); diff != "" || got.Bytes <= int64(len(data)) || !trace.Since.Equal(began) {
			t.Error(diff, trace.Since)
		}
		if bytes, err := b.Body(t.Context(), id); err != nil || string(bytes) != string(data) {
			t.Errorf("body %s, %v", bytes, err)
		}
		if _, err := b.Body(t.Context(), strings.Repeat("0", 32)); !errors.Is(err, ErrNotHeld) {
			t.Errorf("body of what is not held: %v", err)
		}

		trace, err = b.Trace(t.Context(), Query{Incident: "stuck"})
		if err != nil || len(trace.Webhooks) != 1 || trace.Webhooks[0].ID != stuck || trace.Webhooks[0].State != StatePending || trace.Webhooks[0].Attempts < 2 {
			t.Errorf("of one that is refused: %+v, %v", trace.Webhooks, err)
		}
	})
}

// Without a relay a trace comes all the same, soon.
func TestTraceWithoutRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, vfs.NewMem())
		defer s.Close()
		b := New(s, newBroker(), Options{Sources: []string{"zenduty"}, Logger: quiet})
		accept(t, b, body("a", 1))
		began := time.Now()
		trace, err := b.Trace(t.Context(), Query{Incident: "a"})
		if err != nil || len(trace.Webhooks) != 1 || time.Since(began) > relayPatience {
			t.Errorf("%+v, %v after %s", trace, err, time.Since(began))
		}
	})
}

// What has come from a source is found by its incident from the moment it may come, and
// ever after.
func TestTraceOfAnAddedSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, vfs.NewMem())
		defer s.Close()
		b := New(s, newBroker(), Options{Sources: []string{"zenduty"}, Logger: quiet})
		old, added := acceptFrom(t, b, "zenduty", body("a", 1)), acceptFrom(t, b, "added", body("a", 1))
		if got := ids(t, b, Query{Incident: "a"}, []string{old, added}); got != "0" {
			t.Errorf("before: %q", got)
		}
		b.AddSources("added")
		if got := ids(t, b, Query{Incident: "a"}, []string{old, added}); got != "10" {
			t.Errorf("after: %q", got)
		}
		if got := ids(t, b, Query{Incident: "a", Source: "zenduty"}, []string{old, added}); got != "0" {
			t.Errorf("of the other: %q", got)
		}
	})
}

// It is found after a restart as well that is without the source.
func TestTraceOfARemovedSource(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	b := New(s, newBroker(), Options{Sources: []string{"zenduty", "removed"}, Logger: quiet})
	accepted := []string{acceptFrom(t, b, "removed", body("a", 1)), acceptFrom(t, b, "zenduty", body("a", 1))}
	runUntilDrained(t, b)
	b.AddSources("added")
	accepted = append(accepted, acceptFrom(t, b, "added", body("a", 1)))
	runUntilDrained(t, b)
	for range 2 {
		b = New(s, newBroker(), Options{Sources: []string{"zenduty"}, Logger: quiet})
		runUntilDrained(t, b)
		if got := ids(t, b, Query{Incident: "a"}, accepted); got != "210" {
			t.Errorf("%q", got)
		}
	}
	if err := s.SetMark(spool.Mark{Name: sourcesMarkName, Value: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Run(t.Context(), nil); !errors.Is(err, errMark) || !strings.Contains(err.Error(), sourcesMarkName) {
		t.Error(err)
	}
}

// What cannot be looked through in time is said to be so, and what to ask for instead.
func TestTraceInTime(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	b := New(s, newBroker(), Options{Sources: []string{"zenduty"}, Logger: quiet})
	accept(t, b, body("a", 1))
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, q := range []Query{{Number: 1}, {Incident: "a"}} {
		if _, err := b.Trace(ctx, q); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "ask for the incident's unique_id") {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// A record that cannot be read is told of as far as its entry goes.
func TestTraceDamaged(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	b := New(s, newBroker(), Options{Logger: quiet})
	id := webhookID("zenduty", []byte("x"))
	if _, err := s.Append(t.Context(), &spool.Record{ID: id, Received: time.Now(), Header: []byte("no envelope")}); err != nil {
		t.Fatal(err)
	}
	runUntilDrained(t, b)
	trace, err := b.Trace(t.Context(), Query{ID: idText(id)})
	if err != nil || len(trace.Webhooks) != 1 {
		t.Fatalf("%+v, %v", trace, err)
	}
	if got := trace.Webhooks[0]; got.Kind != KindUnreadable || !strings.Contains(got.Reason, "damaged envelope") || got.Source != "" {
		t.Errorf("%+v", got)
	}
}

// Counts of duplicates are bounded, and the newest are right.
func TestDuplicatesAreBounded(t *testing.T) {
	var d duplicates
	for range 2 {
		d.add(1)
	}
	for seq := range uint64(5 * maxDuplicates) {
		d.add(10 + seq)
		d.add(7)
	}
	if d.of(7) != 5*maxDuplicates || d.of(9+5*maxDuplicates) != 1 || d.of(1) != 0 {
		t.Error(d.of(7), d.of(9+5*maxDuplicates), d.of(1))
	}
	if held := len(d.recent) + len(d.former); held > 2*maxDuplicates {
		t.Errorf("%d counts", held)
	}
}

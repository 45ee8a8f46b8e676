package bridge

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

func report(t *testing.T, b *Bridge) Report {
	t.Helper()
	r, err := b.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newBroker()
		fake.decide = func(*publisher.Message, int) fate { return fate{stored: true, arrives: 2 * time.Second} }
		b := traceBridge(t, fake)
		synctest.Wait()
		if r := report(t, b); r.LastWebhook != nil || r.Relay.Waits != nil || !r.Spool.OldestPending.IsZero() || r.Spool.MaxBytes != 8<<30 {
			t.Errorf("of nothing: %+v", r)
		}
		began := time.Now()
		acceptFrom(t, b, "zenduty", body("a", 1))
		acceptFrom(t, b, "zenduty", body("a", 2))
		id := acceptFrom(t, b, "zenduty", []byte("no JSON"))
		acceptCanary(t, b, 1) // which is no webhook of Zenduty's
		time.Sleep(time.Second)
		r := report(t, b)
		if r.Spool.Pending.Webhooks != 4 || r.Relay.InFlight != 3 || !r.Spool.OldestPending.Equal(began) || r.Spool.Refuses != "" {
			t.Errorf("with four pending: %+v", r)
		}
		if r.LastWebhook == nil || r.LastWebhook.ID != id {
			t.Errorf("last webhook: %+v", r.LastWebhook)
		}
		time.Sleep(9 * time.Second)
		r = report(t, b)
		want := Flow{Seconds: 10, Acknowledged: 2, PerSecond: 0.2, MeanLag: 3, MaxLag: 4}
		if r.Relay.Recent != want || r.Relay.Acknowledged != 2 || !r.Relay.LastAcknowledged.Equal(began.Add(4*time.Second)) {
			t.Errorf("afterwards: %+v", r.Relay)
		}
		if r.Spool.Retained.Webhooks != 3 || r.Spool.Quarantined.Webhooks != 1 || r.Spool.Bytes == 0 {
			t.Errorf("afterwards: %+v", r.Spool)
		}
		time.Sleep(time.Minute)
		if r := report(t, b); r.Relay.Recent != (Flow{Seconds: 60}) || r.Relay.Acknowledged != 2 {
			t.Errorf("a minute later: %+v", r.Relay)
		}
	})
}

// The report says what the relay waits for, from when it began to, and no longer
// than it does.
func TestReportWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newBroker()
		fake.ready = false
		b := traceBridge(t, fake)
		expect := func(what, why string, since time.Time) {
			t.Helper()
			synctest.Wait()
			waits := report(t, b).Relay.Waits
			if waits == nil || waits.For != what || waits.Why != why || !waits.Since.Equal(since) {
				t.Errorf("waits %+v, want %s: %s since %s", waits, what, why, since)
			}
		}
		began := time.Now()
		time.Sleep(time.Minute)
		acceptFrom(t, b, "zenduty", body("a", 1))
		expect(ForConnection, "there is no connection to NATS", began)

		connected := time.Now()
		fake.setFrozen(true)
		fake.setReady(true)
		expect(ForStream, "what it holds is compared with what is in stream S", connected)

		fake.lookErr = errors.New("no answer")
		fake.setFrozen(false)
		time.Sleep(time.Second)
		expect(ForStream, fake.lookErr.Error(), connected)

		fake.mu.Lock()
		fake.lookErr = nil
		fake.decide = func(*publisher.Message, int) fate { return fate{err: full} }
		fake.mu.Unlock()
		time.Sleep(5 * time.Minute)
		if waits := report(t, b).Relay.Waits; waits == nil || waits.For != ForAcknowledgement || waits.Why != full.Error() {
			t.Errorf("waits %+v", waits)
		}

		fake.mu.Lock()
		fake.decide = func(*publisher.Message, int) fate { return fate{stored: true} }
		fake.mu.Unlock()
		time.Sleep(5 * time.Minute)
		if waits := report(t, b).Relay.Waits; waits != nil {
			t.Errorf("waits %+v", waits)
		}
	})
}

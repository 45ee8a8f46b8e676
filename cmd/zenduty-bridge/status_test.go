package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/admin"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// troubled is a bridge in every trouble that a status tells of.
func troubled(now time.Time) *admin.Status {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	return &admin.Status{
		Version: "v1", Commit: "abc", Started: ago(26 * time.Hour), Now: now,
		Report: bridge.Report{
			Spool: bridge.SpoolReport{
				Pending: bridge.Tally{Webhooks: 7}, Quarantined: bridge.Tally{Webhooks: 2}, Bytes: 3 << 20, MaxBytes: 4 << 20,
				OldestPending: ago(90 * time.Second), Refuses: "spool is full",
			},
			Relay: bridge.RelayReport{
				Acknowledged: 100,
				Waits:        &bridge.Wait{For: bridge.ForStream, Since: ago(3 * time.Minute), Why: "no answer\x1b[31m"},
			},
		},
		Replay: &bridge.Replay{ID: "3v0k9q2a", State: bridge.ReplayRunning, Published: 12, Webhooks: 60, Error: "there is no connection to NATS"},
		NATS:   publisher.ConnectionReport{Since: ago(2 * time.Minute), Error: "refused"},
		Stream: publisher.StreamReport{Name: "ZENDUTY", Messages: 1, Drift: []string{"storage: is Memory, should be File"}},
		Sources: []admin.Source{
			{Name: "zenduty", Signature: "auto", Webhooks: map[string]uint64{"accepted": 30}, LastWebhook: ago(25 * time.Hour)},
			{Name: "other", Signature: "raw", LastWebhook: ago(26 * time.Hour)},
		},
	}
}

func TestDisplay(t *testing.T) {
	now := time.Now()
	before := troubled(now)
	before.Now, before.Relay.Acknowledged, before.Sources[0].Webhooks = now.Add(-2*time.Second), 90, map[string]uint64{"accepted": 25}
	before.Started = now.Add(-26 * time.Hour)
	var b bytes.Buffer
	if err := (display{w: &b, before: before}).show(troubled(now)); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimPrefix(`

bridge        takes no webhooks: spool is full
              v1 (commit abc), up 1d2h
spool         7 pending, 0 retained, 2 quarantined
              3.0 MiB of 4.0 MiB (75.0 %)
              oldest pending 1m30s
relay         0 in flight, 100 acknowledged since the start
              now: 2.5/s taken, 5.0/s acknowledged
              waits for the stream since 3m0s: no answer�[31m
replay        3v0k9q2a: waiting: there is no connection to NATS, 12 of 60 published
nats          not connected since 2m0s: refused
stream        ZENDUTY: 1 message, 0 B, last sequence 0
              not as the bridge would have it: storage: is Memory, should be File
sources       zenduty (signature auto): 30 accepted
              other (signature raw): nothing yet
last webhook  none is held; the last came 1d1h ago from zenduty
`, "\n")
	if got := b.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// On a terminal each look takes the place of the one before, and trouble has colours.
func TestDisplayOnATerminal(t *testing.T) {
	var b bytes.Buffer
	s := display{w: &b, paint: true, redraw: true}
	if err := errors.Join(s.show(troubled(time.Now())), s.showError(errors.New("no bridge answers"))); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		redraw + "bridge ", "\x1b[" + red + "mtakes no webhooks: spool is full\x1b[0m", "\x1b[" + magenta + "m2 quarantined\x1b[0m",
		redraw + "\x1b[" + red + "mno bridge answers\x1b[0m\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in %q", want, b.String())
		}
	}
}

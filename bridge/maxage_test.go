package bridge

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

func TestMaxAge(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	b := New(s, newBroker(), Options{Logger: quiet})
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	number := 0
	document := func(eventType, dates string) []byte {
		number++
		return fmt.Appendf(nil, `{"payload": {"event_type": %q, "incident": {"unique_id": "%d"%s}}}`, eventType, number, dates)
	}
	const (
		created      = `, "creation_date": "2026-11-20T10:59:59Z"` // a second more than an hour ago
		lately       = `, "creation_date": "2026-11-20T11:00:00+00:00"`
		acknowledged = `, "acknowledged_date": "2026-11-20T11:30:00Z"`
		resolved     = `, "resolved_date": "2026-11-20T10:59:59.9Z"`
		future       = `, "creation_date": "2027-01-01T00:00:00Z"`
	)
	for _, test := range []struct {
		name  string
		body  []byte
		stale bool
	}{
		{"triggered long ago", document("triggered", created), true},
		{"triggered lately", document("triggered", lately), false},
		{"an old incident acknowledged lately", document("acknowledged", created+acknowledged), false},
		{"resolved long ago", document("resolved", created+acknowledged+resolved), true},
		{"of a type with no time of its own", document("escalated", created), false},
		{"without the time of the event", document("acknowledged", created), false},
		{"with a time that cannot be read", document("triggered", `, "creation_date": "yesterday"`), false},
		{"of the future", document("triggered", future), false},
		{"not to be keyed", []byte("hello"), false},
	} {
		w := Webhook{Source: "zenduty", Body: test.body, Received: now, MaxAge: time.Hour}
		if _, err := b.Accept(context.Background(), w); errors.Is(err, ErrStale) != test.stale || err != nil && !test.stale {
			t.Errorf("%s: %v, stale is %v", test.name, err, test.stale)
		}
		_, held, err := s.Find(webhookID(w.Source, w.Body))
		if err != nil || held == test.stale {
			t.Errorf("%s: held %v, %v", test.name, held, err)
		}
		w.MaxAge = 0
		if r, err := b.Accept(context.Background(), w); err != nil || (r.Status == Duplicate) == test.stale {
			t.Errorf("%s, at any age: %+v, %v", test.name, r, err)
		}
		// It is held now, so its sender is told so.
		w.MaxAge = time.Hour
		if r, err := b.Accept(context.Background(), w); err != nil || r.Status != Duplicate {
			t.Errorf("%s, held already: %+v, %v", test.name, r, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w := Webhook{Source: "zenduty", Body: document("triggered", created), Received: now, MaxAge: time.Hour}
	if _, err := b.Accept(context.Background(), w); !errors.Is(err, spool.ErrClosed) || errors.Is(err, ErrStale) {
		t.Errorf("after Close: %v", err)
	}
}

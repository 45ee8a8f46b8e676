package bridge

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

func TestAccept(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	b := New(s, newBroker(), Options{Logger: quiet})
	first := accept(t, b, body("a", 0))
	if first.Status != Accepted || len(first.ID) != 32 || strings.Trim(first.ID, "0123456789abcdefghijklmnopqrstuv") != "" {
		t.Errorf("first: %+v", first)
	}
	if again := accept(t, b, body("a", 0)); again != (Receipt{ID: first.ID, Status: Duplicate}) {
		t.Errorf("the same again: %+v", again)
	}
	other, err := b.Accept(context.Background(), Webhook{Source: "other", Body: body("a", 0), Received: time.Now()})
	if err != nil || other.Status != Accepted || other.ID == first.ID {
		t.Errorf("the same from another source: %+v, %v", other, err)
	}
	for _, unkeyable := range []string{"hello", "", "[]", `{"payload":{"incident":{}}}`, `{"payload":{"event_type":5}}`} {
		if r := accept(t, b, []byte(unkeyable)); r.Status != Quarantined {
			t.Errorf("%q: %+v", unkeyable, r)
		}
	}
	if b.Admits() != nil {
		t.Errorf("not ready: %v", b.Admits())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Accept(context.Background(), Webhook{Source: "zenduty", Body: []byte("late")}); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if !errors.Is(b.Admits(), spool.ErrClosed) {
		t.Errorf("ready after Close")
	}
}

func TestOrderingKey(t *testing.T) {
	key := func(e envelope) uint64 { return e.orderingKey() }
	base := envelope{Source: "zenduty", Incident: "i", Service: "s", EventType: "triggered"}
	same := envelope{Source: "zenduty", Incident: "i", Service: "other", EventType: "resolved"}
	if key(base) != key(same) {
		t.Error("two events of one incident have two lanes")
	}
	noIncident := envelope{Source: "zenduty", Service: "s"}
	nothing := envelope{Source: "zenduty"}
	keys := map[uint64]string{}
	for name, e := range map[string]envelope{
		"incident": base, "incident of another source": {Source: "o", Incident: "i"}, "service": noIncident,
		"source": nothing, "service named as an incident": {Source: "zenduty", Service: "i"},
	} {
		if other, taken := keys[key(e)]; taken {
			t.Errorf("%s and %s share a lane", name, other)
		}
		keys[key(e)] = name
	}
}

func TestEnvelopeRoundTrip(t *testing.T) {
	for _, e := range []envelope{
		{},
		{Source: "zenduty", Rendering: "json.dumps", Key: "new", EventType: "triggered", Service: "s", Incident: "i", Number: 217, Time: time.Unix(1590090136, 372614000), Unkeyable: ""},
		{Source: "zenduty", Unkeyable: strings.Repeat("é", 300), Number: -1},
	} {
		got, err := decodeEnvelope(e.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDeliveryRoundTrip(t *testing.T) {
	for _, d := range []delivery{
		{},
		{Ack: publisher.Ack{Stream: "ZENDUTY", Sequence: 1 << 60, Duplicate: true}, Attempts: 7},
		{Reason: "too_large: maximum payload exceeded", Attempts: 1},
	} {
		got, err := decodeDelivery(d.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, got); diff != "" {
			t.Error(diff)
		}
	}
}

// What decodes must encode to the same, and nothing may panic.
func FuzzDecode(f *testing.F) {
	e := envelope{Source: "zenduty", EventType: "triggered", Incident: "i", Time: time.Unix(1, 2)}
	d := delivery{Ack: publisher.Ack{Stream: "S", Sequence: 9}, Reason: "r"}
	f.Add(e.encode())
	f.Add(d.encode())
	f.Add([]byte{1})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := decodeEnvelope(b); err == nil {
			if again, err := decodeEnvelope(e.encode()); err != nil || !cmp.Equal(e, again) {
				t.Errorf("%+v became %+v, %v", e, again, err)
			}
		}
		if d, err := decodeDelivery(b); err == nil {
			if again, err := decodeDelivery(d.encode()); err != nil || d != again {
				t.Errorf("%+v became %+v, %v", d, again, err)
			}
		}
	})
}

package bridge

import (
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// Held is a webhook that the bridge holds: where it came from and what became of it.
// Its JSON form is part of the operator's API. What is not known is not there.
type Held struct {
	ID       string    `json:"id"`
	Seq      uint64    `json:"seq"`   // its place in the spool
	Bytes    int64     `json:"bytes"` // with what is noted beside its body
	Received time.Time `json:"received"`

	Source    string    `json:"source,omitempty"`
	Rendering string    `json:"rendering,omitempty"` // whose signature matched
	Key       string    `json:"key,omitempty"`       // the name of the key that matched
	EventType string    `json:"event_type,omitempty"`
	Service   string    `json:"service,omitempty"`
	Incident  string    `json:"incident,omitempty"` // its unique_id
	Number    int64     `json:"incident_number,omitempty"`
	Happened  time.Time `json:"happened,omitzero"` // by Zenduty's clock

	State    State     `json:"state"`
	Settled  time.Time `json:"settled,omitzero"`      // when it was acknowledged or quarantined
	Lag      float64   `json:"lag_seconds,omitempty"` // from arrival to acknowledgement
	Attempts uint64    `json:"attempts"`              // how often it was sent, since the bridge was started or until it was settled
	Stream   string    `json:"stream,omitempty"`
	Sequence uint64    `json:"sequence,omitempty"` // in the stream
	Found    bool      `json:"found,omitempty"`    // the stream had it already when it was sent or looked for
	Kind     Kind      `json:"kind,omitempty"`     // of a quarantined one
	Reason   string    `json:"reason,omitempty"`   // likewise

	// DuplicatesRefused is how often the same webhook came again and was answered as
	// a duplicate since the bridge was started.
	DuplicatesRefused uint64 `json:"duplicates_refused"`
}

// State is what has become of a held webhook.
type State string

// The states that survive a restart, see the package's comment.
const (
	StatePending      State = "pending"
	StateAcknowledged State = "acknowledged"
	StateQuarantined  State = "quarantined"
)

// Kind is why a webhook is in quarantine.
type Kind string

// The kinds of quarantined webhooks.
const (
	// KindUnkeyable: it is no JSON object with an event type. It has been published,
	// on zenduty.quarantine.<source>.
	KindUnkeyable Kind = "unkeyable"
	// KindRefused: JetStream refused it for good, and does not have it.
	KindRefused Kind = "refused"
	// KindUnreadable: it is damaged on disk, and has not been sent.
	KindUnreadable Kind = "unreadable"
)

var states = map[spool.State]State{
	spool.StatePending: StatePending, spool.StateRetained: StateAcknowledged, spool.StateQuarantined: StateQuarantined,
}

// describe reads what is known of a held record, but for its body.
func (b *Bridge) describe(h spool.Held) Held {
	d := Held{
		ID: idText(h.ID), Seq: h.Seq, Bytes: h.Size, Received: h.Received,
		State: states[h.State], Settled: h.At, DuplicatesRefused: b.duplicates.of(h.Seq),
	}
	if header, err := b.spool.Header(h.Seq); err == nil {
		if e, err := decodeEnvelope(header); err == nil {
			d.setEnvelope(e)
		}
	}
	if h.State != spool.StatePending {
		if note, err := decodeDelivery(h.Note); err == nil {
			d.setDelivery(note)
		}
	}
	return d
}

func (d *Held) setEnvelope(e envelope) {
	d.Source, d.Rendering, d.Key = e.Source, e.Rendering, e.Key
	d.EventType, d.Service, d.Incident = e.EventType, e.Service, e.Incident
	d.Number, d.Happened = e.Number, e.Time
	d.Reason = e.Unkeyable
}

func (d *Held) setDelivery(note delivery) {
	d.Attempts, d.Stream, d.Sequence, d.Found = note.Attempts, note.Ack.Stream, note.Ack.Sequence, note.Ack.Duplicate
	if note.Ack.Sequence != 0 {
		d.Lag = d.Settled.Sub(d.Received).Seconds()
	}
	if d.State != StateQuarantined {
		return
	}
	switch {
	case note.Ack.Sequence != 0:
		d.Kind = KindUnkeyable // Reason says why, from the envelope
	case note.Attempts == 0:
		d.Kind, d.Reason = KindUnreadable, note.Reason
	default:
		d.Kind, d.Reason = KindRefused, note.Reason
	}
}

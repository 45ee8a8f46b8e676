package bridge

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// envelope is what the bridge notes of a webhook beside its body: the header of
// its record in the spool.
type envelope struct {
	Source    string
	Rendering string // which rendering's signature matched
	Key       string // name of the key that matched
	EventType string
	Service   string
	Incident  string
	Unkeyable string    // why it goes to quarantine; empty for an incident
	Number    int64     // incident number, as people speak of it; 0 if unknown
	Time      time.Time // when Zenduty says it happened; zero if it does not

	Traceparent string // the span that publishing it is a child of; empty for none
}

const envelopeVersion = 1

var errEnvelope = errors.New("damaged envelope")

func (e *envelope) texts() []*string {
	return []*string{&e.Source, &e.Rendering, &e.Key, &e.EventType, &e.Service, &e.Incident, &e.Unkeyable}
}

// encode: version, time in Unix nanoseconds (0 for none), incident number, then
// each text with its length in front; Traceparent is last, and left out when empty,
// as it is in the envelopes of before there was one.
func (e *envelope) encode() []byte {
	nanos := int64(0)
	if !e.Time.IsZero() {
		nanos = e.Time.UnixNano()
	}
	b := append(make([]byte, 0, 192+len(e.Traceparent)), envelopeVersion)
	b = binary.AppendVarint(b, nanos)
	b = binary.AppendVarint(b, e.Number)
	for _, text := range e.texts() {
		b = appendText(b, *text)
	}
	if e.Traceparent != "" {
		b = appendText(b, e.Traceparent)
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// cutText reads a text off the front of b.
func cutText(b []byte) (text string, rest []byte, err error) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return "", nil, errEnvelope
	}
	return string(b[n : n+int(length)]), b[n+int(length):], nil
}

func decodeEnvelope(b []byte) (envelope, error) {
	var e envelope
	if len(b) == 0 || b[0] != envelopeVersion {
		return e, errEnvelope
	}
	b = b[1:]
	var nanos int64
	for _, number := range []*int64{&nanos, &e.Number} {
		value, n := binary.Varint(b)
		if n <= 0 {
			return e, errEnvelope
		}
		*number, b = value, b[n:]
	}
	if nanos != 0 {
		e.Time = time.Unix(0, nanos)
	}
	var err error
	for _, text := range e.texts() {
		if *text, b, err = cutText(b); err != nil {
			return e, err
		}
	}
	if len(b) > 0 {
		e.Traceparent, _, err = cutText(b)
	}
	return e, err
}

// orderingKey is the webhook's lane: its incident, else its service, else its
// source. Two lanes that share a hash wait for each other, which harms nothing. A
// canary has no lane.
func (e *envelope) orderingKey() uint64 {
	if e.canary() {
		return canaryKey
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.Source))
	switch {
	case e.Incident != "":
		_, _ = h.Write([]byte("\x00incident\x00" + e.Incident))
	case e.Service != "":
		_, _ = h.Write([]byte("\x00service\x00" + e.Service))
	}
	if key := h.Sum64(); key != canaryKey {
		return key
	}
	return canaryKey + 1
}

// newEnvelope reads a verified webhook's fields. One that cannot be keyed is no
// error: it is kept, with the reason, and goes to quarantine.
func newEnvelope(w Webhook) envelope {
	e := envelope{Source: w.Source, Rendering: string(w.Rendering), Key: w.Key, Traceparent: w.Traceparent}
	fields, err := zenduty.ReadFields(w.Body)
	if err != nil {
		e.Unkeyable = err.Error()
		return e
	}
	e.EventType, e.Service, e.Incident = fields.EventType, fields.ServiceID, fields.IncidentID
	e.Number, e.Time = fields.IncidentNumber, fields.Time
	return e
}

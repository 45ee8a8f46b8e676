package zenduty

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// The event types that Zenduty documents. The set is open: others may come.
const (
	EventTriggered    = "triggered"
	EventAcknowledged = "acknowledged"
	EventResolved     = "resolved"
)

// Why a document's fields cannot be read. Either means that the webhook cannot
// be keyed, however authentic: put it aside for a person to look at.
var (
	// ErrNotObject reports a body that is not one JSON object.
	ErrNotObject = errors.New("not a JSON object")
	// ErrNoEventType reports an object whose event_type is missing, empty or not
	// a string.
	ErrNoEventType = errors.New("no event_type: missing, empty or not a string")
)

// Fields is what routing a webhook needs to know of it. Its strings are UTF-8
// and as sent, so as hostile as the sender; they do not alias the document.
type Fields struct {
	// EventType is what happened, as EventTriggered. Never empty without an error.
	EventType string
	// IncidentID is the incident's unique_id, empty if unknown. The events of one
	// incident share it.
	IncidentID string
	// IncidentNumber is the number people know the incident by, 0 if unknown.
	IncidentNumber int64
	// ServiceID is the unique_id of the incident's service, empty if unknown.
	ServiceID string
	// Time is when Zenduty says it happened, in UTC: the incident's
	// acknowledged_date or resolved_date for an event of that type, else its
	// creation_date. Zero if that date is missing or not RFC 3339.
	Time time.Time
}

// ReadFields reads the fields of a webhook's document, which is either the whole,
// {"payload": {"event_type": …, "incident": {…}}}, or the payload by itself,
// {"event_type": …, "incident": {…}}. A "payload" member counts if it is an
// object. The service may be an object with a unique_id, as in webhooks, or just
// the id, as Zenduty's REST API gives it. Fields other than the event type that
// are missing or of another type are left at their zero value.
//
// The whole document is checked, so a body that is not one valid JSON object of
// at most 500 levels is ErrNotObject, however good its beginning. Of members
// with the same key the last one counts and replaces the others entirely, as in
// Python, and in encoding/json when it decodes into a map.
//
// With ErrNoEventType the other fields are returned as far as they are there.
func ReadFields(doc []byte) (Fields, error) {
	s := scanner{src: doc}
	if s.peek() != '{' {
		return Fields{}, ErrNotObject
	}
	e, err := readEvent(&s)
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return Fields{}, fmt.Errorf("%w: %w", ErrNotObject, err)
	}
	f := e.fields()
	if f.EventType == "" {
		return f, ErrNoEventType
	}
	return f, nil
}

// event holds the members of a payload that matter, nil where they are not
// strings. They may alias the document.
type event struct {
	eventType []byte
	incident  incident
}

type incident struct {
	id           []byte
	number       int64
	service      []byte
	created      []byte
	acknowledged []byte
	resolved     []byte
}

func readEvent(s *scanner) (event, error) {
	var bare, payload event
	wrapped := false
	err := s.object(func(key text) error {
		if string(key.bytes()) != "payload" {
			return bare.read(s, key)
		}
		payload, wrapped = event{}, s.peek() == '{'
		return s.members(func(key text) error { return payload.read(s, key) })
	})
	if wrapped {
		return payload, err
	}
	return bare, err
}

// read consumes the value of a payload's member.
func (e *event) read(s *scanner, key text) (err error) {
	switch string(key.bytes()) {
	case "event_type":
		e.eventType, err = s.string()
	case "incident":
		e.incident = incident{}
		err = s.members(func(key text) error { return e.incident.read(s, key) })
	default:
		err = s.skip()
	}
	return err
}

// read consumes the value of an incident's member.
func (i *incident) read(s *scanner, key text) (err error) {
	switch string(key.bytes()) {
	case "unique_id":
		i.id, err = s.string()
	case "incident_number":
		i.number, err = s.integer()
	case "service":
		i.service, err = readService(s)
	case "creation_date":
		i.created, err = s.string()
	case "acknowledged_date":
		i.acknowledged, err = s.string()
	case "resolved_date":
		i.resolved, err = s.string()
	default:
		err = s.skip()
	}
	return err
}

// readService consumes an incident's service and returns its id.
func readService(s *scanner) (id []byte, err error) {
	if s.peek() != '{' {
		return s.string()
	}
	err = s.object(func(key text) (err error) {
		if string(key.bytes()) != "unique_id" {
			return s.skip()
		}
		id, err = s.string()
		return err
	})
	return id, err
}

func (e *event) fields() Fields {
	f := Fields{
		IncidentID:     string(e.incident.id),
		IncidentNumber: e.incident.number,
		ServiceID:      string(e.incident.service),
	}
	date := e.incident.created
	switch string(e.eventType) { // the documented types cost no allocation
	case EventTriggered:
		f.EventType = EventTriggered
	case EventAcknowledged:
		f.EventType, date = EventAcknowledged, e.incident.acknowledged
	case EventResolved:
		f.EventType, date = EventResolved, e.incident.resolved
	default:
		f.EventType = string(e.eventType)
	}
	f.Time = readTime(date)
	return f
}

// readTime returns the zero time for what is not RFC 3339, and for the few dates
// that an offset takes out of the years 1 to 9999, which RFC 3339 cannot write
// in UTC.
func readTime(date []byte) time.Time {
	var t time.Time
	if err := t.UnmarshalText(date); err != nil {
		return time.Time{}
	}
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// members is object for a value that may be something else, which is skipped.
func (s *scanner) members(member func(key text) error) error {
	if s.peek() != '{' {
		return s.skip()
	}
	return s.object(member)
}

// string consumes any value and returns it if it is a string, else nil. The
// result may alias the document.
func (s *scanner) string() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.skip()
	}
	t, err := s.text()
	return t.bytes(), err
}

// integer consumes any value and returns it if it is an integer of 64 bits, else
// 0.
func (s *scanner) integer() (int64, error) {
	if c := s.peek(); c != '-' && c-'0' > 9 {
		return 0, s.skip()
	}
	n, err := s.number()
	if err != nil {
		return 0, err
	}
	if i, err := strconv.ParseInt(string(n.raw), 10, 64); err == nil {
		return i, nil
	}
	return 0, nil // a fraction, an exponent or out of range
}

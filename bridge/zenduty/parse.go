package zenduty

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"
)

// Parse reads a webhook's document, {"payload": {…}} or the payload by itself. It
// succeeds if ReadFields does: all that it asks for is one valid JSON object with an
// event type, and so it reads every message that the bridge publishes on an
// incident's subject. Its errors are ErrNotObject, with the offset of the byte where
// the document breaks, and ErrNoEventType.
//
// The event does not alias the document.
func Parse(doc []byte) (*Event, error) {
	e := &Event{}
	if err := e.UnmarshalJSON(doc); err != nil {
		return nil, err
	}
	return e, nil
}

// UnmarshalJSON is Parse.
func (e *Event) UnmarshalJSON(doc []byte) error {
	if _, err := ReadFields(doc); err != nil {
		return err
	}
	var document map[string]json.RawMessage
	err := json.Unmarshal(doc, &document)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotObject, err) // not after ReadFields
	}
	payload := document["payload"]
	if len(payload) == 0 || payload[0] != '{' {
		document, payload = nil, doc
	}
	delete(document, "payload")
	*e = Event{Document: document}
	e.read, e.Extra, err = unmarshal(payload, e)
	return err
}

// MarshalJSON writes an event as it was read: what was null is null, what was missing
// is missing, Extra and Document are there. Of the fields those that were set since are
// written anew, and those that were set to nil or their zero value are left out; so it
// is with all fields of an event that was not read. The order of keys is not kept.
func (e Event) MarshalJSON() ([]byte, error) {
	payload, err := marshal(e, e.read, e.Extra)
	if err != nil || e.Document == nil {
		return payload, err
	}
	document := maps.Clone(e.Document)
	document["payload"] = payload
	return json.Marshal(document)
}

// UnmarshalJSON reads an incident.
func (i *Incident) UnmarshalJSON(data []byte) (err error) {
	*i = Incident{}
	i.read, i.Extra, err = unmarshal(data, i)
	return err
}

// MarshalJSON writes an incident, as Event.MarshalJSON does.
func (i Incident) MarshalJSON() ([]byte, error) { return marshal(i, i.read, i.Extra) }

// UnmarshalJSON reads a service, or the id of one.
func (s *Service) UnmarshalJSON(data []byte) (err error) {
	*s = Service{}
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &s.UniqueID)
	}
	s.read, s.Extra, err = unmarshal(data, s)
	return err
}

// MarshalJSON writes a service as an object, as Event.MarshalJSON does.
func (s Service) MarshalJSON() ([]byte, error) { return marshal(s, s.read, s.Extra) }

// UnmarshalJSON reads a user.
func (u *User) UnmarshalJSON(data []byte) (err error) {
	*u = User{}
	u.read, u.Extra, err = unmarshal(data, u)
	return err
}

// MarshalJSON writes a user, as Event.MarshalJSON does.
func (u User) MarshalJSON() ([]byte, error) { return marshal(u, u.read, u.Extra) }

// members are an object's, by their keys, as they were written. Those that became
// fields are kept for MarshalJSON: a field does not tell null from missing, nor how a
// number or a time was spelt.
type members = map[string]json.RawMessage

// unmarshal reads a JSON object into the struct at v. It returns the members that
// became fields, and those that did not.
func unmarshal(data []byte, v any) (read, extra members, err error) {
	if err := json.Unmarshal(data, &extra); err != nil {
		return nil, nil, err
	}
	read = members{}
	for f, field := range reflect.ValueOf(v).Elem().Fields() {
		key := f.Tag.Get("json")
		if raw, there := extra[key]; there && key != "-" && set(field, raw) {
			read[key] = raw
			delete(extra, key)
		}
	}
	if len(extra) == 0 {
		extra = nil
	}
	return read, extra, nil
}

// set reports whether a value fits a field, which it then has. null fits any, and
// leaves it as it is.
func set(field reflect.Value, raw json.RawMessage) bool {
	if string(raw) == "null" {
		return true
	}
	value := reflect.New(field.Type())
	if field.Kind() == reflect.Pointer {
		value.Elem().Set(reflect.New(field.Type().Elem()))
		if !set(value.Elem().Elem(), raw) {
			return false
		}
	} else if err := decode(raw, value.Interface()); err != nil {
		return false
	}
	field.Set(value.Elem())
	return true
}

// decode is json.Unmarshal, but for times, which are as ReadFields reads them.
func decode(raw json.RawMessage, value any) error {
	date, ok := value.(*time.Time)
	if !ok {
		return json.Unmarshal(raw, value)
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	if *date = readTime([]byte(text)); date.IsZero() {
		return errNoTime
	}
	return nil
}

var errNoTime = errors.New("not a date as in RFC 3339")

// marshal writes a struct as the object that unmarshal reads. A field that still is
// what its member says is written as that.
func marshal(v any, read, extra members) ([]byte, error) {
	written := map[string]any{}
	for key, raw := range extra {
		written[key] = raw
	}
	for f, field := range reflect.ValueOf(v).Fields() {
		key := f.Tag.Get("json")
		if key == "-" {
			continue
		}
		was, raw := reflect.New(field.Type()).Elem(), read[key]
		switch {
		case raw != nil && set(was, raw) && reflect.DeepEqual(was.Interface(), field.Interface()):
			written[key] = raw
		case !field.IsZero():
			written[key] = field.Interface()
		}
	}
	return json.Marshal(written)
}

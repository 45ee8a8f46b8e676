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
	if err := json.Unmarshal(doc, &document); err != nil {
		return fmt.Errorf("%w: %w", ErrNotObject, err) // not after ReadFields
	}
	payload := document["payload"]
	if len(payload) == 0 || payload[0] != '{' {
		return unmarshal(doc, e)
	}
	delete(document, "payload")
	if err := unmarshal(payload, e); err != nil {
		return err
	}
	e.Document = document
	return nil
}

// MarshalJSON writes what Parse reads: every field, Extra and Document. Keys are in
// the order of the alphabet, a time is as RFC 3339 with the digits it needs.
func (e Event) MarshalJSON() ([]byte, error) {
	payload, err := marshal(e)
	if err != nil || e.Document == nil {
		return payload, err
	}
	document := maps.Clone(e.Document)
	document["payload"] = payload
	return json.Marshal(document)
}

// UnmarshalJSON reads an incident.
func (i *Incident) UnmarshalJSON(data []byte) error { return unmarshal(data, i) }

// MarshalJSON writes an incident.
func (i Incident) MarshalJSON() ([]byte, error) { return marshal(i) }

// UnmarshalJSON reads a service, or the id of one.
func (s *Service) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*s = Service{}
		return json.Unmarshal(data, &s.UniqueID)
	}
	return unmarshal(data, s)
}

// MarshalJSON writes a service as an object.
func (s Service) MarshalJSON() ([]byte, error) { return marshal(s) }

// UnmarshalJSON reads a user.
func (u *User) UnmarshalJSON(data []byte) error { return unmarshal(data, u) }

// MarshalJSON writes a user.
func (u User) MarshalJSON() ([]byte, error) { return marshal(u) }

// extraField takes what no other field does.
const extraField = "Extra"

// unmarshal reads a JSON object into the struct at v. A member that fits no field is
// an extra one.
func unmarshal(data []byte, v any) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	object := reflect.ValueOf(v).Elem()
	object.SetZero()
	for i := range object.NumField() {
		key := object.Type().Field(i).Tag.Get("json")
		if raw, there := members[key]; there && key != "-" && set(object.Field(i), raw) {
			delete(members, key)
		}
	}
	if len(members) > 0 {
		object.FieldByName(extraField).Set(reflect.ValueOf(members))
	}
	return nil
}

// set reports whether a value fits a field, which it then has. null fits any.
func set(field reflect.Value, raw json.RawMessage) bool {
	if string(raw) == "null" {
		return true
	}
	var err error
	value := reflect.New(field.Type())
	if date, ok := value.Interface().(*time.Time); ok {
		*date, err = parseTime(raw)
	} else {
		err = json.Unmarshal(raw, value.Interface())
	}
	if err == nil {
		field.Set(value.Elem())
	}
	return err == nil
}

var errNoTime = errors.New("not a date as in RFC 3339")

func parseTime(raw json.RawMessage) (time.Time, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return time.Time{}, err
	}
	t := readTime([]byte(text))
	if t.IsZero() {
		return t, errNoTime
	}
	return t, nil
}

// marshal writes a struct as the object that unmarshal reads. What an object within
// it would be that was not there is left out, and a time that was not is null.
func marshal(v any) ([]byte, error) {
	object := reflect.ValueOf(v)
	members := map[string]any{}
	for i := range object.NumField() {
		key, field := object.Type().Field(i).Tag.Get("json"), object.Field(i)
		date, isDate := field.Interface().(time.Time)
		switch {
		case key == "-" || field.Kind() == reflect.Struct && !isDate && field.IsZero():
		case isDate && date.IsZero():
			members[key] = nil
		default:
			members[key] = field.Interface()
		}
	}
	for key, raw := range object.FieldByName(extraField).Interface().(map[string]json.RawMessage) {
		members[key] = raw
	}
	return json.Marshal(members)
}

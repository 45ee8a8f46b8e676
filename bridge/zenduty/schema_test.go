package zenduty_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

const schemaFile = "webhook.schema.json"

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func document(t *testing.T, doc []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSchemaTakesTheFixtures(t *testing.T) {
	schema := compileSchema(t)
	for _, name := range fixtures {
		doc := document(t, readFile(t, name))
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := schema.Validate(doc.(map[string]any)["payload"]); err != nil {
			t.Errorf("the payload of %s: %v", name, err)
		}
	}
}

// Each changes the acknowledged fixture in one place.
func TestSchemaRefuses(t *testing.T) {
	schema := compileSchema(t)
	for _, c := range []struct{ from, to string }{
		{`"event_type": "acknowledged", `, ``},
		{`"event_type": "acknowledged"`, `"event_type": ""`},
		{`"event_type": "acknowledged"`, `"event_type": 2`},
		{`"incident": {`, `"incidents": {`},
		{`"unique_id": "vuwtGfyHf9JaN5vg5sEc4N", `, ``},
		{`"unique_id": "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0"`, `"unique_id": null`},
		{`"incident_number": 217`, `"incident_number": "217"`},
		{`"incident_number": 217`, `"incident_number": 217.5`},
		{`"title": "Free`, `"titel": "Free`},
		{`"status": 2`, `"status": "acknowledged"`},
		{`"urgency": 1`, `"urgency": null`},
		{`"creation_date": "2020-05-21T19:42:16.372614Z"`, `"creation_date": "2020-05-21 19:42:16"`},
		{`"creation_date": "2020-05-21T19:42:16.372614Z"`, `"creation_date": null`},
		{`"acknowledged_date": "2020-05-25T11:18:55.112452Z"`, `"acknowledged_date": "2020-02-30T11:18:55Z"`},
		{`"acknowledged_date": "2020-05-25T11:18:55.112452Z"`, `"acknowledged_date": 1590405535`},
		{`"first_name": "Dwight"`, `"first_name": ["Dwight"]`},
		{`"username": "fe07dd6c-1f20-485e-bddb-c", `, ``},
		{`"name": "ZD Prod", `, ``},
		{`"collation": 0`, `"collation": false`},
	} {
		doc := bytes.Replace(readFile(t, "acknowledged.json"), []byte(c.from), []byte(c.to), 1)
		if schema.Validate(document(t, doc)) == nil {
			t.Errorf("taken although %s has become %s", c.from, c.to)
		}
	}
}

// The schema takes what may differ from webhook to webhook.
func TestSchemaTakes(t *testing.T) {
	schema := compileSchema(t)
	for _, c := range []struct{ from, to string }{
		{`"event_type": "acknowledged"`, `"event_type": "escalated"`},
		{`"status": 2`, `"status": 7, "tags": ["a"]`},
		{`"acknowledged_date": "2020-05-25T11:18:55.112452Z"`, `"acknowledged_date": "2020-05-25T13:18:55+02:00"`},
		{`"sla": "77bac19adeab4166bd9bd4dfe6301924"`, `"sla": null`},
		{`"merged_with": null`, `"merged_with": {"unique_id": "i"}`},
	} {
		doc := bytes.Replace(readFile(t, "acknowledged.json"), []byte(c.from), []byte(c.to), 1)
		if err := schema.Validate(document(t, doc)); err != nil {
			t.Errorf("%s for %s: %v", c.to, c.from, err)
		}
	}
}

// types are those of the schema's definitions, and where their objects are in a webhook
// and in its event.
var types = map[string]struct {
	v     any
	place []string
	in    func(*zenduty.Event) any
}{
	"payload":  {zenduty.Event{}, []string{"payload"}, func(e *zenduty.Event) any { e.Document = nil; return e }},
	"incident": {zenduty.Incident{}, []string{"payload", "incident"}, func(e *zenduty.Event) any { return e.Incident }},
	"service":  {zenduty.Service{}, []string{"payload", "incident", "service"}, func(e *zenduty.Event) any { return e.Incident.Service }},
	"user":     {zenduty.User{}, []string{"payload", "incident", "assigned_to"}, func(e *zenduty.Event) any { return e.Incident.AssignedTo }},
}

// properties are what the schema says of a definition's members.
func properties(t *testing.T, def string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return object(document(t, text), []string{"$defs", def, "properties"})
}

// The schema names the fields of the types, and they what it names. What it lets be
// null can be nil.
func TestSchemaAndTypesAgree(t *testing.T) {
	schema := compileSchema(t)
	for def, of := range types {
		var want []string
		for field := range reflect.TypeOf(of.v).Fields() {
			key := field.Tag.Get("json")
			if key == "-" {
				continue
			}
			want = append(want, key)
			doc := document(t, readFile(t, "acknowledged.json"))
			object(doc, of.place)[key] = nil
			nilable := field.Type.Kind() == reflect.Pointer || field.Type.Kind() == reflect.Slice
			if schema.Validate(doc) == nil && !nilable {
				t.Errorf("%s of the %s may be null, and is a %s", key, def, field.Type)
			}
		}
		got := slices.Collect(maps.Keys(properties(t, def)))
		if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
			t.Errorf("%s:\n%s", def, diff)
		}
	}
}

// object is the one at a place of a document.
func object(doc any, place []string) map[string]any {
	for _, key := range place {
		doc = doc.(map[string]any)[key]
	}
	return doc.(map[string]any)
}

// Each member that the schema names, null, missing, or the zero of its type, is written
// as it was read.
func TestNullMissingAndZeroAreToldApart(t *testing.T) {
	for def, of := range types {
		for key := range properties(t, def) {
			if key == "event_type" { // without one it is no event, see TestParseErrors
				continue
			}
			for name, change := range map[string]func(members map[string]any){
				"null":    func(members map[string]any) { members[key] = nil },
				"missing": func(members map[string]any) { delete(members, key) },
				"zero":    func(members map[string]any) { members[key] = zero(members[key]) },
			} {
				t.Run(def+"/"+key+"/"+name, func(t *testing.T) {
					doc := document(t, readFile(t, "acknowledged.json"))
					change(object(doc, of.place))
					event := parse(t, string(text(t, doc)))
					checkWrittenAsRead(t, text(t, doc), event)
					checkWrittenAsRead(t, text(t, object(doc, of.place)), of.in(event)) // not as a part of what is written whole
				})
			}
		}
	}
}

func text(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Null and missing are nil, and zero is not, where the zero means something.
func TestNullIsNotZero(t *testing.T) {
	for json, want := range map[string]zenduty.Incident{
		`{"urgency": 0, "service": {"status": 0, "collation": 0, "sla": ""}}`: {
			Urgency: new(zenduty.UrgencyLow), Service: zenduty.Service{Status: new(zenduty.ServiceDisabled), Collation: new(int64(0)), SLA: new("")}},
		`{"urgency": null, "resolved_date": null, "service": {"status": null, "collation": null, "sla": null}}`: {},
		`{"service": {}}`: {},
	} {
		event := parse(t, `{"event_type": "x", "incident": `+json+`}`)
		if diff := cmp.Diff(want, event.Incident, asRead); diff != "" {
			t.Errorf("%s:\n%s", json, diff)
		}
	}
}

// zero is that of a JSON value's type.
func zero(value any) any {
	switch value.(type) {
	case string:
		return ""
	case json.Number:
		return 0
	case map[string]any:
		return map[string]any{}
	}
	return value
}

func sorted(list []string) string {
	slices.Sort(list)
	return strings.Join(list, "\n")
}

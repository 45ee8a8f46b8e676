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

// The schema names the fields of the types, and they what it names.
func TestSchemaAndTypesAgree(t *testing.T) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for def, v := range map[string]any{
		"payload": zenduty.Event{}, "incident": zenduty.Incident{}, "service": zenduty.Service{}, "user": zenduty.User{},
	} {
		var want []string
		for field := range reflect.TypeOf(v).Fields() {
			if key := field.Tag.Get("json"); key != "-" {
				want = append(want, key)
			}
		}
		got := slices.Collect(maps.Keys(schema.Defs[def].Properties))
		if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
			t.Errorf("%s:\n%s", def, diff)
		}
	}
}

func sorted(list []string) string {
	slices.Sort(list)
	return strings.Join(list, "\n")
}

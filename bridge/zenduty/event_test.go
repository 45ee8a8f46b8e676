package zenduty_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

func parse(t *testing.T, doc string) *zenduty.Event {
	t.Helper()
	event, err := zenduty.Parse([]byte(doc))
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return event
}

func TestParseFixture(t *testing.T) {
	date := func(text string) time.Time {
		d, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return d.UTC()
	}
	want := &zenduty.Event{
		Type: zenduty.EventAcknowledged,
		Incident: zenduty.Incident{
			UniqueID: "vuwtGfyHf9JaN5vg5sEc4N", Number: 217, Key: "C67SCMypoCyUWwLpbVSSy2",
			Title: "Free disk space is less than 20% on volume sdx-03", Summary: "Linux 008 Free disk space is less than 20% on volume sdx-03",
			Status: zenduty.IncidentAcknowledged, Urgency: zenduty.UrgencyHigh,
			Service: zenduty.Service{
				UniqueID: "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0", Name: "ZD Prod", Description: "Zenduty main application",
				Status: zenduty.ServiceActive, CreationDate: date("2019-11-26T22:01:17.582115Z"), CreatedBy: "fe07dd6c-1f20-485e-bddb-c",
				Team: "0b3332124a984dceb77e12cd02728b4b", EscalationPolicy: "5ce8918ddfac4f00b95ab204dcedafc9",
				SLA: "77bac19adeab4166bd9bd4dfe6301924", TeamPriority: "6beb47f132f54f98b013757d2e3eef6e",
				TaskTemplate: "26c9f78141694c7980b87489b007c642",
			},
			AssignedTo:         &zenduty.User{Username: "fe07dd6c-1f20-485e-bddb-c", FirstName: "Dwight", LastName: "Schrute"},
			CreationDate:       date("2020-05-21T19:42:16.372614Z"),
			AcknowledgedDate:   date("2020-05-25T11:18:55.112452Z"),
			ContextWindowStart: date("2020-05-21T19:12:16.372Z"), ContextWindowEnd: date("2020-05-21T19:42:16.372Z"),
		},
		Document: map[string]json.RawMessage{},
	}
	if diff := cmp.Diff(want, parse(t, string(readFile(t, "acknowledged.json")))); diff != "" {
		t.Error(diff)
	}
}

// What the fixtures say is written again: every member, and no other.
func TestMarshalFixtures(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			doc := readFile(t, name)
			out, err := json.Marshal(parse(t, string(doc)))
			if err != nil {
				t.Fatal(err)
			}
			// Python writes six digits of a second, Go those that are needed.
			doc = bytes.ReplaceAll(doc, []byte(".372000Z"), []byte(".372Z"))
			want, _ := decode(t, doc)
			got, _ := decode(t, out)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

var fixtures = []string{"triggered.json", "acknowledged.json", "resolved.json"}

func TestParseKeepsWhatItDoesNotKnow(t *testing.T) {
	event := parse(t, `{"sent_by": "zd", "payload": {"event_type": "escalated", "level": 2, "incident": {
		"number": 12345678901234567890.50, "status": "open", "incident_number": 1e3, "creation_date": "yesterday", "title": null,
		"service": {"tags": ["a"], "sla": {"unique_id": "s"}}, "assigned_to": {"email": 1, "role": "lead"}, "merged_with": {"unique_id": "i"}}}}`)
	raw := func(pairs ...string) map[string]json.RawMessage {
		extra := map[string]json.RawMessage{}
		for i := 0; i < len(pairs); i += 2 {
			extra[pairs[i]] = json.RawMessage(pairs[i+1])
		}
		return extra
	}
	want := &zenduty.Event{
		Type: "escalated",
		Incident: zenduty.Incident{
			Service:    zenduty.Service{Extra: raw("tags", `["a"]`, "sla", `{"unique_id": "s"}`)},
			AssignedTo: &zenduty.User{Extra: raw("email", "1", "role", `"lead"`)},
			MergedWith: json.RawMessage(`{"unique_id": "i"}`),
			Extra:      raw("number", "12345678901234567890.50", "status", `"open"`, "incident_number", "1e3", "creation_date", `"yesterday"`),
		},
		Extra:    raw("level", "2"),
		Document: raw("sent_by", `"zd"`),
	}
	if diff := cmp.Diff(want, event); diff != "" {
		t.Error(diff)
	}
	checkWrittenAgain(t, event)
}

func checkWrittenAgain(t *testing.T, event *zenduty.Event) {
	t.Helper()
	out, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	again, err := zenduty.Parse(out)
	if err != nil {
		t.Fatalf("%v in what was written:\n%s", err, out)
	}
	// What was written has no white space between its tokens, and escapes more.
	if diff := cmp.Diff(event, again, cmp.Comparer(func(a, b json.RawMessage) bool {
		return sameJSON(t, a, b)
	})); diff != "" {
		t.Errorf("%s\n%s", diff, out)
	}
}

func sameJSON(t *testing.T, a, b json.RawMessage) bool {
	t.Helper()
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	first, _ := decode(t, a)
	second, _ := decode(t, b)
	return reflect.DeepEqual(first, second) // not cmp.Equal, see checkRendering
}

func TestParseShapes(t *testing.T) {
	for _, c := range []struct {
		name, doc string
		want      zenduty.Event
	}{
		{"the payload by itself", `{"event_type": "x", "incident": {"unique_id": "i"}}`,
			zenduty.Event{Type: "x", Incident: zenduty.Incident{UniqueID: "i"}}},
		{"the service's id", `{"event_type": "x", "incident": {"service": "s"}}`,
			zenduty.Event{Type: "x", Incident: zenduty.Incident{Service: zenduty.Service{UniqueID: "s"}}}},
		{"no incident", `{"event_type": "x"}`, zenduty.Event{Type: "x"}},
		{"an incident of another shape", `{"event_type": "x", "incident": [1]}`,
			zenduty.Event{Type: "x", Extra: map[string]json.RawMessage{"incident": json.RawMessage("[1]")}}},
		{"a payload of another shape", `{"event_type": "x", "payload": 1}`,
			zenduty.Event{Type: "x", Extra: map[string]json.RawMessage{"payload": json.RawMessage("1")}}},
		{"a key called -", `{"event_type": "x", "-": 1, "Extra": 2}`,
			zenduty.Event{Type: "x", Extra: map[string]json.RawMessage{"-": json.RawMessage("1"), "Extra": json.RawMessage("2")}}},
		{"names in another case", `{"event_type": "x", "EVENT_TYPE": 1}`,
			zenduty.Event{Type: "x", Extra: map[string]json.RawMessage{"EVENT_TYPE": json.RawMessage("1")}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := parse(t, c.doc)
			if diff := cmp.Diff(&c.want, got); diff != "" {
				t.Error(diff)
			}
			checkWrittenAgain(t, got)
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		doc, want string
		is        error
	}{
		{`{"payload": {"event_type": "x", "incident": {"status": 01}}}`, "not a JSON object: byte 56: expected ',' or '}' in an object", zenduty.ErrNotObject},
		{`[]`, "not a JSON object", zenduty.ErrNotObject},
		{`{"payload": {"event_type": 1}}`, "no event_type: missing, empty or not a string", zenduty.ErrNoEventType},
	} {
		if _, err := zenduty.Parse([]byte(c.doc)); !errors.Is(err, c.is) || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.doc, err, c.want)
		}
		var event zenduty.Event
		if err := json.Unmarshal([]byte(c.doc), &event); err == nil {
			t.Errorf("%s: encoding/json reads it as %+v", c.doc, event)
		}
	}
}

// An event that is read into again has nothing left of what it was.
func TestUnmarshalIntoAnEventThatWas(t *testing.T) {
	event := parse(t, string(readFile(t, "resolved.json")))
	if err := json.Unmarshal([]byte(`{"event_type": "x"}`), event); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&zenduty.Event{Type: "x"}, event); diff != "" {
		t.Error(diff)
	}
}

func TestNames(t *testing.T) {
	for want, got := range map[string]interface{ String() string }{
		"triggered": zenduty.IncidentTriggered, "acknowledged": zenduty.IncidentAcknowledged, "resolved": zenduty.IncidentResolved,
		"0": zenduty.IncidentStatus(0), "4": zenduty.IncidentStatus(4), "-1": zenduty.IncidentStatus(-1),
		"low": zenduty.UrgencyLow, "high": zenduty.UrgencyHigh, "2": zenduty.Urgency(2),
		"disabled": zenduty.ServiceDisabled, "active": zenduty.ServiceActive, "warning": zenduty.ServiceWarning,
		"critical": zenduty.ServiceCritical, "under maintenance": zenduty.ServiceUnderMaintenance,
	} {
		if got.String() != want {
			t.Errorf("%s is called %s", want, got)
		}
	}
}

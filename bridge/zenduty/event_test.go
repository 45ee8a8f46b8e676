package zenduty_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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
			Status: zenduty.IncidentAcknowledged, Urgency: new(zenduty.UrgencyHigh),
			Service: zenduty.Service{
				UniqueID: "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0", Name: "ZD Prod", Description: "Zenduty main application",
				Status: new(zenduty.ServiceActive), CreationDate: date("2019-11-26T22:01:17.582115Z"), CreatedBy: "fe07dd6c-1f20-485e-bddb-c",
				Team: new("0b3332124a984dceb77e12cd02728b4b"), EscalationPolicy: new("5ce8918ddfac4f00b95ab204dcedafc9"),
				SLA: new("77bac19adeab4166bd9bd4dfe6301924"), TeamPriority: new("6beb47f132f54f98b013757d2e3eef6e"),
				TaskTemplate:           new("26c9f78141694c7980b87489b007c642"),
				AcknowledgementTimeout: new(int64(0)), AutoResolveTimeout: new(int64(0)), Collation: new(int64(0)), CollationTime: new(int64(0)),
			},
			AssignedTo:         &zenduty.User{Username: "fe07dd6c-1f20-485e-bddb-c", FirstName: "Dwight", LastName: "Schrute"},
			CreationDate:       date("2020-05-21T19:42:16.372614Z"),
			AcknowledgedDate:   new(date("2020-05-25T11:18:55.112452Z")),
			ContextWindowStart: new(date("2020-05-21T19:12:16.372Z")), ContextWindowEnd: new(date("2020-05-21T19:42:16.372Z")),
		},
		Document: map[string]json.RawMessage{},
	}
	if diff := cmp.Diff(want, parse(t, string(readFile(t, "acknowledged.json"))), asRead); diff != "" {
		t.Error(diff)
	}
}

var fixtures = []string{"triggered.json", "acknowledged.json", "resolved.json"}

func TestMarshalFixtures(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			doc := readFile(t, name)
			checkWrittenAsRead(t, doc, parse(t, string(doc)))
		})
	}
}

func TestParseKeepsWhatItDoesNotKnow(t *testing.T) {
	doc := `{"sent_by": "zd", "payload": {"event_type": "escalated", "level": 2, "incident": {
		"number": 12345678901234567890.50, "status": "open", "incident_number": 1e3, "creation_date": "yesterday", "title": null,
		"service": {"tags": ["a"], "sla": {"unique_id": "s"}}, "assigned_to": {"email": 1, "role": "lead"}, "merged_with": {"unique_id": "i"}}}}`
	event := parse(t, doc)
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
	if diff := cmp.Diff(want, event, asRead); diff != "" {
		t.Error(diff)
	}
	checkWrittenAsRead(t, []byte(doc), event)
}

// asRead leaves out of a comparison how an event was written.
var asRead = cmpopts.IgnoreUnexported(zenduty.Event{}, zenduty.Incident{}, zenduty.Service{}, zenduty.User{})

// checkWrittenAsRead: every member of the document, to the spelling of its numbers and
// times, and no other.
func checkWrittenAsRead(t *testing.T, doc []byte, read any) {
	t.Helper()
	out, err := json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	if want, got := plain(t, doc), plain(t, out); !reflect.DeepEqual(want, got) { // not cmp.Equal, see checkRendering
		t.Errorf("%s has become %s", doc, out)
	}
}

func plain(t *testing.T, doc []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return value
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
			if diff := cmp.Diff(&c.want, got, asRead); diff != "" {
				t.Error(diff)
			}
			checkWrittenAsRead(t, []byte(c.doc), got)
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
	if diff := cmp.Diff(&zenduty.Event{Type: "x"}, event, asRead); diff != "" {
		t.Error(diff)
	}
}

// What was set is written, what was cleared is left out, and all around it stays.
func TestMarshalWhatWasChanged(t *testing.T) {
	event := parse(t, `{"payload": {"event_type": "x", "incident": {"title": "t", "summary": null, "status": "open", "urgency": 0, "incident_number": -0,
		"creation_date": "2020-01-01T01:00:00.50+01:00", "service": {"unique_id": "s", "sla": null, "tags": []}, "assigned_to": {"username": "u"}}}}`)
	i := &event.Incident
	i.Title, i.Status, *i.Urgency, i.CreationDate = "", zenduty.IncidentResolved, zenduty.UrgencyHigh, time.Time{}
	i.ResolvedDate, i.Service.Team, i.AssignedTo = new(time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC)), new(""), nil
	out, err := json.Marshal(event)
	want := `{"payload":{"event_type":"x","incident":{"incident_number":-0,"resolved_date":"2020-01-02T00:00:00Z",` +
		`"service":{"sla":null,"tags":[],"team":"","unique_id":"s"},"status":3,"summary":null,"urgency":1}}}`
	if diff := cmp.Diff(want, string(out)); diff != "" || err != nil {
		t.Error(err, diff)
	}
	doc := `{"event_type":"x","incident":{"service":{"status":0},"unique_id":"i"}}`
	made := zenduty.Event{Type: "x", Incident: zenduty.Incident{UniqueID: "i", Service: zenduty.Service{Status: new(zenduty.ServiceDisabled)}}}
	if out, err := json.Marshal(made); string(out) != doc || err != nil {
		t.Errorf("one that was not read: %s, %v, want %s", out, err, doc)
	}
}

func TestOr(t *testing.T) {
	if zenduty.Or(new(zenduty.UrgencyLow), zenduty.UrgencyHigh) != zenduty.UrgencyLow || zenduty.Or(nil, zenduty.UrgencyHigh) != zenduty.UrgencyHigh {
		t.Error("the fallback is not for nil alone")
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

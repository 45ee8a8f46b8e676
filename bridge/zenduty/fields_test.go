package zenduty_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

func date(t *testing.T, s string) time.Time {
	t.Helper()
	d, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return d.UTC()
}

func TestReadFieldsOfFixtures(t *testing.T) {
	for event, happened := range map[string]string{
		zenduty.EventTriggered:    "2020-05-21T19:42:16.372614Z",
		zenduty.EventAcknowledged: "2020-05-25T11:18:55.112452Z",
		zenduty.EventResolved:     "2020-05-28T16:46:46.020227Z",
	} {
		want := zenduty.Fields{
			EventType:      event,
			IncidentID:     "vuwtGfyHf9JaN5vg5sEc4N",
			IncidentNumber: 217,
			ServiceID:      "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0",
			Time:           date(t, happened),
		}
		doc := string(readFile(t, event+".json"))
		member := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(doc), `{"payload": `), "}")
		for shape, doc := range map[string]string{"document": doc, "payload member": member} {
			got, err := zenduty.ReadFields([]byte(doc))
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s, %s: %v (-want +got):\n%s", event, shape, err, diff)
			}
		}
	}
}

// fieldsTests pair documents with what is read from them; FuzzReadFields starts
// from them.
var fieldsTests = []struct {
	name, doc string
	want      zenduty.Fields
	err       error
}{
	{"event type alone", `{"event_type":"x"}`, zenduty.Fields{EventType: "x"}, nil},
	{"white space", " { \"payload\" :\n{ \"event_type\"\t: \"x\" } } \r\n", zenduty.Fields{EventType: "x"}, nil},
	{"incident before its type", `{"payload":{"incident":{"unique_id":"i"},"event_type":"x"}}`, zenduty.Fields{EventType: "x", IncidentID: "i"}, nil},
	{"unknown members", `{"v":[1,{"event_type":"y"}],"payload":{"e":{"event_type":"z"},"event_type":"x","n":-1.5e3}}`, zenduty.Fields{EventType: "x"}, nil},
	{"escapes in names and values", `{"p\u0061yload":{"event\u005ftype":"x\n\ud83d\udd25\ud83d","incident":{"unique_id":"\"i\""}}}`, zenduty.Fields{EventType: "x\n🔥\ufffd", IncidentID: `"i"`}, nil},
	{"surrogates alone", `{"event_type":"\ud83dA\ud83d\u0041\udd25\ud83d\ud83d\udd25"}`, zenduty.Fields{EventType: "\ufffdA\ufffdA\ufffd\ufffd🔥"}, nil},
	{"non-ASCII", `{"event_type":"é🔥"}`, zenduty.Fields{EventType: "é🔥"}, nil},

	{"payload over top level", `{"event_type":"y","incident":{"unique_id":"j"},"payload":{"event_type":"x"}}`, zenduty.Fields{EventType: "x"}, nil},
	{"payload first, over top level", `{"payload":{"event_type":"x"},"event_type":"y","incident":{"unique_id":"j"}}`, zenduty.Fields{EventType: "x"}, nil},
	{"payload not an object", `{"event_type":"y","payload":"x"}`, zenduty.Fields{EventType: "y"}, nil},
	{"payload without a type", `{"event_type":"y","payload":{}}`, zenduty.Fields{}, zenduty.ErrNoEventType},

	{"service as text", `{"event_type":"x","incident":{"service":"s"}}`, zenduty.Fields{EventType: "x", ServiceID: "s"}, nil},
	{"service as object", `{"event_type":"x","incident":{"service":{"name":"n","unique_id":"s"}}}`, zenduty.Fields{EventType: "x", ServiceID: "s"}, nil},
	{"service null", `{"event_type":"x","incident":{"service":null}}`, zenduty.Fields{EventType: "x"}, nil},
	{"service as list", `{"event_type":"x","incident":{"service":[{"unique_id":"s"}]}}`, zenduty.Fields{EventType: "x"}, nil},
	{"service without an id", `{"event_type":"x","incident":{"service":{"unique_id":7}}}`, zenduty.Fields{EventType: "x"}, nil},
	{"incident null", `{"event_type":"x","incident":null}`, zenduty.Fields{EventType: "x"}, nil},
	{"incident as text", `{"event_type":"x","incident":"i"}`, zenduty.Fields{EventType: "x"}, nil},
	{"incident as list", `{"event_type":"x","incident":[{"unique_id":"i"}]}`, zenduty.Fields{EventType: "x"}, nil},
	{"id a number", `{"event_type":"x","incident":{"unique_id":1}}`, zenduty.Fields{EventType: "x"}, nil},

	{"number negative", `{"event_type":"x","incident":{"incident_number":-2}}`, zenduty.Fields{EventType: "x", IncidentNumber: -2}, nil},
	{"number minus zero", `{"event_type":"x","incident":{"incident_number":-0}}`, zenduty.Fields{EventType: "x"}, nil},
	{"number at its bound", `{"event_type":"x","incident":{"incident_number":9223372036854775807}}`, zenduty.Fields{EventType: "x", IncidentNumber: 9223372036854775807}, nil},
	{"number beyond", `{"event_type":"x","incident":{"incident_number":9223372036854775808}}`, zenduty.Fields{EventType: "x"}, nil},
	{"number a float", `{"event_type":"x","incident":{"incident_number":2.0}}`, zenduty.Fields{EventType: "x"}, nil},
	{"number as text", `{"event_type":"x","incident":{"incident_number":"2"}}`, zenduty.Fields{EventType: "x"}, nil},

	{"last event type", `{"event_type":"x","event_type":"y"}`, zenduty.Fields{EventType: "y"}, nil},
	{"last event type, null", `{"event_type":"x","event_type":null,"incident":{"unique_id":"i"}}`, zenduty.Fields{IncidentID: "i"}, zenduty.ErrNoEventType},
	{"last payload, whole", `{"payload":{"event_type":"x","incident":{"unique_id":"i"}},"payload":{"event_type":"y"}}`, zenduty.Fields{EventType: "y"}, nil},
	{"last payload, not an object", `{"event_type":"y","payload":{"event_type":"x"},"payload":1}`, zenduty.Fields{EventType: "y"}, nil},
	{"last incident, whole", `{"event_type":"x","incident":{"unique_id":"i","incident_number":1,"service":"s"},"incident":{"unique_id":"j"}}`, zenduty.Fields{EventType: "x", IncidentID: "j"}, nil},
	{"last incident, null", `{"event_type":"x","incident":{"unique_id":"i"},"incident":null}`, zenduty.Fields{EventType: "x"}, nil},
	{"last service, whole", `{"event_type":"x","incident":{"service":{"unique_id":"s"},"service":{}}}`, zenduty.Fields{EventType: "x"}, nil},
	{"last ids", `{"event_type":"x","incident":{"unique_id":"i","unique_id":7,"incident_number":1,"incident_number":null}}`, zenduty.Fields{EventType: "x"}, nil},

	{"no event type", `{"payload":{"incident":{"unique_id":"i"}}}`, zenduty.Fields{IncidentID: "i"}, zenduty.ErrNoEventType},
	{"event type empty", `{"event_type":""}`, zenduty.Fields{}, zenduty.ErrNoEventType},
	{"event type a number", `{"event_type":1}`, zenduty.Fields{}, zenduty.ErrNoEventType},
	{"event type of another case", `{"Event_Type":"x"}`, zenduty.Fields{}, zenduty.ErrNoEventType},
	{"empty object", `{}`, zenduty.Fields{}, zenduty.ErrNoEventType},

	{"nothing", ``, zenduty.Fields{}, zenduty.ErrNotObject},
	{"text", `hello`, zenduty.Fields{}, zenduty.ErrNotObject},
	{"array", `[{"event_type":"x"}]`, zenduty.Fields{}, zenduty.ErrNotObject},
	{"string", `"event_type"`, zenduty.Fields{}, zenduty.ErrNotObject},
	{"null", `null`, zenduty.Fields{}, zenduty.ErrNotObject},
	{"cut off", `{"payload":{"event_type":"x"}`, zenduty.Fields{}, zenduty.ErrNotObject},
	{"two documents", `{"event_type":"x"}{"event_type":"y"}`, zenduty.Fields{}, zenduty.ErrNotObject},
	{"bad member after all fields", `{"event_type":"x","incident":{"unique_id":"i"},"y":01}`, zenduty.Fields{}, zenduty.ErrNotObject},
	{"bad string in a field", `{"event_type":"x\q"}`, zenduty.Fields{}, zenduty.ErrNotObject},
	{"bad number in a field", `{"event_type":"x","incident":{"incident_number":1.}}`, zenduty.Fields{}, zenduty.ErrNotObject},
	{"invalid UTF-8", "{\"event_type\":\"\xff\"}", zenduty.Fields{}, zenduty.ErrNotObject},
	{"byte order mark", "\ufeff{\"event_type\":\"x\"}", zenduty.Fields{}, zenduty.ErrNotObject},
	{"Infinity, as json.dumps can write it", `{"event_type":"x","y":Infinity}`, zenduty.Fields{}, zenduty.ErrNotObject},
	{"too deep", `{"event_type":"x","y":` + nested(500) + `}`, zenduty.Fields{}, zenduty.ErrNotObject},
	{"as deep as may be", `{"event_type":"x","y":` + nested(499) + `}`, zenduty.Fields{EventType: "x"}, nil},
}

func TestReadFields(t *testing.T) {
	for _, test := range fieldsTests {
		got, err := zenduty.ReadFields([]byte(test.doc))
		if !errors.Is(err, test.err) {
			t.Errorf("%s: got error %v, want %v", test.name, err, test.err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestReadFieldsTime(t *testing.T) {
	const (
		created      = "2026-01-01T00:00:00Z"
		acknowledged = "2026-01-02T00:00:00Z"
		resolved     = "2026-01-03T00:00:00Z"
	)
	for event, want := range map[string]string{
		"triggered": created, "acknowledged": acknowledged, "resolved": resolved, "reopened": created, "Resolved": created,
	} {
		doc := `{"event_type":"` + event + `","incident":{"creation_date":"` + created +
			`","acknowledged_date":"` + acknowledged + `","resolved_date":"` + resolved + `"}}`
		got, err := zenduty.ReadFields([]byte(doc))
		if err != nil || !got.Time.Equal(date(t, want)) {
			t.Errorf("%s: got %v, %v, want %s", event, got.Time, err, want)
		}
	}
}

func TestReadFieldsHasNoTimeOfAnotherEvent(t *testing.T) {
	for _, event := range []string{"acknowledged", "resolved"} {
		doc := `{"event_type":"` + event + `","incident":{"creation_date":"2026-01-01T00:00:00Z","` + event + `_date":null}}`
		if got, err := zenduty.ReadFields([]byte(doc)); err != nil || !got.Time.IsZero() {
			t.Errorf("%s: got %v, %v, want the zero time", event, got.Time, err)
		}
	}
}

func TestReadFieldsDates(t *testing.T) {
	utc := func(ns int) time.Time { return time.Date(2026, 1, 2, 3, 4, 5, ns, time.UTC) }
	for _, test := range []struct {
		date string
		want time.Time
	}{
		{`"2026-01-02T03:04:05Z"`, utc(0)},
		{`"2026-01-02T03:04:05.6Z"`, utc(600_000_000)},
		{`"2026-01-02T03:04:05.123456789Z"`, utc(123_456_789)},
		{`"2026-01-02T08:34:05+05:30"`, utc(0)},
		{`"2026-01-02T03:04:05\u005a"`, utc(0)},
		{`"2026-01-02T03:04:05"`, time.Time{}},
		{`"2026-01-02 03:04:05Z"`, time.Time{}},
		{`"2026-01-02"`, time.Time{}},
		{`"2026-02-30T00:00:00Z"`, time.Time{}},
		{`"9999-12-31T23:59:59-00:01"`, time.Time{}},
		{`"0001-01-01T00:00:00+00:01"`, time.Time{}},
		{`1767323045`, time.Time{}},
		{`null`, time.Time{}},
		{`""`, time.Time{}},
	} {
		got, err := zenduty.ReadFields([]byte(`{"event_type":"triggered","incident":{"creation_date":` + test.date + `}}`))
		if diff := cmp.Diff(test.want, got.Time); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", test.date, err, diff)
		}
		if got.Time.Location() != time.UTC {
			t.Errorf("%s: in %v, want UTC", test.date, got.Time.Location())
		}
	}
}

func TestReadFieldsDoesNotAliasTheDocument(t *testing.T) {
	doc := []byte(`{"event_type":"reopened","incident":{"unique_id":"i","service":"s"}}`)
	got, err := zenduty.ReadFields(doc)
	if err != nil {
		t.Fatal(err)
	}
	clear(doc)
	want := zenduty.Fields{EventType: "reopened", IncidentID: "i", ServiceID: "s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after the document was overwritten (-want +got):\n%s", diff)
	}
}

func TestReadFieldsSaysWhereTheDocumentBreaks(t *testing.T) {
	const want = "not a JSON object: byte 19: document ends early, expected ',' or '}' in an object"
	if _, err := zenduty.ReadFields([]byte(`{"event_type": "x" `)); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A string may be cut off, or have what ends a run of plain bytes, at any place of
// the eight that are looked at together.
func TestStringsOfEveryLength(t *testing.T) {
	for n := range 40 {
		plain := strings.Repeat("a", n)
		for end, ok := range map[string]bool{
			`"}`: true, `\n"}`: true, "é\"}": true, "\x7f\"}": true, `!#[]^_~"}`: true,
			"": false, `\`: false, "\x1f\"}": false, "\x80\"}": false, "\xa2\"}": false, "\xdc\"}": false,
		} {
			doc := `{"event_type":"x","a":"` + plain + end
			if _, err := zenduty.ReadFields([]byte(doc)); (err == nil) != ok {
				t.Errorf("%q: %v", doc, err)
			}
		}
	}
}

package zenduty_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// FuzzAppendDumps holds AppendDumps against encoding/json: it accepts the same
// documents but for its stated bounds, its output means the same, and rendering
// twice changes nothing.
func FuzzAppendDumps(f *testing.F) {
	for _, test := range dumpsTests {
		f.Add([]byte(test.doc))
	}
	for _, test := range refusedTests {
		f.Add([]byte(test.doc))
	}
	f.Add(readFile(f, "resolved.json"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		valid := json.Valid(doc) && utf8.Valid(doc)
		out, err := zenduty.AppendDumps(nil, doc)
		if err != nil {
			if valid && !outOfBounds(t, doc) {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		if !valid {
			t.Fatalf("accepted an invalid document as %s", out)
		}
		checkRendering(t, doc, out)
	})
}

func checkRendering(t *testing.T, doc, out []byte) {
	t.Helper()
	for _, c := range out {
		if c < ' ' || c > '~' {
			t.Fatalf("byte %#x in %s", c, out)
		}
	}
	want, infinite := decode(t, doc)
	if infinite {
		return // the output has the word Infinity, which is not JSON
	}
	// Not cmp.Diff: its time is exponential in the depth.
	if got, _ := decode(t, out); !reflect.DeepEqual(got, want) {
		t.Fatalf("%s means something else:\n got %v\nwant %v", out, got, want)
	}
	again, err := zenduty.AppendDumps(nil, out)
	if err != nil || !bytes.Equal(again, out) {
		t.Fatalf("rendered again: %s, %v\nwant %s", again, err, out)
	}
}

// decode returns what a valid document means, with integers as decimal text and
// other numbers as float64, and whether one of those is infinite.
func decode(t *testing.T, doc []byte) (value any, infinite bool) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return resolve(value, &infinite), infinite
}

func resolve(value any, infinite *bool) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = resolve(v[key], infinite)
		}
	case []any:
		for i := range v {
			v[i] = resolve(v[i], infinite)
		}
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			if v == "-0" {
				return json.Number("0")
			}
			return v
		}
		f, _ := strconv.ParseFloat(v.String(), 64)
		*infinite = *infinite || math.IsInf(f, 0)
		return math.Float64bits(f) // tells -0.0 from 0.0
	}
	return value
}

// outOfBounds reports whether a valid document is one that AppendDumps may
// refuse: nested too deeply, with a number too long, too many that are slow to read, or
// the same key twice.
func outOfBounds(t *testing.T, doc []byte) bool {
	t.Helper()
	slow := 0
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	objects := []*keys{nil} // the containers that are open, nil for an array
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		switch inner := objects[len(objects)-1]; token {
		case json.Delim('{'):
			inner.value()
			objects = append(objects, &keys{seen: map[string]bool{}})
		case json.Delim('['):
			inner.value()
			objects = append(objects, nil)
		case json.Delim('}'), json.Delim(']'):
			objects = objects[:len(objects)-1]
		default:
			n, _ := token.(json.Number)
			if slowFloat(string(n)) {
				slow++
			}
			if inner.repeats(token) || len(n) > 4300 || slow > 8 {
				return true
			}
		}
		if len(objects) > 501 {
			return true
		}
	}
}

// slowFloat tells a float with over 19 significant digits, an exponent of three or over
// 32 bytes.
func slowFloat(n string) bool {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(n), "e")
	significant := strings.TrimLeft(strings.ReplaceAll(mantissa, ".", ""), "-0")
	return strings.ContainsAny(n, ".eE") && (len(significant) > 19 || len(strings.TrimLeft(exponent, "+-")) > 2 || len(n) > 32)
}

// keys follows an object's tokens, which are keys and values in turn.
type keys struct {
	seen    map[string]bool
	isValue bool
}

// value notes that a container stands where a value is due.
func (k *keys) value() {
	if k != nil {
		k.isValue = false
	}
}

// repeats takes a scalar token and reports whether it is a key seen before.
func (k *keys) repeats(token json.Token) bool {
	if k == nil {
		return false
	}
	k.isValue = !k.isValue
	if !k.isValue {
		return false
	}
	key := token.(string)
	repeated := k.seen[key]
	k.seen[key] = true
	return repeated
}

// FuzzVerify looks for a body that verifies without being signed, or does not
// although it is.
func FuzzVerify(f *testing.F) {
	for _, vec := range readVectors(f) {
		f.Add(vec.Body, vec.Signature, vec.Key)
	}
	f.Add([]byte(`{"payload":{"a":1e400},"b":[]}`), "", "k")
	f.Fuzz(func(t *testing.T, body []byte, signature, key string) {
		if key == "" {
			t.Skip("refused by NewVerifier")
		}
		v := newVerifier(t, zenduty.ModeAuto, key+"'", key)
		match, err := v.Verify(body, signature, now)
		if err == nil && zenduty.Sign(key, match.Body) != signature && zenduty.Sign(key+"'", match.Body) != signature {
			t.Fatalf("verified %q without a signature of it", match.Body)
		}
		checkSigned(t, v, key, body, body, zenduty.RenderingRaw)
		dumps, err := zenduty.AppendDumps(nil, body)
		if err == nil {
			checkSigned(t, v, key, body, dumps, zenduty.RenderingDumps)
		}
		wrapped := append(append([]byte("{\"payload\":"), body...), ",\n\"x\":1}"...)
		if _, wrapErr := zenduty.AppendDumps(nil, wrapped); err == nil && wrapErr == nil {
			checkSigned(t, v, key, wrapped, dumps, zenduty.RenderingPayloadDumps)
		}
	})
}

func checkSigned(t *testing.T, v *zenduty.Verifier, key string, body, signed []byte, rendering zenduty.Rendering) {
	t.Helper()
	if bytes.Equal(body, signed) {
		rendering = zenduty.RenderingRaw
	}
	got, err := v.Verify(body, zenduty.Sign(key, signed), now)
	want := zenduty.Match{Rendering: rendering, Key: "k2", Body: signed}
	if err != nil || got.Rendering != want.Rendering || got.Key != want.Key || !bytes.Equal(got.Body, want.Body) {
		t.Fatalf("%q: got %+v, %v, want %+v", body, got, err, want)
	}
}

// FuzzReadFields holds ReadFields against a plain reading by encoding/json.
func FuzzReadFields(f *testing.F) {
	for _, test := range fieldsTests {
		f.Add([]byte(test.doc))
	}
	for _, name := range []string{"triggered.json", "acknowledged.json", "resolved.json"} {
		f.Add(readFile(f, name))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if deepest(doc) > 500 {
			t.Skip("refused for its depth")
		}
		want, wantErr := readFieldsSlowly(t, doc)
		got, err := zenduty.ReadFields(doc)
		if !errors.Is(err, wantErr) {
			t.Fatalf("got error %v, want %v", err, wantErr)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// FuzzParse holds Parse against ReadFields, and what is written of its event against
// the document, both as encoding/json reads them.
func FuzzParse(f *testing.F) {
	for _, test := range fieldsTests {
		f.Add([]byte(test.doc))
	}
	for _, name := range fixtures {
		f.Add(readFile(f, name))
	}
	f.Add([]byte(`{"a":1,"payload":{"event_type":"x","incident":{"status":1.0,"assigned_to":{"email":null},"merged_with":[],"resolved_date":"2020-01-01T00:00:00.50+01:00"}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		fields, wantErr := zenduty.ReadFields(doc)
		event, err := zenduty.Parse(doc)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("got error %v, want %v", err, wantErr)
		}
		if err != nil {
			return
		}
		i := event.Incident
		got := zenduty.Fields{EventType: event.Type, IncidentID: i.UniqueID, IncidentNumber: i.Number, ServiceID: i.Service.UniqueID, Time: event.Time()}
		if diff := cmp.Diff(fields, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		checkWrittenAsRead(t, doc, event)
	})
}

// deepest bounds the depth of doc from above.
func deepest(doc []byte) int { return bytes.Count(doc, []byte("{")) + bytes.Count(doc, []byte("[")) }

func readFieldsSlowly(t *testing.T, doc []byte) (zenduty.Fields, error) {
	t.Helper()
	if !json.Valid(doc) || !utf8.Valid(doc) {
		return zenduty.Fields{}, zenduty.ErrNotObject
	}
	value, _ := decode(t, doc)
	payload, ok := value.(map[string]any)
	if !ok {
		return zenduty.Fields{}, zenduty.ErrNotObject
	}
	if inner, ok := payload["payload"].(map[string]any); ok {
		payload = inner
	}
	incident, _ := payload["incident"].(map[string]any)
	var fields zenduty.Fields
	fields.EventType, _ = payload["event_type"].(string)
	fields.IncidentID, _ = incident["unique_id"].(string)
	if n, ok := incident["incident_number"].(json.Number); ok {
		if i, err := n.Int64(); err == nil {
			fields.IncidentNumber = i
		}
	}
	fields.ServiceID, _ = incident["service"].(string)
	if service, ok := incident["service"].(map[string]any); ok {
		fields.ServiceID, _ = service["unique_id"].(string)
	}
	fields.Time = happened(incident, fields.EventType)
	if fields.EventType == "" {
		return fields, zenduty.ErrNoEventType
	}
	return fields, nil
}

func happened(incident map[string]any, event string) time.Time {
	name := "creation_date"
	if event == "acknowledged" || event == "resolved" {
		name = event + "_date"
	}
	date, _ := incident[name].(string)
	var t time.Time
	if err := t.UnmarshalText([]byte(date)); err != nil {
		return time.Time{}
	}
	if _, err := t.UTC().MarshalText(); err != nil || t.UTC().Year() == 0 {
		return time.Time{}
	}
	return t.UTC()
}

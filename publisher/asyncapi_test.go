package publisher

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// asyncAPI is asyncapi.yaml: what it says of channels, and its schemas.
type asyncAPI struct {
	root     map[string]any
	compiler *jsonschema.Compiler
	url      string
}

func readAsyncAPI(t *testing.T) *asyncAPI {
	t.Helper()
	text, err := os.ReadFile("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a := &asyncAPI{compiler: jsonschema.NewCompiler()}
	if err := yaml.Unmarshal(text, &a.root); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a.url = "file://" + path
	a.compiler.AssertFormat()
	if err := a.compiler.AddResource(a.url, a.root); err != nil {
		t.Fatal(err)
	}
	return a
}

// find follows a JSON pointer, such as #/channels/feed; nil if it leads nowhere.
func (a *asyncAPI) find(pointer string) map[string]any {
	node := a.root
	for key := range strings.SplitSeq(strings.TrimPrefix(pointer, "#/"), "/") {
		node, _ = node[key].(map[string]any)
	}
	if ref, ok := node["$ref"].(string); ok {
		return a.find(ref)
	}
	return node
}

func (a *asyncAPI) validate(t *testing.T, pointer string, v any) {
	t.Helper()
	schema, err := a.compiler.Compile(a.url + pointer)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(v); err != nil {
		t.Error(err)
	}
}

// channel is one, with its only message.
type channel struct {
	name, address string
	params        map[string]any
	message       string // pointer to it
}

func (a *asyncAPI) channels(t *testing.T) []channel {
	t.Helper()
	var list []channel
	for _, name := range slices.Sorted(maps.Keys(a.find("#/channels"))) {
		c := a.find("#/channels/" + name)
		messages := c["messages"].(map[string]any)
		if len(messages) != 1 {
			t.Fatalf("channel %s has %d messages", name, len(messages))
		}
		params, _ := c["parameters"].(map[string]any)
		ch := channel{name: name, address: c["address"].(string), params: params}
		for _, m := range messages {
			ch.message = m.(map[string]any)["$ref"].(string)
		}
		list = append(list, ch)
	}
	return list
}

var addressParam = regexp.MustCompile(`\{(\w+)\}`)

// wildcard is the address as a subscription.
func (c channel) wildcard() string { return addressParam.ReplaceAllString(c.address, "*") }

// takes tells whether a subject is one of the channel's.
func (c channel) takes(subject string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(c.wildcard()), `\*`, `[^.]+`)
	return regexp.MustCompile("^" + pattern + "$").MatchString(subject)
}

// headerNames are those that a message's headers schema names.
func (a *asyncAPI) headerNames(schema map[string]any) []string {
	if ref, ok := schema["$ref"].(string); ok {
		return a.headerNames(a.find(ref))
	}
	properties, _ := schema["properties"].(map[string]any)
	names := slices.Collect(maps.Keys(properties))
	parts, _ := schema["allOf"].([]any)
	for _, part := range parts {
		names = append(names, a.headerNames(part.(map[string]any))...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Every reference leads somewhere, in this file or in another.
func TestAsyncAPIReferences(t *testing.T) {
	a, seen := readAsyncAPI(t), 0
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, element := range v {
				walk(element)
			}
		case map[string]any:
			for key, value := range v {
				ref, ok := value.(string)
				if key != "$ref" || !ok {
					walk(value)
					continue
				}
				seen++
				if _, err := os.Stat(ref); strings.HasPrefix(ref, "#") && a.find(ref) == nil || !strings.HasPrefix(ref, "#") && err != nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
		}
	}
	walk(a.root)
	if seen < 20 {
		t.Errorf("only %d references", seen)
	}
}

// Each channel's address has exactly the parameters that are described.
func TestAsyncAPIParameters(t *testing.T) {
	for _, c := range readAsyncAPI(t).channels(t) {
		var want []string
		for _, match := range addressParam.FindAllStringSubmatch(c.address, -1) {
			want = append(want, match[1])
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(c.params))); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

func TestAsyncAPIExamples(t *testing.T) {
	a := readAsyncAPI(t)
	examples := a.find("#/components/messages/incident")["examples"].([]any)
	for _, e := range examples {
		example := e.(map[string]any)
		a.validate(t, "#/components/schemas/incidentHeaders", example["headers"])
		a.validate(t, "#/components/schemas/webhook/schema", example["payload"])
	}
}

// The subjects are those of the stream that the publisher makes and of its live feed, the
// canary's, and the incidents' behind a replay's prefix.
func TestAsyncAPISubjects(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), nil)
	ensure(t, p)
	const canary = "zenduty.canary.*"
	want := map[string]bool{p.Feed(): true, canary: true, "*." + p.opts.Subject.Wildcard(): true}
	for _, subject := range stream(t, s.ClientURL()).CachedInfo().Config.Subjects {
		want[subject] = true
	}
	got := map[string]bool{}
	for _, c := range readAsyncAPI(t).channels(t) {
		got[c.wildcard()] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What the publisher publishes is what the channels say, to the last header.
func TestAsyncAPIMessages(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), nil)
	ensure(t, p)
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	messages := make(chan *nats.Msg, 64)
	again, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.CreateStream(t.Context(), jetstream.StreamConfig{Name: "AGAIN", Subjects: []string{"again.>"}}); err != nil {
		t.Fatal(err)
	}
	for _, subjects := range []string{"zenduty.>", "again.>"} {
		if _, err := nc.ChanSubscribe(subjects, messages); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	published := 0
	for _, m := range asyncMessages(t) {
		if r := send(t, p, m); r.err != nil {
			t.Fatal(r.err)
		}
		if published++; !m.Quarantined && !m.Canary && m.SubjectPrefix == "" {
			published++ // its live copy
		}
	}
	a := readAsyncAPI(t)
	named := map[string]map[string]bool{}
	for range published {
		select {
		case m := <-messages:
			a.checkMessage(t, m, named)
		case <-time.After(10 * time.Second):
			t.Fatal("a message is missing")
		}
	}
	for _, c := range a.channels(t) {
		got := slices.Collect(maps.Keys(named[c.name]))
		if c.name == "quarantine" || c.name == "canary" { // nothing is known of the incident
			got = append(got, "ce-subject")
		}
		slices.Sort(got)
		if diff := cmp.Diff(a.headerNames(a.find(c.message)["headers"].(map[string]any)), got); diff != "" {
			t.Errorf("headers of %s:\n%s", c.name, diff)
		}
	}
}

// asyncMessages are the fixtures, and what cannot be keyed.
func asyncMessages(t *testing.T) []*Message {
	t.Helper()
	var list []*Message
	for _, kind := range []string{"triggered", "acknowledged", "resolved"} {
		data, err := os.ReadFile("../bridge/zenduty/testdata/" + kind + ".json")
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, &Message{ID: kind, Source: "zenduty", EventType: kind, Service: "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0",
			Incident: "vuwtGfyHf9JaN5vg5sEc4N", Time: time.Date(2020, 5, 21, 19, 42, 16, 372614000, time.UTC), Data: data})
	}
	again := *list[0]
	again.Replay = "1a2b3c4d"
	apart := again
	apart.SubjectPrefix = "again"
	list = append(list, &again, &apart,
		&Message{ID: "canary", Source: "zenduty", EventType: "zenduty-bridge.canary", Canary: true, Time: time.Unix(1, 0), Data: []byte(`{}`)},
		&Message{ID: "json", Source: "zenduty", Quarantined: true, Time: time.Unix(1, 0), Data: []byte(`[]`)},
		&Message{ID: "bytes", Source: "zenduty", Quarantined: true, Time: time.Unix(1, 0), Data: []byte("\xff")})
	for _, m := range list {
		m.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	}
	return list
}

// checkMessage finds the channel that a message is of, and notes its headers there.
func (a *asyncAPI) checkMessage(t *testing.T, m *nats.Msg, named map[string]map[string]bool) {
	t.Helper()
	channels := slices.DeleteFunc(a.channels(t), func(c channel) bool { return !c.takes(m.Subject) })
	if len(channels) != 1 {
		t.Fatalf("%s is of %d channels", m.Subject, len(channels))
	}
	c := channels[0]
	headers := map[string]any{}
	for name, values := range m.Header {
		headers[name] = values[0]
		if named[c.name] == nil {
			named[c.name] = map[string]bool{}
		}
		named[c.name][name] = true
	}
	a.validate(t, a.find(c.message)["headers"].(map[string]any)["$ref"].(string), headers)
	if c.name == "quarantine" || c.name == "canary" {
		return
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Data))
	if err != nil {
		t.Fatal(err)
	}
	a.validate(t, "#/components/schemas/webhook/schema", doc)
}

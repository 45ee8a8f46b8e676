package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// auditReport is what a reader of the stream found against what was answered 200.
type auditReport struct {
	expected int // answered 200, and to be in the stream
	found    int // posted, and in the stream

	lost      []string // answered 200 and not there
	doubled   []string // there more than once, under whatever id
	reordered []string // there after a later event of the same incident
	altered   []string // there with other bytes, subject or headers
	odd       []string // nobody posted them, or JetStream was known to refuse them
}

func (r auditReport) clean() bool {
	return len(r.lost)+len(r.doubled)+len(r.reordered)+len(r.altered)+len(r.odd) == 0
}

func (r auditReport) String() string {
	some := func(s []string) string { return fmt.Sprintf("%d %v", len(s), s[:min(len(s), 5)]) }
	return fmt.Sprintf("expected %d, found %d, lost %s, doubled %s, reordered %s, altered %s, odd %s",
		r.expected, r.found, some(r.lost), some(r.doubled), some(r.reordered), some(r.altered), some(r.odd))
}

// audit reads the whole stream and compares. It knows nothing of the bridge but
// the contract. What was posted and not answered with 200 may be there or not.
func audit(t *testing.T, natsURL string, l load) auditReport {
	t.Helper()
	a := newAuditor(l)
	for _, msg := range readStream(t, natsURL) {
		a.read(msg)
	}
	return a.report()
}

// auditClean ends a scenario.
func auditClean(t *testing.T, natsURL string, l load) {
	t.Helper()
	report := audit(t, natsURL, l)
	t.Log(report)
	if !report.clean() {
		t.Error("the stream is not what was answered with 200")
	}
	if report.expected == 0 {
		t.Error("nothing was answered with 200: the scenario shows nothing")
	}
}

// auditor holds messages, in the order of the stream, against a load.
type auditor struct {
	load   load
	byBody map[string]*event
	byID   map[string]*event
	byName map[string]*event // by what CloudEvents headers say of an event
	seen   map[*event]bool
	last   map[string]int // by incident, the highest number seen
	result auditReport
}

func newAuditor(l load) *auditor {
	a := &auditor{
		load: l, byBody: map[string]*event{}, byID: map[string]*event{}, byName: map[string]*event{},
		seen: map[*event]bool{}, last: map[string]int{},
	}
	for _, events := range l {
		for _, e := range events {
			a.byBody[string(e.body)] = e
			a.byName[e.ceType()+" "+e.incident] = e
			if e.id != "" {
				a.byID[e.id] = e
			}
		}
	}
	return a
}

// identify finds a message's event by its bytes, else by its id, else by what its
// headers say; nil if nobody posted it.
func (a *auditor) identify(msg jetstream.Msg) *event {
	if e, ok := a.byBody[string(msg.Data())]; ok {
		return e
	}
	if e, ok := a.byID[msg.Headers().Get("Nats-Msg-Id")]; ok {
		return e
	}
	return a.byName[msg.Headers().Get("ce-type")+" "+msg.Headers().Get("ce-subject")]
}

func (a *auditor) read(msg jetstream.Msg) {
	e := a.identify(msg)
	switch {
	case e == nil || e.setAside:
		a.result.odd = append(a.result.odd, msg.Subject()+" "+msg.Headers().Get("Nats-Msg-Id"))
		return
	case a.seen[e]:
		a.result.doubled = append(a.result.doubled, e.String())
		return
	}
	a.seen[e] = true
	a.result.found++
	if previous, ok := a.last[e.incident]; ok && previous > e.number {
		a.result.reordered = append(a.result.reordered, e.String())
	}
	a.last[e.incident] = max(a.last[e.incident], e.number)
	if fault := compare(e, msg); fault != "" {
		a.result.altered = append(a.result.altered, e.String()+": "+fault)
	}
}

func (a *auditor) report() auditReport {
	for _, events := range a.load {
		for _, e := range events {
			if e.id == "" || e.setAside {
				continue
			}
			a.result.expected++
			if !a.seen[e] {
				a.result.lost = append(a.result.lost, e.String())
			}
		}
	}
	return a.result
}

func (e *event) String() string { return fmt.Sprintf("%s/%d %s", e.incident, e.number, e.kind) }

func (e *event) subject() string {
	if e.kind == "" {
		return "zenduty.quarantine.zenduty"
	}
	return "zenduty.incident." + e.kind + "." + e.service
}

func (e *event) ceType() string {
	if e.kind == "" {
		return "com.zenduty.quarantine"
	}
	return "com.zenduty.incident." + e.kind
}

// headers are those that the contract says, but for the id of an event that was
// never answered, and the time of one that says none.
func (e *event) headers() map[string]string {
	h := map[string]string{
		"ce-specversion": "1.0", "ce-source": "/webhooks/zenduty", "ce-type": e.ceType(), "ce-datacontenttype": "application/json",
	}
	if e.kind != "" {
		h["ce-subject"], h["ce-time"] = e.incident, eventTimes[e.kind]
	}
	if e.id != "" {
		h["Nats-Msg-Id"], h["ce-id"] = e.id, e.id
	}
	return h
}

// compare holds one message against its webhook: bytes, subject, headers.
func compare(e *event, msg jetstream.Msg) string {
	if !bytes.Equal(msg.Data(), e.body) {
		return "body"
	}
	if msg.Subject() != e.subject() {
		return "subject " + msg.Subject()
	}
	for name, want := range e.headers() {
		if got := msg.Headers().Get(name); got != want {
			return name + " " + got
		}
	}
	if msg.Headers().Get("Nats-Msg-Id") != msg.Headers().Get("ce-id") {
		return "two ids"
	}
	return ""
}

// eventTimes are the times in the samples at which each event happened.
var eventTimes = map[string]string{
	"triggered":    "2020-05-21T19:42:16.372614Z",
	"acknowledged": "2020-05-25T11:18:55.112452Z",
	"resolved":     "2020-05-28T16:46:46.020227Z",
}

// readStream reads every message of the stream ZENDUTY with a consumer of its own.
func readStream(t *testing.T, natsURL string) []jetstream.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream := openStream(t, ctx, natsURL)
	want := stream.CachedInfo().State.Msgs
	var messages []jetstream.Msg
	eventually(t, 50*time.Second, "the whole stream is read", func() bool {
		more, err := readOn(ctx, stream, messages, want)
		messages = append(messages, more...)
		if err != nil { // a cluster that has just lost a node answers again in a moment
			t.Logf("reader: after %d of %d messages: %v", len(messages), want, err)
		}
		return uint64(len(messages)) >= want
	})
	return messages
}

// readOn reads behind the last of those read so far, until there are want or an
// error.
func readOn(ctx context.Context, stream jetstream.Stream, read []jetstream.Msg, want uint64) (more []jetstream.Msg, err error) {
	from := uint64(1)
	if len(read) > 0 {
		last, err := read[len(read)-1].Metadata()
		if err != nil {
			return nil, err
		}
		from = last.Sequence.Stream + 1
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
	})
	if err != nil {
		return nil, err
	}
	for uint64(len(read)+len(more)) < want {
		// So few that large ones stay below the client's limit of 64 MB in waiting.
		batch, err := consumer.Fetch(min(int(want)-len(read)-len(more), 256), jetstream.FetchMaxWait(10*time.Second))
		if err != nil {
			return more, err
		}
		before := len(more)
		for msg := range batch.Messages() {
			more = append(more, msg)
		}
		if len(more) == before {
			return more, fmt.Errorf("nothing came: %w", errors.Join(batch.Error(), context.Cause(ctx)))
		}
	}
	return more, nil
}

func openStream(t *testing.T, ctx context.Context, natsURL string) jetstream.Stream {
	t.Helper()
	stream, err := operator(t, natsURL).Stream(ctx, "ZENDUTY")
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// countStream is how many messages the stream holds.
func countStream(natsURL string) (uint64, error) {
	nc, err := nats.Connect(natsURL, nats.Timeout(time.Second))
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, "ZENDUTY")
	if err != nil {
		return 0, err
	}
	return stream.CachedInfo().State.Msgs, nil
}

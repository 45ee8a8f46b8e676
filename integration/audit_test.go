package integration

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// auditReport is what a reader of the stream found against what was answered 200.
type auditReport struct {
	expected, found                        int
	lost, doubled, reordered, altered, odd []string
}

func (r auditReport) clean() bool {
	return len(r.lost)+len(r.doubled)+len(r.reordered)+len(r.altered)+len(r.odd) == 0
}

func (r auditReport) String() string {
	some := func(s []string) string { return fmt.Sprintf("%d %.5v", len(s), s[:min(len(s), 5)]) }
	return fmt.Sprintf("expected %d, found %d, lost %s, doubled %s, reordered %s, altered %s, odd %s",
		r.expected, r.found, some(r.lost), some(r.doubled), some(r.reordered), some(r.altered), some(r.odd))
}

// audit reads the whole stream and compares. It knows nothing of the bridge but
// the contract.
func audit(t *testing.T, natsURL string, l load) auditReport {
	t.Helper()
	expected := map[string]*event{}
	for _, events := range l {
		for _, e := range events {
			if e.id != "" {
				expected[e.id] = e
			}
		}
	}
	report := auditReport{expected: len(expected)}
	seen, last := map[string]bool{}, map[string]int{}
	for _, msg := range readStream(t, natsURL) {
		id := msg.Headers().Get("Nats-Msg-Id")
		e, known := expected[id]
		switch {
		case !known:
			report.odd = append(report.odd, id)
			continue
		case seen[id]:
			report.doubled = append(report.doubled, id)
			continue
		}
		seen[id] = true
		report.found++
		if previous, ok := last[e.incident]; ok && previous > e.number {
			report.reordered = append(report.reordered, id)
		}
		last[e.incident] = e.number
		if fault := compare(e, msg); fault != "" {
			report.altered = append(report.altered, id+" "+fault)
		}
	}
	for id := range expected {
		if !seen[id] {
			report.lost = append(report.lost, id)
		}
	}
	return report
}

// compare holds one message against its webhook: bytes, subject, headers.
func compare(e *event, msg jetstream.Msg) string {
	if !bytes.Equal(msg.Data(), e.body) {
		return "body"
	}
	if want := "zenduty.incident." + e.kind + "." + e.service; msg.Subject() != want {
		return "subject " + msg.Subject()
	}
	for name, want := range map[string]string{
		"Nats-Msg-Id": e.id, "ce-id": e.id, "ce-specversion": "1.0", "ce-source": "/webhooks/zenduty",
		"ce-type": "com.zenduty.incident." + e.kind, "ce-subject": e.incident,
		"ce-time": eventTimes[e.kind], "ce-datacontenttype": "application/json",
	} {
		if got := msg.Headers().Get(name); got != want {
			return name + " " + got
		}
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
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		t.Fatal(err)
	}
	var messages []jetstream.Msg
	for uint64(len(messages)) < want {
		msg, err := consumer.Next(jetstream.FetchMaxWait(20 * time.Second))
		if err != nil {
			t.Fatalf("after %d of %d messages: %v", len(messages), want, err)
		}
		messages = append(messages, msg)
	}
	return messages
}

func openStream(t *testing.T, ctx context.Context, natsURL string) jetstream.Stream {
	t.Helper()
	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, "ZENDUTY")
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

package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// operator is somebody with the right to change streams.
func operator(t *testing.T, natsURL string) jetstream.JetStream {
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
	return js
}

// editStream changes the settings of the stream ZENDUTY as an operator would.
func editStream(t *testing.T, natsURL string, edit func(c *jetstream.StreamConfig)) {
	t.Helper()
	js := operator(t, natsURL)
	stream, err := js.Stream(t.Context(), "ZENDUTY")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	edit(&config)
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

// awaitPending waits until webhooks pile up on disk.
func (b *bridgeProcess) awaitPending(n int) {
	b.t.Helper()
	eventually(b.t, time.Minute, "webhooks wait on disk", func() bool {
		return b.metric(`zenduty_bridge_spool_records{state="pending"}`) >= float64(n)
	})
}

// The bridge makes the stream again, and sends again all that was in it.
func TestStreamDeleted(t *testing.T) {
	n := startNATS(t)
	b := startQuick(t, n.url())
	tr := startTraffic(t, b.url)
	for range rounds(5, 2) {
		awaitMore(t, n, 50)
		if err := operator(t, n.url()).DeleteStream(t.Context(), "ZENDUTY"); err != nil {
			t.Fatal(err)
		}
	}
	tr.allDelivered(b, n)
}

func TestStreamFull(t *testing.T) {
	n := startNATS(t)
	b := startQuick(t, n.url())
	tr := startTraffic(t, b.url)
	awaitMore(t, n, 50)
	editStream(t, n.url(), func(c *jetstream.StreamConfig) {
		c.MaxMsgs, c.Discard = int64(messages(t, n))+50, jetstream.DiscardNew
	})
	b.awaitPending(200)
	if errors := b.metric(`zenduty_bridge_publish_errors_total{reason="stream_full"}`); errors == 0 {
		t.Error("no publish failed for stream_full")
	}
	editStream(t, n.url(), func(c *jetstream.StreamConfig) { c.MaxMsgs = -1 })
	tr.allDelivered(b, n)
}

// What the stream will never take is set aside, and the rest flows on, also of the
// same incidents.
func TestMaxMsgSizeTooSmall(t *testing.T) {
	const limit = 16 << 10 // between the samples, and those with a long title
	n := startNATS(t)
	b := startQuick(t, n.url())
	eventually(t, time.Minute, "the stream is made", func() bool { return b.said("stream made") > 0 })
	editStream(t, n.url(), func(c *jetstream.StreamConfig) { c.MaxMsgSize = limit })
	l := pass(t, b.url, 2*time.Second)
	b.awaitDelivered()
	quarantined := 0
	for _, events := range l {
		for _, e := range events {
			e.setAside = len(e.body) > limit
			if e.setAside || e.kind == "" {
				quarantined++
			}
		}
	}
	auditClean(t, n.url(), l)
	if got := b.metric(`zenduty_bridge_spool_records{state="quarantined"}`); got != float64(quarantined) || quarantined == 0 {
		t.Errorf("%v webhooks are quarantined, want %d", got, quarantined)
	}
}

// A stream that the bridge made and somebody has edited is put right again.
func TestStreamNoLongerCoversTheSubjects(t *testing.T) {
	n := startNATS(t)
	b := startQuick(t, n.url())
	tr := startTraffic(t, b.url)
	for range rounds(5, 2) {
		awaitMore(t, n, 50)
		editStream(t, n.url(), func(c *jetstream.StreamConfig) { c.Subjects, c.RePublish = []string{"elsewhere.>"}, nil })
	}
	awaitMore(t, n, 50)
	l := tr.stop()
	tr.allTaken(answersWithin)
	b.awaitDelivered()
	auditClean(t, n.url(), l)
}

// A stream that the bridge did not make is left as it is: webhooks wait until it
// covers them again, and the log does not fill meanwhile.
func TestForeignStreamNoLongerCoversTheSubjects(t *testing.T) {
	n := startNATS(t)
	subjects := []string{"zenduty.incident.*.*", "zenduty.quarantine.*"}
	_, err := operator(t, n.url()).CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "ZENDUTY", Subjects: subjects, Duplicates: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	b := startQuick(t, n.url())
	tr := startTraffic(t, b.url)
	awaitMore(t, n, 50)
	editStream(t, n.url(), func(c *jetstream.StreamConfig) { c.Subjects = []string{"elsewhere.>"} })
	b.awaitPending(200)
	time.Sleep(time.Second)
	lines := b.warnings()
	if len(lines) > 10 {
		t.Errorf("%d warnings for one fault:\n%s", len(lines), strings.Join(lines[len(lines)-10:], "\n"))
	}
	editStream(t, n.url(), func(c *jetstream.StreamConfig) { c.Subjects = subjects })
	tr.allDelivered(b, n)
}

// The operator makes the deleted stream anew before the bridge does, which notices
// by the first acknowledgement. What it had just sent then is in front of what it
// sends again, so that order within an incident holds only if it had none in flight.
func TestStreamReplaced(t *testing.T) {
	n := startNATS(t)
	b := startQuick(t, n.url())
	l := pass(t, b.url, time.Second/2)
	b.awaitDelivered()
	js := operator(t, n.url())
	stream, err := js.Stream(t.Context(), "ZENDUTY")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	if err := js.DeleteStream(context.Background(), "ZENDUTY"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	l = append(l, pass(t, b.url, time.Second/2)...) // of other incidents
	b.awaitDelivered()
	auditClean(t, n.url(), l)
}

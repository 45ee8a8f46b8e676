package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// consumerProcess is the worked example, running.
type consumerProcess struct {
	*process
	mu  sync.Mutex
	log []string
}

func buildConsumer(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "consumer")
	if err := build("-o", binary, "-race="+strconv.FormatBool(underRace), "./consumer"); err != nil {
		t.Fatal(err)
	}
	return binary
}

// startConsumer runs it until it consumes.
func startConsumer(t *testing.T, binary, natsURL, out string) *consumerProcess {
	t.Helper()
	c := &consumerProcess{}
	c.process = start(t, exec.Command(binary, "--nats", natsURL, "--out", out, "--ack-wait", "1s"), func(line string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.log = append(c.log, line)
	})
	c.awaitSaid("consuming", 1)
	return c
}

// said counts the lines of its log that have the words.
func (c *consumerProcess) said(words string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.log {
		if strings.Contains(line, words) {
			n++
		}
	}
	return n
}

func (c *consumerProcess) awaitSaid(words string, times int) {
	c.t.Helper()
	eventually(c.t, 30*time.Second, fmt.Sprintf("the consumer says %q %d times", words, times), func() bool { return c.said(words) >= times })
}

// ledger is the ids of what the consumer has done, in order.
func ledger(t *testing.T, path string) (ids []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		id, _, _ := strings.Cut(line, " ")
		ids = append(ids, id)
	}
	return ids
}

func awaitLedger(t *testing.T, path string, lines int) {
	t.Helper()
	eventually(t, 30*time.Second, fmt.Sprintf("%d lines in %s", lines, path), func() bool { return len(ledger(t, path)) >= lines })
}

// taken are a load's ids, as they were answered, in the order of the posts.
func taken(l load) (ids []string) {
	for _, incident := range l {
		for _, e := range incident {
			ids = append(ids, e.id)
		}
	}
	return ids
}

// consumerInfo is what the server knows of the example.
func consumerInfo(t *testing.T, natsURL string) *jetstream.ConsumerInfo {
	t.Helper()
	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	consumer, err := js.Consumer(ctx, "ZENDUTY", "example")
	if err != nil {
		t.Fatal(err)
	}
	return consumer.CachedInfo()
}

// awaitAllAcknowledged: the server will send nothing again.
func awaitAllAcknowledged(t *testing.T, natsURL string) {
	t.Helper()
	eventually(t, 30*time.Second, "everything acknowledged", func() bool {
		info := consumerInfo(t, natsURL)
		return info.NumPending == 0 && info.NumAckPending == 0
	})
}

// The worked example dies between its work and the acknowledgement. The message
// comes again and is recognised; everything is done once, in order.
func TestConsumerCrashesBetweenWorkAndAcknowledgement(t *testing.T) {
	b := startBridge(t, t.TempDir())
	binary, out := buildConsumer(t), filepath.Join(t.TempDir(), "incidents.log")
	first := fixtureLoad(t, 2)
	postAll(t, b.url, first, 1)
	b.awaitDelivered()

	network := startProxy(t, strings.TrimPrefix(b.nats, "nats://"))
	c := startConsumer(t, binary, network.url(), out)
	awaitLedger(t, out, 6)
	awaitAllAcknowledged(t, b.nats)
	eventually(t, 10*time.Second, "a request for the next message", func() bool { return consumerInfo(t, b.nats).NumWaiting == 1 })
	network.set(deaf)
	later := generatedLoad(t, 1, 1)
	postAll(t, b.url, later, 1)
	awaitLedger(t, out, 7) // done, and the acknowledgement does not arrive
	c.kill()

	c = startConsumer(t, binary, b.nats, out)
	c.awaitSaid("again: "+later[0][0].id+" is done already", 1)
	awaitLedger(t, out, 9)
	awaitAllAcknowledged(t, b.nats)
	if err := c.stop(); err != nil {
		t.Errorf("stopped: %v", err)
	}
	done := ledger(t, out)
	for _, incident := range slices.Concat(first, later) { // of two incidents either may come first
		want := taken(load{incident})
		got := slices.DeleteFunc(slices.Clone(done), func(id string) bool { return !slices.Contains(want, id) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("done of %s: %s", incident[0].incident, diff)
		}
	}
	if len(done) != 9 {
		t.Errorf("%d lines in the ledger, want 9: %v", len(done), done)
	}
}

// Work that fails is tried again, and what comes after it waits.
func TestConsumerTriesAgain(t *testing.T) {
	b := startBridge(t, t.TempDir())
	binary, out := buildConsumer(t), filepath.Join(t.TempDir(), "incidents.log")
	l := fixtureLoad(t, 1)
	postAll(t, b.url, l, 1)
	b.awaitDelivered()

	c := startConsumer(t, binary, b.nats, "/dev/full")
	c.awaitSaid("failed: "+l[0][0].id, 2)
	if c.said(l[0][1].id) > 0 {
		t.Error("the incident's second event was handled before its first")
	}
	if err := c.stop(); err != nil {
		t.Errorf("stopped: %v", err)
	}
	startConsumer(t, binary, b.nats, out)
	awaitLedger(t, out, 3)
	if diff := cmp.Diff(taken(l), ledger(t, out)); diff != "" {
		t.Error(diff)
	}
}

// What is no webhook is put away and does not stop the rest.
func TestConsumerPutsAway(t *testing.T) {
	b := startBridge(t, t.TempDir())
	binary, out := buildConsumer(t), filepath.Join(t.TempDir(), "incidents.log")
	if err := os.WriteFile(out, []byte("half a line"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the stream", func() bool { return b.said("stream made") == 1 })
	nc, err := nats.Connect(b.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request("zenduty.incident.triggered.x", []byte("no JSON"), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	l := fixtureLoad(t, 1)
	postAll(t, b.url, l, 1)

	c := startConsumer(t, binary, b.nats, out)
	c.awaitSaid("put away: zenduty.incident.triggered.x", 1)
	awaitLedger(t, out, 3)
	awaitAllAcknowledged(t, b.nats)
	if diff := cmp.Diff(taken(l), ledger(t, out)); diff != "" {
		t.Error(diff)
	}
}

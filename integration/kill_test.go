package integration

import (
	"math/rand/v2"
	"testing"
	"time"
)

// quick are the arguments with which a scenario need not wait for minutes: every
// time-out of the relay, and JetStream's duplicate window, set short.
var quick = []string{
	"--relay-ack-timeout", "1s", "--relay-backoff-min", "50ms", "--relay-backoff-max", "1s", "--nats-stream-duplicate-window", "2s",
}

// startQuick runs a bridge on a port of its own, publishing to a NATS.
func startQuick(t *testing.T, natsURL string, args ...string) *bridgeProcess {
	t.Helper()
	return startBridgeAt(t, t.TempDir(), append(append([]string{"--nats-url", natsURL}, quick...), args...)...)
}

// rounds is how often a scenario repeats its fault.
func rounds(full, short int) int {
	if testing.Short() {
		return short
	}
	return full
}

// spell is how long a fault lasts. The short one does not outlast a connection that
// nobody answers on (15 s), but all else: time-outs of 1 s, a window of 2 s.
func spell(full time.Duration) time.Duration {
	if testing.Short() {
		return 4 * time.Second
	}
	return full
}

// atRandom waits for a random time: faults come when they come.
func atRandom(longest time.Duration) { time.Sleep(rand.N(longest)) }

func TestBridgeKilledUnderLoad(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	b := startQuick(t, n.url())
	tr := startTraffic(t, b.url)
	for range rounds(50, 8) {
		atRandom(400 * time.Millisecond)
		b.kill()
		b = b.again(t)
	}
	tr.await(100)
	l := tr.stop()
	b.awaitDelivered()
	auditClean(t, n.url(), l)
}

// The embedded NATS dies with the bridge, and comes back on its store.
func TestBridgeKilledWithItsNATS(t *testing.T) {
	b := startBridgeAt(t, t.TempDir(), quick...)
	tr := startTraffic(t, b.url)
	for range rounds(15, 4) {
		atRandom(400 * time.Millisecond)
		b.kill()
		b = b.again(t)
	}
	tr.await(100)
	l := tr.stop()
	b.awaitDelivered()
	auditClean(t, b.nats, l)
}

// Killed while it starts: before, in and after opening its stores.
func TestBridgeKilledWhileStarting(t *testing.T) {
	n := startNATS(t)
	b := startQuick(t, n.url())
	l := pass(t, b.url, time.Second)
	for range rounds(20, 5) {
		b.kill()
		b = b.launch(t)
		atRandom(150 * time.Millisecond)
	}
	b.kill()
	b = b.again(t)
	l = append(l, pass(t, b.url, time.Second)...)
	b.awaitDelivered()
	auditClean(t, n.url(), l)
}

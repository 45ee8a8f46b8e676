package integration

import (
	"testing"
	"time"
)

const healedLine = "the stream has lost acknowledged webhooks, sending them again"

// messages is how many the stream holds.
func messages(t *testing.T, n *natsProcess) uint64 {
	t.Helper()
	count, err := countStream(n.url())
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// checkHealed: that many were sent again, in one go, and told in one line.
func checkHealed(t *testing.T, b *bridgeProcess, want uint64) {
	t.Helper()
	if got := b.metric("zenduty_bridge_healed_total"); got != float64(want) {
		t.Errorf("%v webhooks healed, the stream had lost %d", got, want)
	}
	if lines := b.said(healedLine); lines != 1 {
		t.Errorf("%d lines tell of it, want 1", lines)
	}
}

// NATS comes back without anything, while webhooks wait and more come.
func TestStoreWiped(t *testing.T) {
	n := startNATS(t)
	b := startQuick(t, n.url())
	l := pass(t, b.url, time.Second)
	b.awaitDelivered()
	lost := messages(t, n)
	n.kill()
	tr := startTraffic(t, b.url)
	tr.await(100)
	n.wipe(t)
	n.restart(t)
	tr.await(100)
	l = append(l, tr.stop()...)
	b.awaitDelivered()
	auditClean(t, n.url(), l)
	checkHealed(t, b, lost)
}

// NATS comes back with an older copy of its store, while webhooks wait and more come.
func TestStoreRolledBack(t *testing.T) {
	n := startNATS(t)
	b := startQuick(t, n.url())
	l := pass(t, b.url, time.Second)
	b.awaitDelivered()
	n.kill()
	older := n.copyStore(t)
	n.restart(t)
	kept := messages(t, n)
	l = append(l, pass(t, b.url, time.Second)...)
	b.awaitDelivered()
	lost := messages(t, n) - kept
	n.kill()
	tr := startTraffic(t, b.url)
	tr.await(100)
	n.rollBack(t, older)
	n.restart(t)
	tr.await(100)
	l = append(l, tr.stop()...)
	b.awaitDelivered()
	auditClean(t, n.url(), l)
	checkHealed(t, b, lost)
}

// Two bridges share a stream that comes back as an older copy of itself. What the
// one sends again takes the numbers of what the other has to send again.
func TestStoreRolledBackUnderTwoBridges(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	bridges := []*bridgeProcess{startQuick(t, n.url()), startQuick(t, n.url())}
	var l load
	passAll := func() {
		for _, b := range bridges {
			l = append(l, pass(t, b.url, time.Second)...)
			b.awaitDelivered()
		}
	}
	passAll()
	n.kill()
	older := n.copyStore(t)
	n.restart(t)
	passAll()
	n.kill()
	bridges[1].kill() // it comes back when the first has healed its own
	n.rollBack(t, older)
	n.restart(t)
	eventually(t, time.Minute, "the loss is noticed", func() bool { return bridges[0].said(healedLine) > 0 })
	bridges[0].awaitDelivered()
	l = append(l, pass(t, bridges[0].url, 2*time.Second)...)
	bridges[1] = bridges[1].again(t)
	eventually(t, time.Minute, "the loss is noticed", func() bool { return bridges[1].said(healedLine) > 0 })
	passAll()
	auditClean(t, n.url(), l)
}

// The same at random moments of a load, again and again, by turns rolled back and
// wiped: just what is missing is sent, in order.
func TestStoreLostUnderLoad(t *testing.T) {
	n := startNATS(t)
	b := startQuick(t, n.url())
	tr := startTraffic(t, b.url)
	for round := range rounds(6, 2) {
		awaitMore(t, n, 30)
		n.kill()
		older := n.copyStore(t)
		n.restart(t)
		awaitMore(t, n, 30)
		atRandom(300 * time.Millisecond)
		n.kill()
		if round%2 == 0 {
			n.rollBack(t, older)
		} else {
			n.wipe(t)
		}
		n.restart(t)
		eventually(t, time.Minute, "the loss is noticed", func() bool { return b.said(healedLine) > round })
	}
	tr.allDelivered(b, n)
}

// awaitMore waits until the stream is there and has n more messages than when it
// was first seen.
func awaitMore(t *testing.T, n *natsProcess, more uint64) {
	t.Helper()
	first, seen := uint64(0), false
	eventually(t, time.Minute, "more messages in the stream", func() bool {
		count, err := countStream(n.url())
		if err == nil && !seen {
			first, seen = count, true
		}
		return err == nil && count >= first+more
	})
}

// The bridge is killed too: with the store, and in the midst of healing.
func TestBridgeKilledWhileHealing(t *testing.T) {
	n := startNATS(t)
	b := startQuick(t, n.url())
	l := pass(t, b.url, time.Second)
	b.awaitDelivered()
	for range rounds(6, 2) {
		b.kill()
		n.kill()
		n.wipe(t)
		n.restart(t)
		b = b.again(t)
		atRandom(200 * time.Millisecond)
		b.kill()
		b = b.again(t)
		atRandom(200 * time.Millisecond)
	}
	l = append(l, pass(t, b.url, time.Second)...)
	b.awaitDelivered()
	auditClean(t, n.url(), l)
}

package integration

import (
	"net/http"
	"testing"
	"time"
)

// answersWithin bounds 99 of 100 answers while NATS is away.
const answersWithin = time.Second

func TestNATSKilledUnderLoad(t *testing.T) {
	n := startNATS(t)
	b := startQuick(t, n.url())
	tr := startTraffic(t, b.url)
	for range rounds(8, 3) {
		atRandom(500 * time.Millisecond)
		n.kill()
		atRandom(500 * time.Millisecond)
		n.restart(t)
	}
	tr.allDelivered(b, n)
}

// Hung for longer than every time-out: of an acknowledgement, of a look into the
// stream, of the duplicate window, and with 20 s of the connection itself.
func TestNATSHung(t *testing.T) {
	for name, how := range map[string]struct {
		lasts time.Duration
		args  []string
	}{
		"connection stays":           {12 * time.Second, nil},
		"connection is given up":     {20 * time.Second, nil},
		"many tries before it hangs": {12 * time.Second, []string{"--relay-ack-timeout", "150ms", "--relay-backoff-max", "100ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && how.args == nil {
				t.Skip("one kind will do with -short")
			}
			t.Parallel()
			n := startNATS(t)
			b := startQuick(t, n.url(), how.args...)
			tr := startTraffic(t, b.url)
			tr.await(200)
			n.hang()
			time.Sleep(spell(how.lasts))
			n.resume()
			tr.allDelivered(b, n)
		})
	}
}

func TestNATSUnreachableFromTheStart(t *testing.T) {
	n := startNATS(t)
	n.kill()
	b := startQuick(t, n.url())
	tr := startTraffic(t, b.url)
	tr.await(300)
	if status, text := b.get("/readyz"); status != http.StatusOK {
		t.Errorf("not ready without NATS: %d %s", status, text)
	}
	n.restart(t)
	tr.allDelivered(b, n)
}

// Gone for longer than JetStream remembers ids.
func TestNATSGoneBeyondTheDuplicateWindow(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	b := startQuick(t, n.url())
	tr := startTraffic(t, b.url)
	for range rounds(3, 1) {
		tr.await(200)
		n.kill()
		time.Sleep(3 * time.Second)
		n.restart(t)
	}
	tr.allDelivered(b, n)
}

// NATS stores and its acknowledgements are lost; then the bridge is killed, and
// started when JetStream remembers none of it.
func TestKilledWithPublishesUnacknowledged(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	network := startProxy(t, n.address)
	b := startQuick(t, network.url())
	tr := startTraffic(t, b.url)
	for range rounds(4, 1) {
		tr.await(200)
		network.set(mute)
		tr.await(20) // more incidents than senders: some are sent and never acknowledged
		b.kill()
		time.Sleep(3 * time.Second)
		network.set(carries)
		b = b.again(t)
	}
	tr.await(100)
	l := tr.stop()
	b.awaitDelivered()
	auditClean(t, n.url(), l)
}

package integration

import (
	"testing"
	"time"
)

// A partition nobody is told of, for longer than the bridge waits for anything:
// an acknowledgement (1 s), JetStream's duplicate window (2 s), a connection that
// does not answer (15 s).
func TestPartition(t *testing.T) {
	for name, fault := range map[string]linkState{
		"everything is dropped":             drops,
		"everything is delayed":             holds,
		"only what the server says is lost": mute,
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && fault != holds {
				t.Skip("connections are given up after 15 s")
			}
			t.Parallel()
			n := startNATS(t)
			network := startProxy(t, n.address)
			b := startQuick(t, network.url())
			tr := startTraffic(t, b.url)
			tr.await(200)
			network.set(fault)
			time.Sleep(spell(18 * time.Second))
			network.set(carries)
			tr.allDelivered(b, n)
		})
	}
}

// Short ones, again and again: the connection lives on.
func TestPartitionsInARow(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	network := startProxy(t, n.address)
	b := startQuick(t, network.url())
	tr := startTraffic(t, b.url)
	for range rounds(6, 1) {
		tr.await(50)
		network.set(holds)
		atRandom(3 * time.Second)
		network.set(carries)
	}
	tr.allDelivered(b, n)
}

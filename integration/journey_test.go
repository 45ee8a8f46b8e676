package integration

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// journey carries 3 incidents as in the samples and 2,000 generated ones through
// a bridge and audits the stream. live counts what a plain subscription saw.
func journey(t *testing.T, b *bridgeProcess) {
	t.Helper()
	eventually(t, 30*time.Second, "the bridge has NATS", func() bool { return b.said("connected to NATS") > 0 })
	live := subscribeLive(t, b.nats)
	l := append(fixtureLoad(t, 3), generatedLoad(t, 2000, 1)...)
	postAll(t, b.url, l, 64)
	b.awaitDelivered()
	report := audit(t, b.nats, l)
	t.Log(report)
	if !report.clean() || report.found != 3*2003 {
		t.Errorf("want %d of %d, all clean", 3*2003, 3*2003)
	}
	eventually(t, 20*time.Second, "every incident on the live feed", func() bool { return live.Load() == 3*2003 })
}

// subscribeLive counts what arrives on a plain zenduty.incident.* subscription.
func subscribeLive(t *testing.T, natsURL string) *atomic.Int64 {
	t.Helper()
	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	var count atomic.Int64
	sub, err := nc.Subscribe("zenduty.incident.*", func(*nats.Msg) { count.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil { // this reader is not to be a slow consumer
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return &count
}

func TestJourneyEmbedded(t *testing.T) {
	journey(t, startBridge(t, t.TempDir()))
}

func TestJourneyExternal(t *testing.T) {
	n := startNATS(t)
	journey(t, startBridge(t, t.TempDir(), "--nats-url", n.url()))
}

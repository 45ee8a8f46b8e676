package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A backup that is restored: what it has as pending and has been delivered since is found
// in the stream, also beyond the duplicate window, what was delivered since is there, and
// nothing is taken for lost.
func TestBackupIsRestored(t *testing.T) {
	const window = time.Second
	n := startNATS(t)
	dataDir := filepath.Join(t.TempDir(), "data")
	b := startBridgeAt(t, dataDir, "--nats-url", n.url(), "--nats-stream-duplicate-window", window.String(), "--relay-drain-timeout", "100ms")
	l := generatedLoad(t, 20, 1)
	postAll(t, b.url, l, 4)
	b.awaitDelivered()

	n.kill()
	pending := generatedLoad(t, 20, 2)
	postAll(t, b.url, pending, 4)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "data.backup")
	if err := os.CopyFS(backup, os.DirFS(dataDir)); err != nil {
		t.Fatal(err)
	}
	n.restart(t)
	b = b.again(t)
	since := generatedLoad(t, 20, 3)
	postAll(t, b.url, since, 4)
	b.awaitDelivered()
	b.kill()
	time.Sleep(window + window/2) // the stream has forgotten their ids

	if err := os.Rename(dataDir, dataDir+".lost"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, dataDir); err != nil {
		t.Fatal(err)
	}
	b = b.again(t)
	if got := b.metric(`zenduty_bridge_spool_records{state="retained"}`); got < 60 {
		t.Fatalf("%v webhooks of the history were restored", got)
	}
	after := generatedLoad(t, 20, 4)
	postAll(t, b.url, after, 4)
	b.awaitDelivered()
	l = append(append(append(l, pending...), since...), after...)
	auditClean(t, n.url(), l)
	if healed := b.metric("zenduty_bridge_healed_total"); healed > 0 {
		t.Errorf("%v webhooks were healed that were there", healed)
	}
}

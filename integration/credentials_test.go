package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// users are those of a NATS server's configuration. The auditor is always there.
const (
	auditorUser  = `{user: auditor, password: sees-all}`
	bridgeUser   = `{user: bridge, password: carries}`
	publishNever = `{user: bridge, password: carries, permissions: {publish: {deny: ["zenduty.>"]}}}`
	askNever     = `{user: bridge, password: carries, permissions: {publish: {deny: ["$JS.API.>"]}}}`
)

func writeUsers(t *testing.T, path string, users ...string) {
	t.Helper()
	text := fmt.Sprintf("authorization: {users: [%s]}\n", strings.Join(append(users, auditorUser), ", "))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Credentials are revoked in ways that a server may have, by a reload of its
// configuration, and given back.
func TestCredentialsRevoked(t *testing.T) {
	for name, revoked := range map[string][]string{
		"the user is gone":                      nil,
		"the user may not publish":              {publishNever},
		"the user may not ask about the stream": {askNever},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := filepath.Join(t.TempDir(), "nats.conf")
			writeUsers(t, config, bridgeUser)
			n := startNATS(t, "-c", config)
			n.user = "auditor:sees-all"
			b := startQuick(t, "nats://bridge:carries@"+n.address)
			tr := startTraffic(t, b.url)
			awaitMore(t, n, 50)

			writeUsers(t, config, revoked...)
			n.signal(syscall.SIGHUP)
			if name != "the user may not ask about the stream" {
				b.awaitPending(200)
			}
			time.Sleep(time.Second)
			if lines := b.warnings(); len(lines) > 30 {
				t.Errorf("%d warnings for one fault:\n%s", len(lines), strings.Join(lines[len(lines)-10:], "\n"))
			}
			writeUsers(t, config, bridgeUser)
			n.signal(syscall.SIGHUP)
			awaitMore(t, n, 50)
			tr.allDelivered(b, n)
		})
	}
}

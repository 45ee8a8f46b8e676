package integration

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// promtool runs Prometheus's own checker.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		unavailable(t, "promtool is not here (Debian's package is prometheus)")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 && args[1] == "metrics" {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func TestPromtoolMetrics(t *testing.T) {
	b := startBridge(t, t.TempDir())
	postAll(t, b.url, fixtureLoad(t, 1), 1)
	b.awaitDelivered()
	status, text := b.get("/metrics")
	if status != http.StatusOK {
		t.Fatal(text)
	}
	promtool(t, text, "check", "metrics")
}

func TestPromtoolConfig(t *testing.T) {
	promtool(t, "", "check", "config", "--syntax-only", "../deployments/prometheus/prometheus.yml")
}

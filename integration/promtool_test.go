package integration

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// debian finds a program of Debian's package prometheus.
func debian(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		unavailable(t, program+" is not here (Debian's package is prometheus)")
	}
	return path
}

// promtool runs Prometheus's own checker.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.Command(debian(t, "promtool"), args...)
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

// The configuration and the rules that it names.
func TestPromtoolConfig(t *testing.T) {
	promtool(t, "", "check", "config", "../deployments/prometheus/prometheus.yml")
}

func TestPromtoolRules(t *testing.T) {
	t.Parallel() // seconds
	promtool(t, "", "test", "rules", "../deployments/prometheus/rules_test.yml")
}

package integration

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// nowhere is a NATS that is not there: what is posted stays in the spool.
const nowhere = "nats://127.0.0.1:1"

// runBridge runs a command to its end and returns what it wrote and its exit code.
func runBridge(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(bridgeBinary, args...)
	cmd.Env = append(os.Environ(), "ZENDUTY_SIGNING_KEY="+signingKey, "NATS_URL=")
	var out, log strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	overdue := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer overdue.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), log.String(), cmd.ProcessState.ExitCode()
}

// flip changes a bit at a part of the largest file that a pattern matches: it has the
// webhooks, whatever else there is.
func flip(t *testing.T, part float64, pattern ...string) (name string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil || len(found) == 0 {
		t.Fatalf("no file %v: %v", pattern, err)
	}
	var path string
	var data []byte
	for _, each := range found {
		text, err := os.ReadFile(each)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) >= len(data) {
			path, data = each, text
		}
	}
	data[int(part*float64(len(data)))] ^= 4
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Base(path)
}

// checkSaid: each of the words is in the text.
func checkSaid(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not said in:\n%s", w, text)
		}
	}
}

// salvaging is what spool salvage --json tells, as far as it is looked at here.
type salvaging struct {
	Copied struct {
		Pending struct {
			Records int
		}
	}
	Lost    []any
	NoTrace []struct {
		First int `json:"first_seq"`
		Last  int `json:"last_seq"`
	} `json:"no_trace"`
}

func (s salvaging) gone() int {
	n := len(s.Lost)
	for _, g := range s.NoTrace {
		n += g.Last - g.First + 1
	}
	return n
}

func salvage(t *testing.T, dataDir, to string) (result salvaging) {
	t.Helper()
	out, log, code := runBridge(t, "spool", "salvage", "--data-dir", dataDir, "--to", to, "--json")
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != 0 {
		t.Fatalf("salvage: %d, %v\n%s%s", code, err, out, log)
	}
	t.Logf("salvaged: %+v", result)
	return result
}

// A log with a flipped bit: the start refuses, verify tells where, and with what
// salvage makes the bridge delivers all but what the bit has spoilt.
func TestDamagedLog(t *testing.T) {
	dataDir := t.TempDir()
	// With a small ballast the log is soon written anew, and what is old in it is whole in tables.
	b := startBridge(t, dataDir, "--nats-url", nowhere, "--spool-ballast-bytes", "64MiB")
	l := generatedLoad(t, 200, 4)
	postAll(t, b.url, l, 8)
	b.kill()
	name := flip(t, 0.5, dataDir, "spool", "*.log")

	_, log, code := runBridge(t, "serve", "--data-dir", dataDir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--nats-url", nowhere)
	checkSaid(t, log, "spool is damaged", name, "zenduty-bridge spool verify --data-dir "+dataDir)
	if code != 1 || strings.Count(log, "\n") > 2 || strings.Contains(log, "goroutine") {
		t.Errorf("serve: exit code %d, want 1 and one clear message:\n%s", code, log)
	}
	out, log, code := runBridge(t, "spool", "verify", "--data-dir", dataDir)
	checkSaid(t, out, name+", offset ", "zenduty-bridge spool salvage --replace --data-dir "+dataDir)
	checkSaid(t, log, "spool is damaged")
	if code != 1 {
		t.Errorf("verify: exit code %d, want 1", code)
	}
	saved := t.TempDir()
	result := salvage(t, dataDir, filepath.Join(saved, "spool"))
	if result.Copied.Pending.Records+result.gone() != 600 || result.gone() == 0 || result.gone() > 16 {
		t.Errorf("%d copied and %d gone of 600", result.Copied.Pending.Records, result.gone())
	}
	if out, _, code := runBridge(t, "spool", "verify", "--data-dir", saved); code != 0 {
		t.Errorf("verify of what was salvaged: %d\n%s", code, out)
	}
	b = startBridge(t, saved)
	b.awaitDelivered()
	checkLost(t, b, l, result.gone())
}

// checkLost: of all that was answered just so many are not in the stream, and
// nothing else is wrong.
func checkLost(t *testing.T, b *bridgeProcess, l load, want int) {
	t.Helper()
	report := audit(t, b.nats, l)
	t.Log(report)
	if len(report.lost) != want || len(report.doubled)+len(report.reordered)+len(report.altered)+len(report.odd) > 0 {
		t.Errorf("want %d lost, and nothing else", want)
	}
}

// A damaged block of a table is met when its records are sent: these are set
// aside, with a word in the log, and all others are delivered.
func TestDamagedTable(t *testing.T) {
	dataDir := t.TempDir()
	b := startBridge(t, dataDir, "--nats-url", nowhere)
	l := generatedLoad(t, 200, 5)
	postAll(t, b.url, l, 8)
	b.kill()
	b = startBridge(t, dataDir, "--nats-url", nowhere, "--relay-drain-timeout", "100ms") // it makes a table of the log
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	name := flip(t, 0.6, dataDir, "spool", "*.sst")

	n := startNATS(t)
	b = startBridge(t, dataDir, "--nats-url", n.url())
	b.awaitDelivered()
	lost := int(b.metric(`zenduty_bridge_spool_records{state="quarantined"}`))
	if lost == 0 || lost > 20 {
		t.Errorf("%d records are quarantined, want those of one block", lost)
	}
	if got := b.said("webhook quarantined"); got != lost {
		t.Errorf("%d records are quarantined, the log tells of %d", lost, got)
	}
	if b.said("spool: a file is damaged; what is in its other parts is served, stop the bridge to see to it") != 1 {
		t.Error("the log does not tell once that a file is damaged")
	}
	more := generatedLoad(t, 10, 6)
	postAll(t, b.url, more, 4)
	b.awaitDelivered()
	checkLost(t, b, append(l, more...), lost)
	if _, log, code := runBridge(t, "spool", "verify", "--data-dir", dataDir); code != 1 {
		t.Errorf("verify beside a running bridge: %d", code)
	} else {
		checkSaid(t, log, "in use by another process", "stop the bridge first")
	}
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	out, _, code := runBridge(t, "spool", "verify", "--data-dir", dataDir, "--json")
	checkSaid(t, out, name, `"whole": false`, `"opens": true`, strconv.Itoa(lost))
	if code != 1 {
		t.Errorf("verify: exit code %d, want 1", code)
	}
	if result := salvage(t, dataDir, filepath.Join(t.TempDir(), "spool")); len(result.Lost) != lost {
		t.Errorf("salvage tells of %d lost records, want %d", len(result.Lost), lost)
	}
}

// A spool that is not damaged verifies, after a kill as after a stop.
func TestWholeSpoolVerifies(t *testing.T) {
	dataDir := t.TempDir()
	for seed, end := range []func(*bridgeProcess) error{
		func(b *bridgeProcess) error { b.kill(); return nil },
		func(b *bridgeProcess) error { return b.stop() },
	} {
		b := startBridge(t, dataDir)
		postAll(t, b.url, generatedLoad(t, 50, uint64(seed)), 8)
		if err := end(b); err != nil {
			t.Fatal(err)
		}
		out, log, code := runBridge(t, "spool", "verify", "--data-dir", dataDir)
		checkSaid(t, out, "whole: ")
		if code != 0 {
			t.Errorf("verify: exit code %d\n%s%s", code, out, log)
		}
	}
}

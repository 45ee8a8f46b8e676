package integration

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/config"
)

const unitFile = "../deployments/systemd/zenduty-bridge.service"

// exposed is all that systemd finds the service could do, and why it may.
var exposed = []string{
	"PrivateNetwork", "IPAddressDeny", "RestrictAddressFamilies_AF_INET_INET6", // it takes webhooks, and goes to NATS
	"RestrictAddressFamilies_AF_UNIX",                                       // the system's resolver
	"SystemCallFilter_clock", "SystemCallFilter_privileged", "ProtectClock", // adjtimex, without the right to set the clock
	"ProcSubset",               // when the process was started
	"RootDirectoryOrRootImage", // a read-only view of the machine's files
}

func systemdAnalyze(t *testing.T, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		unavailable(t, "systemd-analyze is not here (Debian's package is systemd)")
	}
	out, err := exec.Command(program, append([]string{"--no-pager"}, args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// unitSetting is all values of one setting of the unit.
func unitSetting(t *testing.T, name string) (values []string) {
	t.Helper()
	for _, match := range regexp.MustCompile(`(?m)^`+name+`=(.*)$`).FindAllStringSubmatch(readFile(t, unitFile), -1) {
		values = append(values, match[1])
	}
	if len(values) == 0 {
		t.Fatalf("%s has no %s", unitFile, name)
	}
	return values
}

// systemd reads the unit without a word, and finds that it may do what it must.
func TestSystemdUnit(t *testing.T) {
	installed := strings.Replace(readFile(t, unitFile), "/usr/local/bin/zenduty-bridge", bridgeBinary, 1)
	copied := filepath.Join(t.TempDir(), "zenduty-bridge.service")
	if err := os.WriteFile(copied, []byte(installed), 0o600); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(systemdAnalyze(t, "verify", "--man=no", copied)) {
		if strings.Contains(line, "zenduty-bridge") { // not what it has to say of other units of this machine
			t.Error(line)
		}
	}
	var findings []struct {
		Field    string `json:"json_field"`
		Exposure string // empty for none
	}
	if err := json.Unmarshal([]byte(systemdAnalyze(t, "security", "--offline=true", "--json=short", copied)), &findings); err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Exposure != "" && !slices.Contains(exposed, f.Field) {
			t.Errorf("the service may do more than it needs: %s (systemd-analyze security --offline=true %s)", f.Field, unitFile)
		}
	}
	if len(findings) < 50 {
		t.Errorf("systemd looked at %d settings only", len(findings))
	}
}

// The unit's command line and variables run a bridge, with what systemd puts in the
// place of %S (state directory) and %d (credentials), within the system calls that the
// unit allows; and once more on what the first has left.
func TestSystemdUnitRuns(t *testing.T) {
	state, credentials := t.TempDir(), t.TempDir()
	for range 2 {
		runUnit(t, state, credentials)
	}
}

func runUnit(t *testing.T, state, credentials string) {
	t.Helper()
	name, source, _ := strings.Cut(unitSetting(t, "LoadCredential")[0], ":")
	if source != "/etc/zenduty-bridge/signing-key" {
		t.Errorf("the key is loaded from %s", source)
	}
	if err := os.WriteFile(filepath.Join(credentials, name), []byte(signingKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := strings.Fields(strings.Replace(unitSetting(t, "ExecStart")[0], "/usr/local/bin/zenduty-bridge", bridgeBinary, 1))
	cmd, noted := filtered(t, command)
	cmd.Dir = t.TempDir()
	// What the file environment would have, so that it runs beside others.
	cmd.Env = []string{"ZENDUTY_BRIDGE_LISTEN=127.0.0.1:0", "ZENDUTY_BRIDGE_ADMIN_LISTEN=127.0.0.1:0", "ZENDUTY_BRIDGE_NATS_LISTEN=127.0.0.1:0"}
	for _, variable := range unitSetting(t, "Environment") {
		cmd.Env = append(cmd.Env, strings.NewReplacer("%S", state, "%d", credentials).Replace(variable))
	}
	b := &bridgeProcess{}
	b.process = start(t, cmd, b.logged)
	eventually(t, 30*time.Second, "the bridge's first lines", func() bool { return b.announced() || b.hasEnded() })
	if b.hasEnded() {
		t.Fatalf("the bridge ended at once: %v", b.err)
	}
	l := fixtureLoad(t, 1)
	postAll(t, b.url, l, 1)
	b.awaitDelivered()
	auditClean(t, b.nats, l)
	b.signal(syscall.SIGHUP)
	eventually(t, 10*time.Second, "it has read its configuration again", func() bool { return b.said(reloadDone) > 0 })
	eventually(t, 20*time.Second, "it has looked at what it stands on", func() bool { return b.metric("zenduty_bridge_audit_last_run_timestamp_seconds") > 0 })
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	families := strings.ReplaceAll(unitSetting(t, "RestrictAddressFamilies")[0], " ", "|")
	allowed := regexp.MustCompile(`^\d+ +(?:socket\((?:` + families + `),|<\.\.\. )`) // or what goes on of a call that is noted already
	for line := range strings.Lines(readFile(t, noted)) {
		if !allowed.MatchString(line) {
			t.Errorf("the unit does not allow what the bridge does: %s", line)
		}
	}
	entries, err := os.ReadDir(filepath.Join(state, unitSetting(t, "StateDirectory")[0]))
	if err != nil || len(entries) == 0 {
		t.Errorf("the state directory holds %v, %v", entries, err)
	}
	if left, _ := os.ReadDir(cmd.Dir); len(left) != 0 {
		t.Errorf("beside it were written: %v", left)
	}
}

// filtered is a command under the unit's filter, which systemd would have the kernel
// keep, and here strace does: a call that is not allowed is answered with an error, and
// noted in a file. So is each socket, of whatever family.
func filtered(t *testing.T, command []string) (cmd *exec.Cmd, noted string) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		unavailable(t, "strace is not here (Debian's package is strace)")
	}
	noted = filepath.Join(t.TempDir(), "strace")
	calls := allowedCalls(t)
	beyond := func(allowed []string) string { return "!?" + strings.Join(allowed, ",?") }
	untraced := slices.DeleteFunc(slices.Clone(calls), func(call string) bool { return call == "socket" })
	// As its own child's child, so that the command is the one that is signalled.
	args := []string{"-D", "-f", "-qq", "--seccomp-bpf", "-o", noted, "-e", "signal=none", "-e", "trace=" + beyond(untraced),
		"-e", "inject=" + beyond(calls) + ":error=" + unitSetting(t, "SystemCallErrorNumber")[0]}
	return exec.Command(strace, append(args, command...)...), noted
}

// allowedCalls are the system calls that the unit's SystemCallFilter lines come to.
func allowedCalls(t *testing.T) []string {
	t.Helper()
	allowed := map[string]bool{}
	for _, line := range append([]string{"@default"}, unitSetting(t, "SystemCallFilter")...) { // which systemd adds
		names, denied := strings.CutPrefix(line, "~")
		for _, name := range strings.Fields(names) {
			for _, call := range callsOf(t, name) {
				allowed[call] = !denied
			}
		}
	}
	maps.DeleteFunc(allowed, func(_ string, allowed bool) bool { return !allowed })
	return slices.Sorted(maps.Keys(allowed))
}

// callsOf is a system call, or those of a set as this machine's systemd has it.
func callsOf(t *testing.T, name string) (calls []string) {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		return []string{name}
	}
	for line := range strings.Lines(systemdAnalyze(t, "syscall-filter", name)) {
		if member := strings.TrimSpace(line); member != "" && member != name && !strings.HasPrefix(member, "#") {
			calls = append(calls, callsOf(t, member)...)
		}
	}
	return calls
}

// systemd waits for as long as a bridge with the default settings may take to stop.
func TestSystemdUnitStops(t *testing.T) {
	granted, err := time.ParseDuration(unitSetting(t, "TimeoutStopSec")[0])
	if err != nil || granted < stopsWithin(config.Default()) {
		t.Errorf("it has %v, and may take %v (%v)", granted, stopsWithin(config.Default()), err)
	}
	if prevented := unitSetting(t, "RestartPreventExitStatus"); prevented[0] != "2" {
		t.Errorf("RestartPreventExitStatus=%s", prevented)
	}
}

// stopsWithin is how long a bridge may take from SIGTERM to its end: webhooks in hand,
// the relay, an operator's request, the last traces, and closing the spool.
func stopsWithin(c config.Config) time.Duration {
	return c.Ingress.LameDuck + c.Ingress.BodyTimeout + c.Ingress.AnswerDeadline + c.Relay.DrainTimeout + 3*time.Second + time.Second
}

package integration

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/config"
)

// readmeTable is a table of the README.
func readmeTable(t *testing.T, header string) [][]string {
	t.Helper()
	return tableOf(t, "../README.md", header)
}

// tableOf is the rows below a table's header, cells trimmed, code marks off.
func tableOf(t *testing.T, path, header string) [][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), header+"\n")
	if !found {
		t.Fatalf("%s has no table %s", path, header)
	}
	var rows [][]string
	for line := range strings.Lines(after) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "`", "")
		}
		rows = append(rows, cells)
	}
	return rows
}

func TestReadmeSettings(t *testing.T) {
	var want [][]string
	for _, s := range config.Settings() {
		want = append(want, []string{s.Key, s.Flag, s.Env, s.Default})
	}
	var got [][]string
	for _, row := range readmeTable(t, "| setting | flag | environment | default | meaning |") {
		if row[4] == "" {
			t.Errorf("%s has no meaning", row[0])
		}
		got = append(got, row[:4])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The README's commands are those of the program's help.
func TestReadmeCommands(t *testing.T) {
	help, err := exec.Command(bridgeBinary, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, commands, _ := strings.Cut(string(help), "Commands:\n")
	var want []string
	for _, match := range regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z]+)*)`).FindAllStringSubmatch(commands, -1) {
		want = append(want, match[1])
	}
	var got []string
	for _, row := range readmeTable(t, "| command | what it does |") {
		got = append(got, row[0])
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", diff, help)
	}
}

// The README's metrics are those that a bridge has which has carried webhooks over TLS,
// with the labels that they have there.
func TestReadmeMetrics(t *testing.T) {
	b := startBridge(t, t.TempDir(), append(newPair(t, 90*24*time.Hour).ingress(), "--audit-interval", "1s")...)
	eventually(t, 20*time.Second, "an audit was made", func() bool {
		return b.metric("zenduty_bridge_audit_last_run_timestamp_seconds") > 0
	})
	postAll(t, b.url, fixtureLoad(t, 1), 1)
	b.awaitDelivered()
	eventually(t, 10*time.Second, "three are counted as published", func() bool {
		return b.metric(`zenduty_bridge_published_total{event_type="resolved"}`) == 1
	})
	status, text := b.get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	got := map[string]string{}
	for _, row := range readmeTable(t, "| metric | labels | meaning |") {
		labels := strings.Split(row[1], ", ")
		slices.Sort(labels)
		got[row[0]] = strings.Join(labels, ", ")
	}
	if diff := cmp.Diff(metricLabels(text), got); diff != "" {
		t.Error(diff)
	}
}

// metricLabels reads names and labels off an exposition.
func metricLabels(text string) map[string]string {
	labels := map[string]string{}
	sample := regexp.MustCompile(`(?m)^(zenduty_bridge_\w+?)(?:_bucket|_sum|_count)?(?:\{([^}]*)\})? `)
	histograms := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (\S+) histogram`).FindAllStringSubmatch(text, -1) {
		histograms[match[1]] = true
	}
	for _, match := range sample.FindAllStringSubmatch(text, -1) {
		name := match[1]
		if !histograms[name] {
			name = strings.Fields(strings.SplitN(match[0], "{", 2)[0])[0]
		}
		var names []string
		for _, label := range regexp.MustCompile(`(\w+)=`).FindAllStringSubmatch(match[2], -1) {
			if label[1] != "le" {
				names = append(names, label[1])
			}
		}
		if list := strings.Join(names, ", "); len(list) >= len(labels[name]) {
			labels[name] = list
		}
	}
	return labels
}

// Every test that the README's crash table names is there.
func TestReadmeCrashTable(t *testing.T) {
	names := map[string]bool{}
	for _, row := range readmeTable(t, "| where it fails | what becomes of the webhook | tried by |") {
		for name := range strings.SplitSeq(row[2], ", ") {
			names[name] = true
		}
	}
	if len(names) < 20 {
		t.Fatalf("only %d tests are named", len(names))
	}
	areTests(t, names)
}

// Every limit that the README's table has is a setting, is counted by what a bridge
// exports, and is tried by tests that are there.
func TestReadmeLimits(t *testing.T) {
	settings := map[string]bool{}
	for _, s := range config.Settings() {
		settings[s.Key] = true
	}
	b := startBridge(t, t.TempDir())
	_, exported := b.get("/metrics")
	names := map[string]bool{}
	for _, row := range readmeTable(t, "| limit | default | beyond it | counted as | tried by |") {
		if setting, _, _ := strings.Cut(row[0], ","); !settings[setting] {
			t.Errorf("%s is no setting", setting)
		}
		for _, label := range regexp.MustCompile(`"\w+"`).FindAllString(row[3], -1) {
			if !strings.Contains(exported, "="+label) {
				t.Errorf("%s: nothing is counted with %s", row[0], label)
			}
		}
		for name := range strings.SplitSeq(row[4], ", ") {
			names[name] = true
		}
	}
	if len(names) < 10 {
		t.Fatalf("only %d tests are named", len(names))
	}
	areTests(t, names)
}

// areTests wants a test or a fuzz target of each name somewhere in the module.
func areTests(t *testing.T, names map[string]bool) {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, match := range declared.FindAllStringSubmatch(readFile(t, path), -1) {
			delete(names, match[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range names {
		t.Errorf("README.md names %s, which is no test", name)
	}
}

// Each claim of the README's section on security is tried by tests that are there.
func TestReadmeSecurity(t *testing.T) {
	rows := readmeTable(t, "| who | can | cannot | tried by |")
	if len(rows) < 8 {
		t.Fatalf("only %d rows", len(rows))
	}
	names := map[string]bool{}
	for _, row := range rows {
		for name := range strings.SplitSeq(row[3], ", ") {
			names[name] = true
		}
	}
	areTests(t, names)
}

// The README's two steps of a rotation are configurations.
func TestReadmeRotation(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "### Rotating a key")
	section, _, _ = strings.Cut(section, "\n## ")
	s, blocks := newSettings(t), fenced(section, "yaml")
	if len(blocks) != 3 { // the third is for Compose
		t.Fatalf("%d blocks of YAML", len(blocks))
	}
	before, _, _ := strings.Cut(blocks[0], "      - ")
	var names []string
	for _, step := range []string{blocks[0], before + strings.ReplaceAll(blocks[1], "\n   ", "\n")[3:]} {
		for _, name := range []string{"2025", "2026"} {
			s.write(name+".key", name)
		}
		s.write("bridge.yaml", strings.ReplaceAll(step, "/etc/zenduty-bridge", s.dir))
		path := s.path("bridge.yaml")
		c, err := config.Load(config.Flags{Config: &path}, nil)
		if err != nil {
			t.Errorf("%v in\n%s", err, step)
		}
		for _, key := range c.Sources["zenduty"].Keys {
			names = append(names, key.Name+" "+key.Key.Reveal())
		}
	}
	if diff := cmp.Diff([]string{"2025 2025", "2025 2025", "2026 2026"}, names); diff != "" {
		t.Error(diff)
	}
}

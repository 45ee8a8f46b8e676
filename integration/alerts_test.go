package integration

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const (
	prometheusDir = "../deployments/prometheus/"
	runbookURL    = "https://github.com/zenduty-bridge/zenduty-bridge/blob/main/deployments/prometheus/RUNBOOK.md"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// alert is one alerting rule.
type alert struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal([]byte(readFile(t, prometheusDir+"rules.yml")), &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("only %d alerts", len(all))
	}
	return all
}

// runbookSections are the runbook's sections by their headings.
func runbookSections(t *testing.T) map[string]string {
	t.Helper()
	sections := map[string]string{}
	for _, section := range strings.Split(readFile(t, prometheusDir+"RUNBOOK.md"), "\n## ")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		sections[heading] = text
	}
	return sections
}

// fenced returns the lines of all blocks of code in that language.
func fenced(text, language string) (blocks []string) {
	for _, match := range regexp.MustCompile("(?ms)^ *```"+language+"\n(.*?)^ *```$").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

// Every alert says what it is, how bad, and where to read on, and every section of the
// runbook is that of an alert, with all that a person needs who was woken by it.
func TestAlertsHaveARunbook(t *testing.T) {
	sections := runbookSections(t)
	links := map[string]bool{}
	var names []string
	for _, a := range alerts(t) {
		names = append(names, a.Alert)
		links["#"+strings.ToLower(a.Alert)] = true
		if s := a.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", a.Alert, s)
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s: no summary or no description", a.Alert)
		}
		if got, want := a.Annotations["runbook_url"], runbookURL+"#"+strings.ToLower(a.Alert); got != want {
			t.Errorf("%s: runbook_url is %s, want %s", a.Alert, got, want)
		}
	}
	var headings []string
	for heading, text := range sections {
		headings = append(headings, heading)
		for _, part := range []string{"**Symptom.**", "**Meaning.**", "**Look.**", "```promql\n", "```sh\n", "**Mend.**"} {
			if !strings.Contains(text, part) {
				t.Errorf("RUNBOOK.md, %s: no %q", heading, part)
			}
		}
	}
	slices.Sort(headings)
	slices.Sort(names)
	if diff := cmp.Diff(names, headings); diff != "" {
		t.Errorf("alerts and sections of the runbook: %s", diff)
	}
	for _, path := range []string{prometheusDir + "RUNBOOK.md", dashboardFile} {
		for _, match := range regexp.MustCompile(`(?:\(|RUNBOOK\.md)(#\w+)`).FindAllStringSubmatch(readFile(t, path), -1) {
			if !links[match[1]] {
				t.Errorf("%s: %s is no section of the runbook", path, match[1])
			}
		}
	}
}

// Each alert is tried by a case in which it fires and by one in which it does not.
func TestAlertsAreTried(t *testing.T) {
	var file struct {
		Tests []struct {
			Tries []struct {
				Alert    string           `yaml:"alertname"`
				Expected []map[string]any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(readFile(t, prometheusDir+"rules_test.yml")), &file); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, try := range test.Tries {
			if len(try.Expected) > 0 {
				fires[try.Alert] = true
			} else {
				silent[try.Alert] = true
			}
		}
	}
	for _, a := range alerts(t) {
		if !fires[a.Alert] || !silent[a.Alert] {
			t.Errorf("%s: in rules_test.yml it fires: %v, and it does not: %v; want both", a.Alert, fires[a.Alert], silent[a.Alert])
		}
	}
}

// queries are all that is asked of Prometheus, by where it is written.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, a := range alerts(t) {
		all["rules.yml, "+a.Alert] = a.Expr
	}
	for heading, text := range runbookSections(t) {
		for _, query := range fenced(text, "promql") {
			all["RUNBOOK.md, "+heading+": "+query] = query
		}
	}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			all["dashboard, "+p.Title+" "+target.RefID] = target.Expr
		}
	}
	return all
}

var ourMetric = regexp.MustCompile(`zenduty_bridge_\w+`)

// baseName is a metric's name as the README has it: a histogram's without what its
// series have at their end.
func baseName(series string, known map[string]bool) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(series, suffix); ok && known[base] {
			return base
		}
	}
	return series
}

// What is asked for is exported: the README's table is that of a real bridge
// (TestReadmeMetrics).
func TestQueriesAskForWhatIsExported(t *testing.T) {
	known := map[string]bool{}
	for _, row := range readmeTable(t, "| metric | labels | meaning |") {
		known[row[0]] = true
	}
	for where, query := range queries(t) {
		for _, series := range ourMetric.FindAllString(query, -1) {
			if !known[baseName(series, known)] {
				t.Errorf("%s: %s is not in the README's table", where, series)
			}
		}
	}
}

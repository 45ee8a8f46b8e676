package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// prometheus is a Prometheus server of the test's own.
type prometheus struct {
	*process
	url     string
	targets []string
}

// startPrometheus runs Prometheus on a free port as Compose does, by its flags and by the
// configuration and the rules of deployments/prometheus, but for the address of the
// bridges' metrics, where files are and shorter times.
func startPrometheus(t *testing.T, bridges ...*bridgeProcess) *prometheus {
	t.Helper()
	program, dir, address := debian(t, "prometheus"), t.TempDir(), freeAddress(t)
	p := &prometheus{url: "http://" + address}
	for _, b := range bridges {
		p.targets = append(p.targets, strings.TrimPrefix(b.admin, "http://"))
	}
	hasten := func(file string, substitutes ...string) {
		text := readFile(t, prometheusDir+file)
		for pair := range slices.Chunk(substitutes, 2) {
			before := text
			if text = regexp.MustCompile(pair[0]).ReplaceAllString(text, pair[1]); text == before {
				t.Fatalf("%s has no %s", file, pair[0])
			}
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hasten("prometheus.yml", `(scrape|evaluation)_interval: \w+`, "${1}_interval: 250ms", `scrape_timeout: \w+`, "scrape_timeout: 250ms", "bridge:8081", strings.Join(p.targets, `", "`))
	hasten("rules.yml", `for: \w+`, "for: 2s")
	flags := []string{"--web.listen-address=" + address}
	for _, flag := range readCompose(t).Services["prometheus"].Command {
		flag = strings.Replace(flag, "=/etc/prometheus/", "="+dir+"/", 1)
		flags = append(flags, strings.Replace(flag, "=/prometheus", "="+filepath.Join(dir, "data"), 1))
	}
	p.process = start(t, exec.Command(program, flags...), func(string) {})
	eventually(t, 30*time.Second, "Prometheus is ready", func() bool {
		response, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return p
}

// ask gets the data of an answer of Prometheus's HTTP API.
func (p *prometheus) ask(path string, data any) error {
	response, err := http.Get(p.url + "/api/v1/" + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%s: %v %s", response.Status, err, answer.Error)
	}
	return nil
}

// query returns the values of an instant query's series.
func (p *prometheus) query(promql string) (values []float64, err error) {
	var data struct{ Result []struct{ Value [2]any } }
	if err := p.ask("query?query="+url.QueryEscape(promql), &data); err != nil {
		return nil, err
	}
	for _, series := range data.Result {
		value, err := strconv.ParseFloat(fmt.Sprint(series.Value[1]), 64)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// awaitData waits until a query has a value that is a number.
func (p *prometheus) awaitData(promql string) {
	p.t.Helper()
	var values []float64
	var err error
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		values, err = p.query(promql)
		if slices.ContainsFunc(values, func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }) {
			return
		}
		if err != nil || time.Now().After(deadline) {
			p.t.Errorf("no data for %s: %v %v", promql, values, err)
			return
		}
	}
}

// awaitAlerts waits until those alerts, as "name state", are all that are not inactive.
func (p *prometheus) awaitAlerts(want ...string) {
	p.t.Helper()
	slices.Sort(want)
	var got []string
	defer func() {
		if !slices.Equal(got, want) {
			p.t.Logf("alerts: %v, want %v", got, want)
		}
	}()
	eventually(p.t, 30*time.Second, fmt.Sprintf("alerts: %v", want), func() bool {
		var data struct {
			Groups []struct {
				Rules []struct{ Name, State, Health, LastError string }
			}
		}
		if err := p.ask("rules?type=alert", &data); err != nil || len(data.Groups) != 1 {
			p.t.Fatal(err, data)
		}
		got = nil
		for _, rule := range data.Groups[0].Rules {
			if rule.Health == "err" {
				p.t.Fatalf("%s: %s", rule.Name, rule.LastError)
			}
			if rule.Health == "unknown" { // not evaluated yet
				return false
			}
			if rule.State != "inactive" {
				got = append(got, rule.Name+" "+rule.State)
			}
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// awaitValue waits until a query has one value, and that is as it should be.
func (p *prometheus) awaitValue(what, promql string, well func(float64) bool) {
	p.t.Helper()
	eventually(p.t, 20*time.Second, what, func() bool {
		values, err := p.query(promql)
		if err != nil {
			p.t.Fatal(err)
		}
		return len(values) == 1 && well(values[0])
	})
}

// A real Prometheus looks at two real bridges: what the dashboard and the runbook ask for
// is there, nothing alarms while all is well, and what should does, until it is mended.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one run without -short will do")
	}
	n := startNATS(t)
	canary := []string{"--audit-canary-interval", "1h"} // one, soon after the start
	b := startQuick(t, n.url(), append(canary, newPair(t, 90*24*time.Hour).ingress()...)...)
	other := startQuick(t, n.url(), canary...)
	p := startPrometheus(t, b, other)
	p.awaitData("sum(zenduty_bridge_ready) == 2") // before there is anything to count
	postAll(t, b.url, fixtureLoad(t, 2), 1)
	b.awaitDelivered()
	p.awaitAlerts()
	tryVariables(t, p)
	tryQueries(t, p)
	tryNATSAway(t, p, n)
	tryWrongSignature(t, p, b)
	tryOutcomes(t, b)
	tryBridgeDown(t, p, n, other)
}

// grafana puts in what it would for the dashboard's variables, all instances and one
// source chosen.
func (p *prometheus) grafana(query string) string {
	return strings.NewReplacer("$instance", strings.Join(p.targets, "|"), "$source", "zenduty", "$__rate_interval", "1m", "$__range", "1h").Replace(query)
}

// tryVariables: each of the dashboard's variables has what can be chosen.
func tryVariables(t *testing.T, p *prometheus) {
	want := map[string][]string{"instance": slices.Sorted(slices.Values(p.targets)), "source": {"zenduty"}}
	for _, v := range readDashboard(t).Templating.List {
		if v.Type != "query" {
			continue
		}
		match := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Definition)
		var got []string
		if err := p.ask("label/"+match[2]+"/values?match[]="+url.QueryEscape(match[1]), &got); err != nil || !slices.Equal(got, want[v.Name]) {
			t.Errorf("%s: %v %v, want %v", v.Definition, got, err, want[v.Name])
		}
	}
}

// tryQueries asks what the dashboard asks: each query has data. Of the runbook's some
// look for what is not well.
func tryQueries(t *testing.T, p *prometheus) {
	for where, query := range queries(t) {
		query = p.grafana(query)
		if strings.HasPrefix(where, "dashboard") {
			p.awaitData(query)
		} else if _, err := p.query(query); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
}

func tryNATSAway(t *testing.T, p *prometheus, n *natsProcess) {
	n.kill()
	p.awaitAlerts("ZendutyBridgeNATSAway pending")
	p.awaitAlerts("ZendutyBridgeNATSAway firing")
	for _, annotation := range readDashboard(t).Annotations.List {
		p.awaitData(annotation.Expr)
	}
	n.restart(t)
	p.awaitAlerts()
}

func tryWrongSignature(t *testing.T, p *prometheus, b *bridgeProcess) {
	response, err := client.Post(b.url, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	p.awaitAlerts("ZendutyBridgeUnauthorized firing")
}

// tryBridgeDown: one of two bridges dies, with a webhook on its disk that NATS does not
// have, and nothing at the top of the dashboard looks as if all were well.
func tryBridgeDown(t *testing.T, p *prometheus, n *natsProcess, b *bridgeProcess) {
	d := readDashboard(t)
	shows := func(title string, well func(float64) bool) {
		t.Helper()
		p.awaitValue("the dashboard's "+title, p.grafana(d.named(t, title).Targets[0].Expr), well)
	}
	zero, one := func(v float64) bool { return v == 0 }, func(v float64) bool { return v == 1 }
	waits := func(v float64) bool { return v > 0 }
	if first := d.Panels[1]; first.Type != "stat" || first.Title != "Up" {
		t.Errorf("the first panel is %s", first.Title)
	}
	for _, title := range []string{"Up", "Ready", "NATS"} {
		shows(title, one)
	}
	n.kill()
	postAll(t, b.url, fixtureLoad(t, 1), 1)
	shows("Oldest pending", waits)
	b.kill()
	for _, title := range []string{"Up", "Ready", "NATS"} {
		shows(title, zero)
	}
	shows("Oldest pending", waits)
	shows("Alerts", waits)
	n.restart(t)
	p.awaitAlerts("ZendutyBridgeDown firing", "ZendutyBridgeUnauthorized firing")
	tryVariables(t, p)
}

// tryOutcomes: no outcome that loses a webhook is one that no alert is about.
func tryOutcomes(t *testing.T, b *bridgeProcess) {
	_, text := b.get("/metrics")
	var alarming []*regexp.Regexp
	for _, a := range alerts(t) {
		for _, match := range regexp.MustCompile(`outcome=~"([^"]*)"`).FindAllStringSubmatch(a.Expr, -1) {
			if !strings.Contains(match[1], "accepted") {
				alarming = append(alarming, regexp.MustCompile("^("+match[1]+")$"))
			}
		}
	}
	harmless := []string{"accepted", "duplicate", "quarantined", "canary", "method_not_allowed"}
	found := regexp.MustCompile(`webhooks_total\{outcome="(\w+)",source="\w+"\}`).FindAllStringSubmatch(text, -1)
	if len(found) < 10 || !strings.Contains(text, `webhooks_total{outcome="unknown_source",source="unknown"} 0`) {
		t.Fatalf("only %d outcomes, or not from the start:\n%s", len(found), text)
	}
	for _, match := range found {
		outcome := match[1]
		if !slices.Contains(harmless, outcome) && !slices.ContainsFunc(alarming, func(r *regexp.Regexp) bool { return r.MatchString(outcome) }) {
			t.Errorf("no alert is about the outcome %s", outcome)
		}
	}
}

// What Compose's Prometheus scrapes has the traces that the README says, and it keeps them.
func TestPrometheusKeepsExemplars(t *testing.T) {
	startCollector(t)
	n := startNATS(t)
	b := startQuick(t, n.url())
	p := startPrometheus(t, b)
	postTraced(t, b.url)
	b.awaitDelivered()
	for _, histogram := range tracedHistograms {
		var kept []struct {
			Exemplars []struct{ Labels map[string]string }
		}
		eventually(t, 20*time.Second, "the sender's trace, of "+histogram, func() bool {
			if err := p.ask("query_exemplars?start=0&end=9999999999&query=zenduty_bridge_"+histogram+"_bucket", &kept); err != nil {
				t.Fatal(err)
			}
			return len(kept) > 0 && kept[0].Exemplars[0].Labels["trace_id"] == senderTrace
		})
	}
}

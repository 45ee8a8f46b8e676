package health

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// world is what an auditor looks at; a test changes it.
type world struct {
	mu     sync.Mutex
	audit  []publisher.Finding
	canary []publisher.Finding
	looks  int
	sent   int
	log    bytes.Buffer
}

// counted are the looks and the canaries so far.
func (w *world) counted() (looks, sent int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looks, w.sent
}

func (w *world) look(context.Context) []publisher.Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	return w.audit
}

func (w *world) send(context.Context) []publisher.Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	return w.canary
}

// logged are the messages since it was asked last, with their levels.
func (w *world) logged() (lines []string) {
	for line := range strings.Lines(w.log.String()) {
		level, message, _ := strings.Cut(strings.TrimPrefix(line, "level="), ` msg="audit: `)
		message, _, _ = strings.Cut(message, `"`)
		lines = append(lines, level+" "+message)
	}
	w.log.Reset()
	return lines
}

func newWorld(interval, canaries time.Duration) (*world, *Auditor, *prometheus.Registry) {
	w, registry := &world{}, prometheus.NewRegistry()
	log := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return w, NewAuditor(Options{
		Audit: w.look, Interval: interval, Canaries: w.send, CanaryInterval: canaries,
		Logger: log, Registerer: registry, Disk: Disk{Dir: "."},
	}), registry
}

func finding(check string, severity publisher.Severity, what string) publisher.Finding {
	return publisher.Finding{Check: check, Severity: severity, What: what}
}

func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, _ := newWorld(time.Minute, 5*time.Minute)
		_, never, _ := newWorld(0, 0)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { a.Run(ctx) })
		running.Go(func() { never.Run(ctx) })
		time.Sleep(firstLook - time.Millisecond)
		if looks, sent := w.counted(); looks != 0 || sent != 0 {
			t.Errorf("looked before the bridge has begun: %d, %d", looks, sent)
		}
		time.Sleep(firstLook)
		synctest.Wait()
		if looks, sent := w.counted(); looks != 1 || sent != 1 {
			t.Errorf("after the start: %d looks, %d canaries", looks, sent)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if looks, sent := w.counted(); looks != 11 || sent != 3 {
			t.Errorf("ten minutes later: %d looks, %d canaries", looks, sent)
		}
		if audit, _ := never.Audit(ctx); !audit.At.IsZero() {
			t.Error("looked although it was not to")
		}
		cancel()
		running.Wait()
	})
}

// The log has a change once, whatever the figures say at each look.
func TestChangesAreLogged(t *testing.T) {
	w, a, _ := newWorld(time.Minute, 0)
	for _, step := range []struct {
		name  string
		found []publisher.Finding
		want  []string
	}{
		{"well", []publisher.Finding{finding("disk_free", publisher.SeverityOK, "9 GiB"), finding("no_ack", publisher.SeverityOK, "acks")}, nil},
		{"one is bad", []publisher.Finding{finding("disk_free", publisher.SeverityWarning, "1 GiB"), finding("no_ack", publisher.SeverityOK, "acks")}, []string{"WARN 1 GiB"}},
		{"other figures", []publisher.Finding{finding("disk_free", publisher.SeverityWarning, "0.9 GiB"), finding("no_ack", publisher.SeverityError, "none")}, []string{"ERROR none"}},
		{"NATS is away", []publisher.Finding{finding("disk_free", publisher.SeverityWarning, "0.9 GiB"), finding("nats", publisher.SeverityError, "away")}, []string{"ERROR away"}},
		{"worse", []publisher.Finding{finding("disk_free", publisher.SeverityError, "0 GiB"), finding("nats", publisher.SeverityError, "away")}, []string{"ERROR 0 GiB", "INFO it is mended"}},
		{"NATS is back", []publisher.Finding{finding("disk_free", publisher.SeverityError, "0 GiB"), finding("nats", publisher.SeverityOK, "there"), finding("no_ack", publisher.SeverityError, "none")}, []string{"INFO it is mended"}},
		{"all is well", []publisher.Finding{finding("disk_free", publisher.SeverityOK, ""), finding("no_ack", publisher.SeverityOK, "")}, []string{"INFO it is mended", "INFO it is mended"}},
	} {
		w.audit = step.found
		a.look(t.Context())
		if diff := cmp.Diff(step.want, w.logged()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", step.name, diff)
		}
	}
}

// What could not be looked at is not mended: it stays in the log's memory, among the
// findings and in the metric.
func TestUnknownIsNotMended(t *testing.T) {
	of := func(check, on string, severity publisher.Severity, unknown bool) publisher.Finding {
		return publisher.Finding{Check: check, On: on, Severity: severity, Unknown: unknown, What: check + " " + on}
	}
	w, a, _ := newWorld(time.Minute, 0)
	const bad, well = publisher.SeverityError, publisher.SeverityOK
	for _, step := range []struct {
		name   string
		found  []publisher.Finding
		want   []string
		errors map[string]int
	}{
		{"bad", []publisher.Finding{of("canary", "x", bad, false), of("canary", "y", well, false), of("rights", "s", bad, false), of("rights", "t", bad, false)},
			[]string{"ERROR canary x", "ERROR rights s", "ERROR rights t"}, map[string]int{"canary": 1, "rights": 2}},
		{"NATS does not answer", []publisher.Finding{of("canary", "", bad, true), of("rights", "", well, true)},
			[]string{"ERROR canary "}, map[string]int{"canary": 2, "rights": 2}},
		{"it may not tell", []publisher.Finding{of("canary", "x", bad, true), of("canary", "y", well, false), of("rights", "u", bad, true)},
			[]string{"ERROR canary x", "ERROR rights u", "INFO it is mended"}, map[string]int{"canary": 2, "rights": 3}},
		{"as before, less one right", []publisher.Finding{of("canary", "x", bad, false), of("canary", "y", well, false), of("rights", "s", bad, false)},
			[]string{"INFO it is mended", "INFO it is mended", "INFO it is mended"}, map[string]int{"canary": 1, "rights": 1}},
		{"well", []publisher.Finding{of("canary", "x", well, false), of("canary", "y", well, false), of("rights", "", well, false)},
			[]string{"INFO it is mended", "INFO it is mended"}, map[string]int{}},
	} {
		w.audit = step.found
		a.look(t.Context())
		if diff := cmp.Diff(step.want, w.logged()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", step.name, diff)
		}
		for check, want := range map[string]int{"canary": step.errors["canary"], "rights": step.errors["rights"]} {
			if got := a.counts()[identity{check: check, severity: bad}]; got != want {
				t.Errorf("%s: %d errors of %s in the metric, want %d", step.name, got, check, want)
			}
		}
	}
}

func TestFindingsAreExported(t *testing.T) {
	w, a, registry := newWorld(time.Minute, time.Minute)
	w.audit = []publisher.Finding{
		finding("no_ack", publisher.SeverityError, "none"), finding("storage", publisher.SeverityOK, "files"),
		finding("rights", publisher.SeverityWarning, "a"), finding("rights", publisher.SeverityWarning, "b"),
	}
	a.look(t.Context())
	want := `# HELP zenduty_bridge_audit_findings What the last audit found, by check and severity (error, warning); 0 where all is well.
# TYPE zenduty_bridge_audit_findings gauge
zenduty_bridge_audit_findings{check="no_ack",severity="error"} 1
zenduty_bridge_audit_findings{check="no_ack",severity="warning"} 0
zenduty_bridge_audit_findings{check="rights",severity="error"} 0
zenduty_bridge_audit_findings{check="rights",severity="warning"} 2
zenduty_bridge_audit_findings{check="storage",severity="error"} 0
zenduty_bridge_audit_findings{check="storage",severity="warning"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "zenduty_bridge_audit_findings"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	if audit, _ := a.Audit(t.Context()); audit.At.IsZero() || len(audit.Findings) != 4 {
		t.Errorf("%+v", audit)
	}
	if free := testutil.ToFloat64(gauge(t, registry, "zenduty_bridge_disk_free_bytes")); free <= 0 {
		t.Errorf("free: %v", free)
	}
}

// gauge is a metric without labels, as a collector of its own.
func gauge(t *testing.T, registry *prometheus.Registry, name string) prometheus.Collector {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name})
	for _, f := range families {
		if f.GetName() == name {
			g.Set(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	return g
}

func TestCanariesAreCounted(t *testing.T) {
	w, a, _ := newWorld(0, time.Minute)
	bad, unsent, good := finding("canary", publisher.SeverityError, "lost"), finding("canary", publisher.SeverityWarning, "not sent"), finding("canary", publisher.SeverityOK, "back")
	for _, step := range []struct {
		found    []publisher.Finding
		failures float64
		success  bool
	}{
		{[]publisher.Finding{bad, good}, 1, false},
		{[]publisher.Finding{unsent}, 1, false},
		{[]publisher.Finding{bad, bad}, 3, false},
		{[]publisher.Finding{good, good}, 3, true},
	} {
		w.canary = step.found
		a.sendCanaries(t.Context())
		if got := testutil.ToFloat64(a.metrics.canaryFailures); got != step.failures {
			t.Errorf("%v failures, want %v", got, step.failures)
		}
		if success := testutil.ToFloat64(a.metrics.canarySuccess) > 0; success != step.success {
			t.Errorf("after %v a success: %v", step.found, success)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	w.canary = []publisher.Finding{bad}
	a.sendCanaries(ended)
	if got := testutil.ToFloat64(a.metrics.canaryFailures); got != 3 {
		t.Error("a canary that was cut off by the end of the bridge is counted")
	}
}

// An audit that is not to be made is not missed: it has no time at which it was made last.
func TestLastRunIsThereIfAuditsAre(t *testing.T) {
	for interval, want := range map[time.Duration]int{time.Minute: 1, 0: 0} {
		_, _, registry := newWorld(interval, 0)
		if got, err := testutil.GatherAndCount(registry, "zenduty_bridge_audit_last_run_timestamp_seconds"); err != nil || got != want {
			t.Errorf("audit.interval %s: the time is exported %d times, want %d: %v", interval, got, want, err)
		}
	}
}

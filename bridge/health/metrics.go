package health

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// counts are the findings by check and severity, with 0 for what a check did not find.
func (a *Auditor) counts() map[identity]int {
	audit, _ := a.Audit(context.Background())
	counts := map[identity]int{}
	for _, f := range audit.Findings {
		for _, severity := range []publisher.Severity{publisher.SeverityWarning, publisher.SeverityError} {
			counts[identity{check: f.Check, severity: severity}] += 0
		}
		if f.Severity != publisher.SeverityOK {
			counts[identity{check: f.Check, severity: f.Severity}]++
		}
	}
	return counts
}

type metrics struct {
	auditor        *Auditor
	findings       *prometheus.Desc
	lastRun        prometheus.Gauge
	canarySuccess  prometheus.Gauge
	canaryFailures prometheus.Counter
}

// newMetrics registers with a's Registerer, which may be nil.
func newMetrics(a *Auditor) *metrics {
	m := &metrics{
		auditor: a,
		findings: prometheus.NewDesc("zenduty_bridge_audit_findings",
			"What the last audit found, by check and severity (error, warning); 0 where all is well.", []string{"check", "severity"}, nil),
		lastRun: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "zenduty_bridge_audit_last_run_timestamp_seconds",
			Help: "When the last audit was made; 0 before the first. Not there if none is to be made.",
		}),
		canarySuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "zenduty_bridge_canary_last_success_timestamp_seconds",
			Help: "When the canaries of all sources last came back from JetStream; 0 before the first.",
		}),
		canaryFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "zenduty_bridge_canary_failures_total",
			Help: "Canaries that were not taken, or did not come back from JetStream as they were.",
		}),
	}
	free := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "zenduty_bridge_disk_free_bytes",
		Help: "Space that is free for the bridge on the disk of its data directory.",
	}, func() float64 {
		free, _ := a.opts.Disk.Free() // 0 where it cannot be told
		return float64(free)
	})
	if a.opts.Registerer != nil {
		a.opts.Registerer.MustRegister(m, m.canarySuccess, m.canaryFailures, free)
		if a.opts.Interval > 0 { // else it would be taken for one that hangs
			a.opts.Registerer.MustRegister(m.lastRun)
		}
	}
	return m
}

// Describe and Collect are of the findings, all of one moment.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { ch <- m.findings }

// Collect is the other half of a prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for id, count := range m.auditor.counts() {
		ch <- prometheus.MustNewConstMetric(m.findings, prometheus.GaugeValue, float64(count), id.check, string(id.severity))
	}
}

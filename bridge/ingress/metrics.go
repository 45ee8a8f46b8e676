package ingress

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
)

type metrics struct {
	webhooks *prometheus.CounterVec
	matches  *prometheus.CounterVec
	seconds  prometheus.Histogram
	last     map[string]prometheus.Gauge // by source
}

// outcomeCanary is how canaries are counted, in place of their status.
const outcomeCanary = "canary"

// newMetrics registers with r, which may be nil. What can be counted of a source is
// there from the start as 0, so that the first of a kind shows in a rate.
func newMetrics(sources map[string]*Source, r prometheus.Registerer) *metrics {
	m := &metrics{
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "zenduty_bridge_webhooks_total",
			Help: "Requests by source and outcome: accepted, duplicate, quarantined and canary were answered with 200.",
		}, []string{"source", "outcome"}),
		matches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "zenduty_bridge_signature_matches_total",
			Help: "Authentic webhooks, by the rendering whose signature matched and the name of the key.",
		}, []string{"source", "rendering", "key"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "zenduty_bridge_webhook_duration_seconds",
			Help:    "Time from a request's header to its answer, body and fsync included.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 15),
		}),
		last: map[string]prometheus.Gauge{},
	}
	last := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "zenduty_bridge_last_webhook_timestamp_seconds",
		Help: "When the last webhook of the source was answered with 200, canaries aside; 0 before the first since the start.",
	}, []string{"source"})
	for name := range sources {
		for _, status := range []bridge.Status{bridge.Accepted, bridge.Duplicate, bridge.Quarantined} {
			m.webhooks.WithLabelValues(name, string(status))
		}
		m.webhooks.WithLabelValues(name, outcomeCanary)
		m.last[name] = last.WithLabelValues(name)
		for _, r := range slices.Concat(refusals, []refusal{unforeseen}) {
			if r.outcome != "not_found" && r.outcome != "unknown_source" {
				m.webhooks.WithLabelValues(name, r.outcome)
			}
		}
	}
	if r != nil {
		r.MustRegister(m.webhooks, m.matches, m.seconds, last)
	}
	return m
}

// took counts a webhook that is answered with 200.
func (m *metrics) took(source string, receipt bridge.Receipt) {
	if receipt.Canary {
		m.webhooks.WithLabelValues(source, outcomeCanary).Inc()
		return
	}
	m.webhooks.WithLabelValues(source, string(receipt.Status)).Inc()
	m.last[source].SetToCurrentTime()
}

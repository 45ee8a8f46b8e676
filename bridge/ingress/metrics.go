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
}

// newMetrics registers with r, which may be nil. What can be counted of a source is
// there from the start as 0, so that the first of a kind shows in a rate.
func newMetrics(sources map[string]*Source, r prometheus.Registerer) *metrics {
	m := &metrics{
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "zenduty_bridge_webhooks_total",
			Help: "Requests by source and outcome: accepted, duplicate and quarantined were answered with 200.",
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
	}
	for name := range sources {
		for _, status := range []bridge.Status{bridge.Accepted, bridge.Duplicate, bridge.Quarantined} {
			m.webhooks.WithLabelValues(name, string(status))
		}
		for _, r := range slices.Concat(refusals, []refusal{unforeseen}) {
			if r.outcome != "not_found" && r.outcome != "unknown_source" {
				m.webhooks.WithLabelValues(name, r.outcome)
			}
		}
	}
	if r != nil {
		r.MustRegister(m.webhooks, m.matches, m.seconds)
	}
	return m
}

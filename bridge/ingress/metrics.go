package ingress

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

type metrics struct {
	webhooks *prometheus.CounterVec
	matches  *prometheus.CounterVec
	seconds  prometheus.Histogram
	last     *prometheus.GaugeVec
	keyUsed  *prometheus.GaugeVec
}

// sourceMetrics are a source's own, made beforehand. A request in hand while its source
// is removed counts on in them, where nobody looks any more, and so does not bring the
// source's series back.
type sourceMetrics struct {
	outcomes map[string]prometheus.Counter
	last     prometheus.Gauge
	keys     map[string]keyMetrics // by name; "" is that of unsigned webhooks
}

type keyMetrics struct {
	matches map[zenduty.Rendering]prometheus.Counter
	used    prometheus.Gauge // nil of unsigned webhooks
}

// outcomeCanary is how canaries are counted, in place of their status.
const outcomeCanary = "canary"

// newMetrics registers with r, which may be nil.
func newMetrics(r prometheus.Registerer) *metrics {
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
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "zenduty_bridge_last_webhook_timestamp_seconds",
			Help: "When the last webhook of the source was answered with 200, canaries aside; 0 before the first since the start.",
		}, []string{"source"}),
		keyUsed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "zenduty_bridge_key_last_used_timestamp_seconds",
			Help: "When the last new webhook was taken that was signed with the key, canaries and duplicates aside; 0 before the first since the start.",
		}, []string{"source", "key"}),
	}
	m.webhooks.WithLabelValues(unknownSource, refusalOf(errUnknownSource).outcome) // from the start, as a source's own
	if r != nil {
		r.MustRegister(m.webhooks, m.matches, m.seconds, m.last, m.keyUsed)
	}
	return m
}

// of makes a source's metrics, or finds those that are there. What can be counted of it
// is there from then on as 0, so that the first of a kind shows in a rate.
func (m *metrics) of(source string, v *zenduty.Verifier) *sourceMetrics {
	s := &sourceMetrics{outcomes: map[string]prometheus.Counter{}, last: m.last.WithLabelValues(source), keys: map[string]keyMetrics{}}
	for _, outcome := range []string{string(bridge.Accepted), string(bridge.Duplicate), string(bridge.Quarantined), outcomeCanary} {
		s.outcomes[outcome] = m.webhooks.WithLabelValues(source, outcome)
	}
	for _, r := range slices.Concat(refusals, []refusal{unforeseen}) {
		if r.outcome != "not_found" && r.outcome != "unknown_source" {
			s.outcomes[r.outcome] = m.webhooks.WithLabelValues(source, r.outcome)
		}
	}
	for _, key := range labels(v) {
		k := keyMetrics{matches: map[zenduty.Rendering]prometheus.Counter{}}
		for _, rendering := range v.Renderings() {
			k.matches[rendering] = m.matches.WithLabelValues(source, string(rendering), key)
		}
		if key != "" {
			k.used = m.keyUsed.WithLabelValues(source, key)
		}
		s.keys[key] = k
	}
	return s
}

// labels are what a verifier's matches have for their key.
func labels(v *zenduty.Verifier) []string {
	if keys := v.Keys(); len(keys) > 0 {
		return keys
	}
	return []string{""}
}

// forget takes away what sources no longer has of what was there before.
func (m *metrics) forget(before, sources map[string]*Source) {
	for name, source := range before {
		now := sources[name]
		if now == nil {
			for _, vec := range []*prometheus.MetricVec{m.webhooks.MetricVec, m.matches.MetricVec, m.last.MetricVec, m.keyUsed.MetricVec} {
				vec.DeletePartialMatch(prometheus.Labels{"source": name})
			}
			continue
		}
		for key, k := range source.metrics.keys {
			if _, stays := now.metrics.keys[key]; !stays {
				m.keyUsed.DeleteLabelValues(name, key)
			}
			for rendering := range k.matches {
				if now.metrics.keys[key].matches[rendering] == nil {
					m.matches.DeleteLabelValues(name, string(rendering), key)
				}
			}
		}
	}
}

// refused counts a request that is not answered with 200. source is nil for one that
// is of none.
func (m *metrics) refused(source *Source, outcome string) {
	if source != nil && source.metrics.outcomes[outcome] != nil {
		source.metrics.outcomes[outcome].Inc()
		return
	}
	m.webhooks.WithLabelValues(unknownSource, outcome).Inc()
}

// unknownSource is the label of all sources that there are not.
const unknownSource = "unknown"

// matched counts an authentic webhook.
func (s *sourceMetrics) matched(m zenduty.Match) { s.keys[m.Key].matches[m.Rendering].Inc() }

// took counts a webhook that is answered with 200. Its key is in use if it is new:
// anybody can send again what was recorded.
func (s *sourceMetrics) took(receipt bridge.Receipt, key string) {
	if receipt.Canary {
		s.outcomes[outcomeCanary].Inc()
		return
	}
	s.outcomes[string(receipt.Status)].Inc()
	s.last.SetToCurrentTime()
	if used := s.keys[key].used; used != nil && receipt.Status != bridge.Duplicate {
		used.SetToCurrentTime()
	}
}

// register adds what shows how near the limits are, and how often they were reached, to
// r, which may be nil.
func (s *Server) register(r prometheus.Registerer) {
	s.connections.closed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "zenduty_bridge_connections_closed_total",
		Help: "Connections that the bridge closed, or did not take, for one of its limits.",
	}, []string{"reason"})
	for _, reason := range endings {
		s.connections.closed.WithLabelValues(reason)
	}
	if r == nil {
		return
	}
	r.MustRegister(s.connections.closed,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "zenduty_bridge_connections",
			Help: "Connections of senders that are open.",
		}, func() float64 { return float64(s.connections.count()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "zenduty_bridge_requests",
			Help: "Requests of known sources that are under way.",
		}, func() float64 { return float64(s.intake.underWay()) }))
}

package publisher

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	published *prometheus.CounterVec
	failed    *prometheus.CounterVec
	seconds   prometheus.Histogram
}

// newMetrics registers with r, which may be nil.
func newMetrics(p *Publisher, r prometheus.Registerer) *metrics {
	m := &metrics{
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "zenduty_bridge_published_total",
			Help: "Webhooks acknowledged by JetStream, by event type.",
		}, []string{"event_type"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "zenduty_bridge_publish_errors_total",
			Help: "Publishes without an acknowledgement, by reason. All but too_large and invalid are tried again.",
		}, []string{"reason"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "zenduty_bridge_publish_duration_seconds",
			Help:    "Time from a publish to JetStream's acknowledgement.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 18),
		}),
	}
	connected := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "zenduty_bridge_nats_connected",
		Help: "1 while a connection to NATS stands.",
	}, func() float64 {
		if p.Ready() {
			return 1
		}
		return 0
	})
	for _, r := range []string{"too_large", "invalid", "timeout", "no_stream", "disconnected", "stream_full", "rejected", "other"} {
		m.failed.WithLabelValues(r)
	}
	if r != nil {
		r.MustRegister(m.published, m.failed, m.seconds, connected)
	}
	return m
}

// eventLabel bounds the label's values: a sender chooses the event type.
func eventLabel(m *Message) string {
	switch {
	case m.Replay != "":
		return "replay"
	case m.Quarantined:
		return "quarantine"
	case m.Canary:
		return "canary"
	case m.EventType == "triggered", m.EventType == "acknowledged", m.EventType == "resolved":
		return m.EventType
	}
	return "other"
}

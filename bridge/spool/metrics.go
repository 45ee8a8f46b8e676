package spool

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	commitSeconds prometheus.Histogram
	commitRecords prometheus.Histogram

	spool   *Spool
	records *prometheus.Desc
	bytes   *prometheus.Desc
	free    *prometheus.Desc
	limit   *prometheus.Desc
	oldest  *prometheus.Desc
}

// newMetrics registers with r, which may be nil.
func newMetrics(s *Spool, r prometheus.Registerer) *metrics {
	m := &metrics{
		spool: s,
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "zenduty_bridge_spool_commit_duration_seconds",
			Help:    "Time to write and fsync one group of webhooks.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		commitRecords: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "zenduty_bridge_spool_commit_records",
			Help:    "Webhooks made durable by one fsync.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		}),
		records: prometheus.NewDesc("zenduty_bridge_spool_records", "Webhooks held on disk, by state.", []string{"state"}, nil),
		bytes:   prometheus.NewDesc("zenduty_bridge_spool_bytes", "Sum of the sizes of the webhooks held on disk: what spool.max_bytes limits.", nil, nil),
		free:    prometheus.NewDesc("zenduty_bridge_spool_free_bytes", "What is left of spool.max_bytes for webhooks to come, for which history makes room.", nil, nil),
		limit:   prometheus.NewDesc("zenduty_bridge_spool_max_bytes", "The setting spool.max_bytes.", nil, nil),
		oldest:  prometheus.NewDesc("zenduty_bridge_spool_oldest_pending_seconds", "Age of the oldest webhook that is not in JetStream yet; 0 when there is none.", nil, nil),
	}
	if r != nil {
		r.MustRegister(m.commitSeconds, m.commitRecords, m)
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.records
	ch <- m.bytes
	ch <- m.free
	ch <- m.limit
	ch <- m.oldest
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	stats := m.spool.Stats()
	for state, tally := range map[string]Tally{
		"pending": stats.Pending, "retained": stats.Retained, "quarantined": stats.Quarantined,
	} {
		ch <- prometheus.MustNewConstMetric(m.records, prometheus.GaugeValue, float64(tally.Records), state)
	}
	ch <- prometheus.MustNewConstMetric(m.bytes, prometheus.GaugeValue, float64(stats.Bytes()))
	limit := m.spool.opts.MaxBytes
	ch <- prometheus.MustNewConstMetric(m.free, prometheus.GaugeValue, float64(max(0, limit-m.spool.held.needed())))
	ch <- prometheus.MustNewConstMetric(m.limit, prometheus.GaugeValue, float64(limit))
	age := 0.0
	if at, ok, err := m.spool.OldestPending(); err == nil && ok {
		age = max(0, time.Since(at).Seconds())
	}
	ch <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, age)
}

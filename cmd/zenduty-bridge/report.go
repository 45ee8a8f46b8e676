package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/admin"
	"github.com/zenduty-bridge/zenduty-bridge/config"
)

// Status implements admin.Statuses.
func (s *service) Status(ctx context.Context) (admin.Status, error) {
	report, err := s.bridge.Report(ctx)
	if err != nil {
		return admin.Status{}, err
	}
	sources, err := s.sources()
	return admin.Status{
		Version: version, Commit: commit(), Started: s.started, Now: time.Now(),
		Report: report, Replay: s.runningReplay(), NATS: s.publisher.Connection(), Stream: s.publisher.StreamReport(ctx), Sources: sources,
	}, err
}

// runningReplay is nil while there is none.
func (s *service) runningReplay() *bridge.Replay {
	for _, r := range s.replays.List() {
		if r.State == bridge.ReplayRunning {
			return &r
		}
	}
	return nil
}

// sources is what the metrics have counted of each source.
func (s *service) sources() ([]admin.Source, error) {
	families, err := s.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather metrics: %w", err)
	}
	list, now := []admin.Source{}, time.Now()
	for name, source := range s.live.Load().Sources {
		one := admin.Source{Name: name, Signature: source.Signature, Webhooks: map[string]uint64{}, Matches: []admin.Match{}, Keys: []admin.Key{}}
		each(families, "zenduty_bridge_webhooks_total", name, func(labels prometheus.Labels, n float64) {
			one.Webhooks[labels["outcome"]] = uint64(n)
		})
		each(families, "zenduty_bridge_signature_matches_total", name, func(labels prometheus.Labels, n float64) {
			one.Matches = append(one.Matches, admin.Match{Rendering: labels["rendering"], Key: labels["key"], Webhooks: uint64(n)})
		})
		each(families, "zenduty_bridge_last_webhook_timestamp_seconds", name, func(_ prometheus.Labels, seconds float64) {
			one.LastWebhook = timestamp(seconds)
		})
		used := map[string]time.Time{}
		each(families, "zenduty_bridge_key_last_used_timestamp_seconds", name, func(labels prometheus.Labels, seconds float64) {
			used[labels["key"]] = timestamp(seconds)
		})
		for _, k := range source.Keys {
			one.Keys = append(one.Keys, admin.Key{Name: k.Name, NotBefore: k.NotBefore, NotAfter: k.NotAfter, State: keyState(k, now), LastUsed: used[k.Name]})
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b admin.Source) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// timestamp is that of a metric.
func timestamp(seconds float64) time.Time {
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
}

func keyState(k config.Key, now time.Time) admin.KeyState {
	switch {
	case k.Valid(now):
		return admin.KeyValid
	case k.Expired(now):
		return admin.KeyExpired
	}
	return admin.KeyNotYetValid
}

// each calls found for the counters and gauges of a family and source that are not 0.
func each(families []*dto.MetricFamily, name, source string, found func(labels prometheus.Labels, value float64)) {
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := prometheus.Labels{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if value := m.GetCounter().GetValue() + m.GetGauge().GetValue(); labels["source"] == source && value > 0 {
				found(labels, value)
			}
		}
	}
}

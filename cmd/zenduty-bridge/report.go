package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/admin"
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
		Report: report, NATS: s.publisher.Connection(), Stream: s.publisher.StreamReport(ctx), Sources: sources,
	}, err
}

// sources is what the metrics have counted of each source.
func (s *service) sources() ([]admin.Source, error) {
	families, err := s.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather metrics: %w", err)
	}
	list := []admin.Source{}
	for name, source := range s.cfg.Sources {
		one := admin.Source{Name: name, Signature: source.Signature, Webhooks: map[string]uint64{}, Matches: []admin.Match{}}
		each(families, "zenduty_bridge_webhooks_total", name, func(labels prometheus.Labels, n uint64) {
			one.Webhooks[labels["outcome"]] = n
		})
		each(families, "zenduty_bridge_signature_matches_total", name, func(labels prometheus.Labels, n uint64) {
			one.Matches = append(one.Matches, admin.Match{Rendering: labels["rendering"], Key: labels["key"], Webhooks: n})
		})
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b admin.Source) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// each calls found for the counters of a family and source that are not 0.
func each(families []*dto.MetricFamily, name, source string, found func(labels prometheus.Labels, n uint64)) {
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := prometheus.Labels{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if n := m.GetCounter().GetValue(); labels["source"] == source && n > 0 {
				found(labels, uint64(n))
			}
		}
	}
}

package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, c := range []struct {
		name   string
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{"none", nil, 50, 0},
		{"one is every percentile", []time.Duration{7}, 1, 7},
		{"one is the maximum", []time.Duration{7}, 100, 7},
		{"the lower of two is their median", []time.Duration{1, 9}, 50, 1},
		{"the middle of three", []time.Duration{1, 5, 9}, 50, 5},
		{"p50 of 1 to 100", hundred, 50, 50},
		{"p90 of 1 to 100", hundred, 90, 90},
		{"p99 of 1 to 100", hundred, 99, 99},
		{"p99.9 of 1 to 100", hundred, 99.9, 100},
		{"p100 of 1 to 100", hundred, 100, 100},
		{"p99 of ten is the largest", hundred[:10], 99, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := percentile(c.sorted, c.p); got != c.want {
				t.Errorf("percentile %v = %d, want %d", c.p, got, c.want)
			}
		})
	}
}

func TestNewLatenciesSorts(t *testing.T) {
	got := newLatencies([]time.Duration{3 * time.Millisecond, 1500 * time.Microsecond, 9 * time.Millisecond, 2*time.Millisecond + 400})
	want := latencies{P50: 2, P90: 9, P99: 9, Max: 9} // ms, to a microsecond
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

package main

import (
	"math"
	"slices"
	"time"
)

// percentile is the smallest of the sorted durations that p percent of them do
// not exceed (nearest rank): one that was really measured. 0 for none; p is
// above 0 and at most 100.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// latencies sum up how long answers took, in milliseconds.
type latencies struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// newLatencies sorts the durations, which are the caller's.
func newLatencies(durations []time.Duration) latencies {
	slices.Sort(durations)
	at := func(p float64) float64 { return milliseconds(percentile(durations, p)) }
	return latencies{P50: at(50), P90: at(90), P99: at(99), Max: at(100)}
}

// milliseconds rounds to a microsecond: what is beyond is noise.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

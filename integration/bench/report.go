//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"text/tabwriter"
)

// series is one thing measured over the rounds.
type series struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Values []float64 `json:"values"`
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// report is a whole run.
type report struct {
	Machine machine   `json:"machine"`
	Series  []*series `json:"series"`
	Table   []verdict `json:"table"`
}

func (r *report) find(name string) *series {
	for _, s := range r.Series {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// record notes a value and says it.
func (b *bench) record(name, unit string, value float64) {
	s := b.report.find(name)
	if s == nil {
		s = &series{Name: name, Unit: unit}
		b.report.Series = append(b.report.Series, s)
	}
	s.Values = append(s.Values, value)
	fmt.Fprintf(b.progress, "round %d: %-45s %s %s\n", b.round, name, figure(value), unit)
}

// figure prints three or more digits that mean something.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// goal is what a figure shall reach: as itself, or as a ratio to its reference.
type goal struct {
	what, reference string
	reach           float64
	atLeast         bool // else at most
}

// goals of the benchmark. many is how many records are held.
func goals(long bool) []goal {
	growth := 0.9
	if long {
		growth = 0.8
	}
	return []goal{
		{"accept", "bare", 0.60, true},
		{"end to end", "bare", 0.40, true},
		{"latency, NATS up p50", "", 1, false},
		{"latency, NATS up p99", "", 5, false},
		{"latency, NATS hung p50", "latency, NATS up p50", 1.25, false},
		{"latency, NATS hung p99", "latency, NATS up p99", 1.25, false},
		{"latency, NATS gone p50", "latency, NATS up p50", 1.25, false},
		{"latency, NATS gone p99", "latency, NATS up p99", 1.25, false},
		{"drain", "publisher", 0.5, true},
		{"drain", "publisher, without headers", 0.5, true},
		{"memory, idle", "", 50, false},
		{"memory, accepting", "", 200, false},
		{"memory, end to end", "", 200, false},
		{"memory, many pending", "", 200, false},
		{"memory, draining", "", 200, false},
		{"start, after a stop", "", 2, false},
		{"start, after a kill", "", 2, false},
		{"growth, many held", "growth, none held", growth, true},
		{"disk, of the bodies' size", "", 1.1, false},
		{"recovery, draining p50", "recovery, before p50", 1.5, false},
		{"recovery, draining p99", "recovery, before p99", 1.5, false},
		{"flood that waits, good webhooks p99", "", 100, false},
		{"flood that waits, slow connections closed after", "", 10, false},
		{"memory, flood that waits", "", 300, false},
		{"flood, good webhooks p99", "", 100, false},
		{"flood, good webhooks refused", "", 0, false},
		{"flood, slow connections closed after", "", 10, false},
		{"memory, flood", "", 300, false},
	}
}

// verdict is one line of the table.
type verdict struct {
	What      string  `json:"what"`
	Unit      string  `json:"unit"`
	Median    float64 `json:"median"`
	Rounds    int     `json:"rounds"`
	Reference string  `json:"reference,omitempty"`
	Of        float64 `json:"reference_median,omitempty"`
	Ratio     float64 `json:"ratio,omitempty"` // of the medians
	Lowest    float64 `json:"lowest"`          // of the rounds: ratio, or value where there is no reference
	Highest   float64 `json:"highest"`
	Reach     string  `json:"reach"`
	Met       bool    `json:"met"`
}

// judge holds what was measured against a goal; false if it was not.
func (r *report) judge(g goal) (verdict, bool) {
	s := r.find(g.what)
	if s == nil {
		return verdict{}, false
	}
	v := verdict{What: g.what, Unit: s.Unit, Median: median(s.Values), Rounds: len(s.Values), Reference: g.reference}
	rounds, judged := s.Values, v.Median
	if g.reference != "" {
		ref := r.find(g.reference)
		if ref == nil || len(ref.Values) < len(s.Values) {
			return verdict{}, false
		}
		v.Of = median(ref.Values)
		v.Ratio = v.Median / v.Of
		rounds, judged = make([]float64, len(s.Values)), v.Ratio
		for i := range rounds {
			rounds[i] = s.Values[i] / ref.Values[i]
		}
	}
	v.Lowest, v.Highest = slices.Min(rounds), slices.Max(rounds)
	v.Reach, v.Met = "at most "+figure(g.reach), judged <= g.reach
	if g.atLeast {
		v.Reach, v.Met = "at least "+figure(g.reach), judged >= g.reach
	}
	return v, true
}

// judgeAll makes the table.
func (r *report) judgeAll(long bool) {
	for _, g := range goals(long) {
		if v, ok := r.judge(g); ok {
			r.Table = append(r.Table, v)
		}
	}
}

// print writes the machine and the table in Markdown.
func (r *report) print(w io.Writer) error {
	fmt.Fprintf(w, "\n%s\n", r.Machine)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| what\t| median\t| reference\t| ratio (rounds)\t| reach\t| met\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, v := range r.Table {
		reference, ratio := "", fmt.Sprintf("(%s–%s, %d)", figure(v.Lowest), figure(v.Highest), v.Rounds)
		if v.Reference != "" {
			reference, ratio = v.Reference+" "+figure(v.Of), figure(v.Ratio)+" "+ratio
		}
		met := "yes"
		if !v.Met {
			met = "**no**"
		}
		fmt.Fprintf(t, "| %s\t| %s %s\t| %s\t| %s\t| %s\t| %s\t|\n", v.What, figure(v.Median), v.Unit, reference, ratio, v.Reach, met)
	}
	return t.Flush()
}

func (r *report) save(file string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

func readReport(file string) (r report, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

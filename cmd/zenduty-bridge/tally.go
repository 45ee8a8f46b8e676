package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// maxListed is up to how many webhooks each answer is listed by itself.
const maxListed = 10

// tally gathers answers. Its methods may be called concurrently.
type tally struct {
	planned int
	began   time.Time

	mu        sync.Mutex
	counts    map[answer]int // by status and outcome, without id
	durations []time.Duration
	listed    []delivery // in the order of the answers, if planned is small
	last      time.Time
}

func newTally(planned int) *tally {
	return &tally{planned: planned, began: time.Now(), counts: map[answer]int{}}
}

func (t *tally) add(d delivery) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[answer{Status: d.Status, Outcome: d.Outcome}]++
	t.durations = append(t.durations, d.took)
	t.last = time.Now()
	if t.planned <= maxListed {
		t.listed = append(t.listed, d)
	}
}

// summary is what send closes with.
type summary struct {
	URL       string         `json:"url"`
	Planned   int            `json:"planned"` // webhooks that were to be sent
	Sent      int            `json:"sent"`
	Seconds   float64        `json:"seconds"`
	PerSecond float64        `json:"per_second"`
	Answers   []answerCount  `json:"answers"` // the most frequent first
	LatencyMS latencies      `json:"latency_ms"`
	Webhooks  []webhookEntry `json:"webhooks,omitempty"` // each, if planned is at most 10
}

type answerCount struct {
	Status  int    `json:"status"`
	Outcome string `json:"outcome"`
	Count   int    `json:"count"`
}

type webhookEntry struct {
	Event   string  `json:"event_type,omitempty"`
	Number  int64   `json:"incident_number,omitempty"`
	Status  int     `json:"status"`
	Outcome string  `json:"outcome"`
	ID      string  `json:"id,omitempty"`
	MS      float64 `json:"ms"`
}

func (t *tally) summary(url string) summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := summary{
		URL: url, Planned: t.planned, Sent: len(t.durations),
		Answers: []answerCount{}, LatencyMS: newLatencies(t.durations),
	}
	if elapsed := t.last.Sub(t.began); s.Sent > 0 {
		s.Seconds = elapsed.Round(time.Microsecond).Seconds()
		s.PerSecond = float64(int(float64(s.Sent)/elapsed.Seconds()*10)) / 10
	}
	for a, n := range t.counts {
		s.Answers = append(s.Answers, answerCount{Status: a.Status, Outcome: a.Outcome, Count: n})
	}
	slices.SortFunc(s.Answers, func(a, b answerCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Status, b.Status), cmp.Compare(a.Outcome, b.Outcome))
	})
	for _, d := range t.listed {
		s.Webhooks = append(s.Webhooks, webhookEntry{
			Event: d.event, Number: d.number, Status: d.Status, Outcome: d.Outcome, ID: d.ID, MS: milliseconds(d.took),
		})
	}
	return s
}

// writeJSON writes the summary as one JSON document.
func (s summary) writeJSON(w io.Writer) error { return printDocument(w, s) }

// writeText writes what a person wants to know of it.
func (s summary) writeText(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range s.Webhooks {
		event := visible(cmp.Or(e.Event, "webhook"))
		if e.Number != 0 {
			event += fmt.Sprintf(" #%d", e.Number)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.1f ms\n", event, statusText(e.Status), e.Outcome, e.ID, e.MS)
	}
	if s.Planned > 1 {
		s.writeTotals(table)
	}
	return table.Flush()
}

func (s summary) writeTotals(w io.Writer) {
	if len(s.Webhooks) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "answer\toutcome\twebhooks")
	for _, a := range s.Answers {
		fmt.Fprintf(w, "%s\t%s\t%d\n", statusText(a.Status), a.Outcome, a.Count)
	}
	l := s.LatencyMS
	fmt.Fprintln(w, "\np50\tp90\tp99\tmax\trate")
	fmt.Fprintf(w, "%.1f ms\t%.1f ms\t%.1f ms\t%.1f ms\t%.1f/s\n", l.P50, l.P90, l.P99, l.Max, s.PerSecond)
}

func statusText(status int) string {
	if status == 0 {
		return "none"
	}
	return fmt.Sprint(status)
}

// err is nil if all that was planned was answered with 200.
func (s summary) err() error {
	refused := 0
	for _, a := range s.Answers {
		if a.Status != http.StatusOK {
			refused += a.Count
		}
	}
	switch {
	case refused > 0:
		return fmt.Errorf("%d of %d webhooks were not taken%s", refused, s.Sent, s.hint())
	case s.Sent < s.Planned:
		return fmt.Errorf("interrupted: %d of %d webhooks were sent", s.Sent, s.Planned)
	}
	return nil
}

// hint says what mostly helps against the first answer that is not 200.
func (s summary) hint() string {
	i := slices.IndexFunc(s.Answers, func(a answerCount) bool { return a.Status != http.StatusOK })
	switch s.Answers[i].Status {
	case 0:
		return fmt.Sprintf(" (%s: is a bridge running there, as zenduty-bridge serve starts one?)", s.URL)
	case http.StatusUnauthorized:
		return " (the key, or the user and password, are not those of the source in --url)"
	case http.StatusNotFound:
		return fmt.Sprintf(" (%s: the bridge has no such source)", s.URL)
	}
	return ""
}

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tallyOf is a tally of as many answers as planned, one a millisecond longer than
// the one before.
func tallyOf(planned int, answers ...answer) *tally {
	t := newTally(planned)
	for i, a := range answers {
		t.add(delivery{webhook: webhook{event: "triggered", number: int64(i + 1)}, answer: a, took: time.Duration(i+1) * time.Millisecond})
	}
	t.last = t.began.Add(2 * time.Second)
	return t
}

var (
	taken   = answer{Status: 200, Outcome: "accepted", ID: "id1"}
	full    = answer{Status: 503, Outcome: "no space"}
	refused = answer{Outcome: "connection refused"}
)

func TestSummary(t *testing.T) {
	got := tallyOf(4, full, taken, refused, taken).summary("http://bridge/")
	want := summary{
		URL: "http://bridge/", Planned: 4, Sent: 4, Seconds: 2, PerSecond: 2,
		Answers:   []answerCount{{200, "accepted", 2}, {0, "connection refused", 1}, {503, "no space", 1}},
		LatencyMS: latencies{P50: 2, P90: 4, P99: 4, Max: 4},
		Webhooks: []webhookEntry{
			{"triggered", 1, 503, "no space", "", 1}, {"triggered", 2, 200, "accepted", "id1", 2},
			{"triggered", 3, 0, "connection refused", "", 3}, {"triggered", 4, 200, "accepted", "id1", 4},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if many := tallyOf(maxListed+1, taken).summary(""); many.Webhooks != nil {
		t.Errorf("each of %d webhooks is listed", many.Planned)
	}
}

func TestSummaryText(t *testing.T) {
	for _, c := range []struct {
		name  string
		tally *tally
		want  string
	}{
		{"one", tallyOf(1, taken), "triggered #1  200  accepted  id1  1.0 ms\n"},
		{"several", tallyOf(2, taken, full), `
triggered #1  200  accepted  id1  1.0 ms
triggered #2  503  no space       2.0 ms

answer  outcome   webhooks
200     accepted  1
503     no space  1

p50     p90     p99     max     rate
1.0 ms  2.0 ms  2.0 ms  2.0 ms  1.0/s
`},
		{"none, interrupted", tallyOf(20), `
answer  outcome  webhooks

p50     p90     p99     max     rate
0.0 ms  0.0 ms  0.0 ms  0.0 ms  0.0/s
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := c.tally.summary("").writeText(&b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSummaryJSONCanBeReadBack(t *testing.T) {
	s := tallyOf(2, taken, full).summary("http://bridge/?a&b")
	var b bytes.Buffer
	if err := s.writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back summary
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, back); diff != "" {
		t.Error(diff)
	}
}

func TestSummaryErr(t *testing.T) {
	for _, c := range []struct {
		name  string
		tally *tally
		want  []string // in the error; none: no error
	}{
		{"all taken", tallyOf(2, taken, taken), nil},
		{"full", tallyOf(2, taken, full), []string{"1 of 2 webhooks were not taken"}},
		{"nobody there", tallyOf(1, refused), []string{"1 of 1", "http://bridge/", "zenduty-bridge serve"}},
		{"wrong key", tallyOf(1, answer{Status: 401}), []string{"the key"}},
		{"wrong source", tallyOf(1, answer{Status: 404}), []string{"http://bridge/", "no such source"}},
		{"interrupted", tallyOf(3, taken), []string{"interrupted: 1 of 3"}},
		{"interrupted before any", tallyOf(3), []string{"interrupted: 0 of 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.tally.summary("http://bridge/").err()
			if (err == nil) != (c.want == nil) {
				t.Fatalf("err = %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("err = %v, want %q in it", err, want)
				}
			}
		})
	}
}

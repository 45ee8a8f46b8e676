package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// newTestTarget is a target whose requests are answered by handler.
func newTestTarget(t *testing.T, handler http.HandlerFunc) *target {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	target, err := newTarget(server.URL, 5*time.Second, 16, nil)
	if err != nil {
		t.Fatal(err)
	}
	target.key = "secret"
	t.Cleanup(target.client.CloseIdleConnections)
	return target
}

func accept(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"status":"accepted","id":"1"}`)
}

// watch notes, by incident, the events that come and how many are under way.
type watch struct {
	mu       sync.Mutex
	events   map[string][]string
	underWay map[string]int
	overlaps int
	together int // incidents under way at once, at most
}

func newWatch() *watch { return &watch{events: map[string][]string{}, underWay: map[string]int{}} }

func (s *watch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fields, _ := zenduty.ReadFields(body)
	s.begin(fields.IncidentID, fields.EventType)
	time.Sleep(time.Millisecond) // long enough for others to come meanwhile
	s.end(fields.IncidentID)
	accept(w, r)
}

func (s *watch) begin(id, event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events[id] = append(s.events[id], event)
	if s.underWay[id]++; s.underWay[id] > 1 {
		s.overlaps++
	}
	s.together = max(s.together, len(s.underWay))
}

func (s *watch) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.underWay[id]--; s.underWay[id] == 0 {
		delete(s.underWay, id)
	}
}

func TestLoadKeepsTheOrderOfAnIncident(t *testing.T) {
	seen := newWatch()
	target := newTestTarget(t, seen.ServeHTTP)
	event := eventIncident
	c := sendCommand{Count: 40, Concurrency: 8, Event: &event}
	tally := newTally(120)
	c.sampleLoad().run(t.Context(), target, tally.add)

	if s := tally.summary(""); s.Sent != 120 || s.err() != nil {
		t.Errorf("sent %d, %v", s.Sent, s.err())
	}
	if len(seen.events) != 40 {
		t.Errorf("%d incidents came, want 40", len(seen.events))
	}
	for id, events := range seen.events {
		if !slices.Equal(events, incidentEvents) {
			t.Errorf("incident %s: %v", id, events)
		}
	}
	if seen.overlaps > 0 {
		t.Errorf("%d webhooks were sent before the one in front was answered", seen.overlaps)
	}
	if seen.together < 2 || seen.together > 8 {
		t.Errorf("%d incidents were under way at once, want 2 to 8", seen.together)
	}
}

// A stall must show in the latency of all that was due during it.
func TestLoadAtARateCountsTheWaitForAStall(t *testing.T) {
	const stall = 300 * time.Millisecond
	var once sync.Once
	target := newTestTarget(t, func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { time.Sleep(stall) })
		accept(w, r)
	})
	c := sendCommand{Count: 10, Concurrency: 1, Rate: 100} // due every 10 ms
	var took []time.Duration
	c.sampleLoad().run(t.Context(), target, func(d delivery) { took = append(took, d.took) })
	if len(took) != 10 {
		t.Fatalf("%d answers, want 10", len(took))
	}
	for i, d := range took {
		if least := stall - time.Duration(i)*10*time.Millisecond; d < least {
			t.Errorf("webhook %d was due %d ms after the first and took %s, want at least %s", i, i*10, d, least)
		}
	}
}

func TestLoadKeepsToItsRate(t *testing.T) {
	target := newTestTarget(t, accept)
	event := eventIncident
	c := sendCommand{Count: 4, Concurrency: 4, Rate: 100, Event: &event}
	began := time.Now()
	c.sampleLoad().run(t.Context(), target, func(delivery) {})
	if took := time.Since(began); took < 110*time.Millisecond {
		t.Errorf("12 webhooks at 100 a second took %s, want at least 110 ms", took)
	}
}

// An interrupt ends the sending; what is under way is still answered.
func TestLoadStopsWhenInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	target := newTestTarget(t, func(w http.ResponseWriter, r *http.Request) {
		interrupt()
		accept(w, r)
	})
	c := sendCommand{Count: 1000, Concurrency: 2}
	tally := newTally(1000)
	c.sampleLoad().run(ctx, target, tally.add)
	s := tally.summary("")
	if s.Sent == 0 || s.Sent > 2 {
		t.Errorf("%d webhooks were sent, want at most one of each worker", s.Sent)
	}
	if want := []answerCount{{Status: 200, Outcome: "accepted", Count: s.Sent}}; !cmp.Equal(want, s.Answers) {
		t.Errorf("answers %+v, want %+v", s.Answers, want)
	}
	if err := s.err(); err == nil || err.Error() != "interrupted: "+itoa(s.Sent)+" of 1000 webhooks were sent" {
		t.Errorf("err = %v", err)
	}
}

func TestFileLoadSendsTheBytesAsTheyAre(t *testing.T) {
	const body = "not JSON \xff\n"
	var got []string
	target := newTestTarget(t, func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		if r.Header.Get(zenduty.SignatureHeader) == zenduty.Sign("secret", sent) {
			got = append(got, string(sent))
		}
		accept(w, r)
	})
	c := sendCommand{Count: 2, Concurrency: 1}
	c.fileLoad([]byte(body)).run(t.Context(), target, func(delivery) {})
	if diff := cmp.Diff([]string{body, body}, got); diff != "" {
		t.Error(diff)
	}
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zenduty-bridge/zenduty-bridge/publisher/embedded"
)

// startNATS starts a server; listen is where one was before, or port 0.
func startNATS(t *testing.T, listen, store string) *embedded.Server {
	t.Helper()
	server, err := embedded.Start(embedded.Options{Listen: listen, StoreDir: store, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// publish sends a webhook as the bridge does, and as the live feed does if subject is
// the feed's.
func publish(t *testing.T, url, subject, body string) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := errors.Join(nc.Publish(subject, []byte(body)), nc.Flush()); err != nil {
		t.Fatal(err)
	}
}

func makeStream(t *testing.T, url string, subjects ...string) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ZENDUTY", Subjects: subjects}); err != nil {
		t.Fatal(err)
	}
}

// tailing is a tail that runs in this process.
type tailing struct {
	stdout, stderr transcript
	interrupt      context.CancelFunc
	code           chan int
}

// startTail runs tail and waits until it says that it tails.
func startTail(t *testing.T, args ...string) *tailing {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &tailing{interrupt: cancel, code: make(chan int, 1)}
	t.Cleanup(cancel)
	p := &program{ctx: ctx, stdout: &r.stdout, stderr: &r.stderr, getenv: func(string) (string, bool) { return "", false }}
	go func() { r.code <- p.main(append([]string{"tail"}, args...)) }()
	await(t.Fatalf, func() bool { return strings.Contains(r.stderr.String(), "tailing") }, "tail to begin; so far %s", &r.stderr)
	return r
}

// finish waits for the end and its exit code.
func (r *tailing) finish(t *testing.T, want int) {
	t.Helper()
	select {
	case code := <-r.code:
		if code != want {
			t.Errorf("exit code %d, want %d: %s", code, want, &r.stderr)
		}
	case <-time.After(patience):
		t.Fatalf("tail has not ended: %s", &r.stderr)
	}
}

// A tail outlives its NATS server, and prints what comes after it is back.
func TestTailSurvivesARestart(t *testing.T) {
	for _, c := range []struct {
		name, subject string
		args          []string
	}{
		{"live", "zenduty.incident.triggered", nil},
		{"since", "zenduty.incident.triggered.svc", []string{"--since", "1h"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := t.TempDir()
			server := startNATS(t, "127.0.0.1:0", store)
			url := server.URL()
			makeStream(t, url, "zenduty.incident.*.*")
			r := startTail(t, append(c.args, "--nats-url", url, "--count", "2")...)
			publish(t, url, c.subject, `{"n": 1}`)
			await(t.Fatalf, func() bool { return strings.Contains(r.stdout.String(), `{"n":1}`) }, "the first webhook")

			server.Close()
			await(t.Fatalf, func() bool { return strings.Contains(r.stderr.String(), "disconnected from NATS") }, "word of the outage")
			startNATS(t, strings.TrimPrefix(url, "nats://"), store)
			await(t.Fatalf, func() bool { return strings.Contains(r.stderr.String(), "connected again") }, "word of its end")

			publish(t, url, c.subject, `{"n": 2}`)
			r.finish(t, exitDone)
			if got := strings.Count(r.stdout.String(), "\n"); got != 2 || !strings.Contains(r.stdout.String(), `{"n":2}`) {
				t.Errorf("printed %s", &r.stdout)
			}
		})
	}
}

// Ctrl-C ends it also while NATS is away.
func TestTailCanBeInterruptedDuringAnOutage(t *testing.T) {
	for _, args := range [][]string{nil, {"--since", "1h"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			server := startNATS(t, "127.0.0.1:0", t.TempDir())
			makeStream(t, server.URL(), "zenduty.incident.*.*")
			r := startTail(t, append(args, "--nats-url", server.URL())...)
			server.Close()
			await(t.Fatalf, func() bool { return strings.Contains(r.stderr.String(), "disconnected from NATS") }, "word of the outage")
			r.interrupt()
			r.finish(t, exitDone)
		})
	}
}

// Several subscriptions must not mix up what the server sent in order.
func TestTailOfSeveralEventsKeepsTheirOrder(t *testing.T) {
	server := startNATS(t, "127.0.0.1:0", t.TempDir())
	r := startTail(t, "--nats-url", server.URL(), "--event", "triggered,acknowledged", "--event", "resolved", "--count", "300")
	nc, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var want []string
	for i := range 300 {
		event := incidentEvents[i%3]
		body := `{"event_type":"` + event + `","n":` + itoa(i) + `}`
		want = append(want, body)
		if err := nc.Publish("zenduty.incident."+event, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	r.finish(t, exitDone)
	var got []string
	for line := range strings.Lines(r.stdout.String()) {
		_, body, _ := strings.Cut(strings.TrimSuffix(line, "}\n"), `"body":`)
		got = append(got, body)
	}
	if !slices.Equal(want, got) {
		t.Errorf("printed %d webhooks in another order: %s", len(got), &r.stdout)
	}
}

// Who waits in vain is told why.
func TestTailDoubtsALiveFeedThatCannotBe(t *testing.T) {
	server := startNATS(t, "127.0.0.1:0", t.TempDir())
	noStream := startTail(t, "--nats-url", server.URL())
	await(t.Fatalf, func() bool { return strings.Contains(noStream.stderr.String(), "there is no stream ZENDUTY yet") }, "a hint at the stream")
	makeStream(t, server.URL(), "zenduty.incident.*.*")
	noFeed := startTail(t, "--nats-url", server.URL())
	await(t.Fatalf, func() bool { return strings.Contains(noFeed.stderr.String(), "does not republish") }, "a hint at the feed")
}

package main

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
)

// delivered N: the stream ZENDUTY at $NATS has N messages or more.
func cmdDelivered(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.ParseUint(args[0], 10, 64)
	ts.Check(err)
	nc, err := nats.Connect(ts.Getenv("NATS"))
	ts.Check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	ts.Check(err)
	await(ts.Fatalf, func() bool {
		s, err := js.Stream(context.Background(), "ZENDUTY")
		return err == nil && s.CachedInfo().State.Msgs >= want
	}, "%d messages", want)
}

// replayed TAIL REPLAY: what tail printed has, after the webhooks themselves, those
// that the replay (as it was printed) published: each once, in order within its
// incident, under the same subject, marked and with a message id of its own.
func cmdReplayed(ts *testscript.TestScript, _ bool, args []string) {
	var replay bridge.Replay
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &replay))
	originals, again := map[string][]string{}, map[string][]string{} // by incident
	count := int64(0)
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var r record
		ts.Check(json.Unmarshal([]byte(line), &r))
		incident, what := r.Headers["ce-subject"], r.Headers["ce-id"]+" "+r.Subject
		switch {
		case r.Headers["zenduty-bridge-replay"] == "" && r.Headers["Nats-Msg-Id"] == r.Headers["ce-id"]:
			originals[incident] = append(originals[incident], what)
		case r.Headers["zenduty-bridge-replay"] == replay.ID && r.Headers["Nats-Msg-Id"] == r.Headers["ce-id"]+"."+replay.ID:
			again[incident] = append(again[incident], what)
			count++
		default:
			ts.Fatalf("neither: %s", line)
		}
	}
	if count != replay.Published {
		ts.Fatalf("%d replayed, %d were to be", count, replay.Published)
	}
	for incident := range again {
		if !slices.Equal(originals[incident], again[incident]) {
			ts.Fatalf("%s: %q, replayed %q", incident, originals[incident], again[incident])
		}
	}
}

package integration

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// replay is what the operator's API says of one.
type replay struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	Webhooks  int    `json:"webhooks"`
	Published int    `json:"published"`
	Error     string `json:"error"`
}

// replay asks the operator's API for a replay, by GET or, with a body, by POST.
func (b *bridgeProcess) replay(path, body string) (r replay) {
	b.t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	request, err := http.NewRequest(method, b.admin+"/api/v1/replays"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&r); err != nil || response.StatusCode/100 != 2 {
		b.t.Fatalf("%s: %s %+v, %v", path, response.Status, r, err)
	}
	return r
}

// awaitReplayed waits until a replay has published n webhooks, or is done.
func (b *bridgeProcess) awaitReplayed(id string, n int) (r replay) {
	b.t.Helper()
	eventually(b.t, time.Minute, "the replay goes on", func() bool {
		r = b.replay("/"+id, "")
		return r.Published >= n || r.State != "running"
	})
	return r
}

// NATS is killed in the middle of a replay, and the bridge after that, while live
// webhooks go on. Within the duplicate window all of the history comes once more, once,
// in order within each incident, and the live webhooks come as ever.
func TestReplayWhileNATSAndTheBridgeAreKilled(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	b := startBridgeAt(t, t.TempDir(), "--nats-url", n.url(), "--relay-ack-timeout", "1s", "--relay-backoff-min", "50ms", "--relay-backoff-max", "1s")
	history := pass(t, b.url, 2*time.Second)
	b.awaitDelivered()
	before := readStream(t, n.url())

	id := b.replay("", `{"rate":100}`).ID
	tr := startTraffic(t, b.url) // of which the replay has none
	b.awaitReplayed(id, 50)
	n.kill()
	tr.await(20)
	n.restart(t)
	b.awaitReplayed(id, 130)
	b.kill()
	b = b.again(t)
	if r := b.replay("/"+id, ""); r.State != "stopped" || r.Published < 50 {
		t.Errorf("after the bridge was killed: %+v", r)
	}
	b.replay("/"+id+"/resume", "{}")
	got := b.awaitReplayed(id, 1<<30)
	if got.State != "done" || got.Published != got.Webhooks || got.Error != "" {
		t.Errorf("%+v", got)
	}
	live := tr.stop()
	b.awaitDelivered()

	checkReplayed(t, id, before, readStream(t, n.url()), append(history, live...))
}

// checkReplayed: each message that was there before the replay and is no quarantined
// one came once more, marked, and an incident's in their order; the others are what was
// posted.
func checkReplayed(t *testing.T, id string, before, after []jetstream.Msg, l load) {
	t.Helper()
	a := newAuditor(l)
	want, got := map[string][]string{}, map[string][]string{} // by incident
	name := func(m jetstream.Msg) string {
		return m.Headers().Get("ce-id") + " " + m.Subject() + " " + string(m.Data())
	}
	for _, m := range before {
		if !strings.HasPrefix(m.Subject(), "zenduty.quarantine.") {
			incident := m.Headers().Get("ce-subject")
			want[incident] = append(want[incident], name(m))
		}
	}
	for _, m := range after {
		h := m.Headers()
		if h.Get("zenduty-bridge-replay") == "" {
			a.read(m)
			continue
		}
		if h.Get("zenduty-bridge-replay") != id || h.Get("Nats-Msg-Id") != h.Get("ce-id")+"."+id {
			t.Errorf("not marked as it should be: %v", h)
		}
		got[h.Get("ce-subject")] = append(got[h.Get("ce-subject")], name(m))
	}
	for incident := range want {
		if !slices.Equal(want[incident], got[incident]) {
			t.Errorf("%s: %d webhooks, replayed %d", incident, len(want[incident]), len(got[incident]))
		}
	}
	if len(want) < 10 || len(got) != len(want) {
		t.Errorf("%d incidents were there, %d are replayed", len(want), len(got))
	}
	report := a.report()
	t.Log(report)
	if !report.clean() {
		t.Error("the stream, but for the replay, is not what was answered with 200")
	}
}

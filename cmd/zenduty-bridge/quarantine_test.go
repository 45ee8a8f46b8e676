package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/admin"
)

// A retry is done when all is delivered: what still waits is told with its reason, beside
// what has come back.
func TestQuarantineRetryTellsWhatWaits(t *testing.T) {
	waits := &bridge.Wait{For: bridge.ForConnection, Why: "there is no connection to NATS"}
	for _, c := range []struct {
		states string
		waits  *bridge.Wait
		want   string
	}{
		{"acknowledged acknowledged", waits, ""},
		{"acknowledged pending", waits, "1 of 2 are still waiting: there is no connection to NATS (they will be sent, and need no other retry)"},
		{"pending quarantined", nil, "1 of 2 are in quarantine again, 1 of 2 are still waiting: they have not had their turn yet, see zenduty-bridge status (they will be sent, and need no other retry)"},
	} {
		t.Run(c.states, func(t *testing.T) {
			states := map[string]bridge.State{}
			for i, state := range strings.Fields(c.states) {
				states[string(rune('a'+i))] = bridge.State(state)
			}
			client := admins(t, func(w http.ResponseWriter, r *http.Request) {
				id := r.URL.Query().Get("id")
				var answer any = bridge.Trace{Webhooks: []bridge.Held{{ID: id, State: states[id]}}}
				if strings.HasSuffix(r.URL.Path, "/status") {
					answer = admin.Status{Report: bridge.Report{Relay: bridge.RelayReport{Waits: c.waits}}}
				}
				_ = json.NewEncoder(w).Encode(answer)
			}, nil)
			url := strings.TrimSuffix(client.url, "/api/v1/")
			retry := quarantineRetryCommand{adminFlags: adminFlags{Admin: &url}, choice: choice{IDs: []string{"a", "b"}}, Wait: time.Millisecond}
			var told bytes.Buffer
			p := testProgram(nil)
			p.stdout = &told
			err := retry.Run(p)
			if got := errorText(err); got != c.want || strings.Count(told.String(), "duplicates") != 2 {
				t.Errorf("%q, want %q\n%s", got, c.want, &told)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

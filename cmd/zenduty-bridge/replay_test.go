package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/admin"
)

// Ctrl-C just when a replay is started or resumed stops it: it is not left behind.
func TestReplayInterruptedAtItsStart(t *testing.T) {
	for name, c := range map[string]replayCommand{"start": {Yes: true}, "resume": {Resume: "3v0k9q2a"}} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			var calls []string
			client := admins(t, func(w http.ResponseWriter, r *http.Request) {
				calls = append(calls, strings.TrimPrefix(r.URL.Path, "/api/v1/"))
				replay := bridge.Replay{ID: "3v0k9q2a", State: bridge.ReplayRunning}
				var call admin.ReplayCall
				_ = json.NewDecoder(r.Body).Decode(&call) // none is no dry run
				switch {
				case call.DryRun:
					_, _ = io.WriteString(w, `{"webhooks":1}`)
					return
				case strings.HasSuffix(r.URL.Path, "/stop"):
					replay.State = bridge.ReplayStopped
				default:
					interrupt()
					time.Sleep(10 * time.Millisecond) // a call that ends with ctx would have ended
				}
				_ = json.NewEncoder(w).Encode(replay)
			}, nil)
			url := strings.TrimSuffix(client.url, "/api/v1/")
			c.Admin = &url
			var told bytes.Buffer
			p := testProgram(nil)
			p.ctx, p.stdout, p.stderr = ctx, io.Discard, &told
			err := c.Run(p)
			if err == nil || !strings.Contains(err.Error(), "was stopped (to go on: zenduty-bridge replay --resume 3v0k9q2a)") {
				t.Errorf("%v\n%s", err, &told)
			}
			if last := calls[len(calls)-1]; last != "replays/3v0k9q2a/stop" {
				t.Errorf("%q", calls)
			}
		})
	}
}

// Where there is no terminal a line comes now and then, and when it begins or ceases to
// wait.
func TestReplayProgress(t *testing.T) {
	var told bytes.Buffer
	s := newReplayProgress(&program{stderr: &told})
	running := bridge.Replay{ID: "3v0k9q2a", Webhooks: 60, Published: 1}
	s.show(running)
	s.every = 0
	s.show(running)
	s.every = time.Hour
	running.Published, running.Error = 2, "there is no connection to NATS"
	s.show(running)
	s.show(running)
	running.Error = ""
	s.show(running)
	s.end()
	want := `zenduty-bridge: publishing, 1 of 60 published
zenduty-bridge: waiting: there is no connection to NATS, 2 of 60 published
zenduty-bridge: publishing, 2 of 60 published
`
	if told.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &told, want)
	}
}

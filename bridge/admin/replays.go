package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
)

// Replays publishes held webhooks again, as *bridge.Replays does.
type Replays interface {
	Plan(ctx context.Context, request bridge.ReplayRequest, from uint64, patience time.Duration) (bridge.ReplayPlan, error)
	Start(request bridge.ReplayRequest) (bridge.Replay, error)
	Resume(id string) (bridge.Replay, error)
	Stop(ctx context.Context, id string) (bridge.Replay, error)
	Get(id string) (bridge.Replay, error)
	List() []bridge.Replay
}

// ReplayCall is the body of a call that plans or starts a replay.
type ReplayCall struct {
	bridge.ReplayRequest
	DryRun bool   `json:"dry_run,omitempty"`
	Next   uint64 `json:"next,omitempty"` // with DryRun: the next of the part before
}

// ReplayList is the replays that are known, the newest first.
type ReplayList struct {
	Replays []bridge.Replay `json:"replays"`
}

func replayRoutes(s Replays) []route {
	if s == nil {
		return nil
	}
	// one answers with the replay of the path.
	one := func(do func(ctx context.Context, id string) (bridge.Replay, error)) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			replay, err := do(r.Context(), r.PathValue("id"))
			if err != nil {
				return err
			}
			return writeJSON(w, http.StatusOK, replay)
		}
	}
	return []route{
		{method: "GET", path: "/replays", handle: func(w http.ResponseWriter, _ *http.Request) error {
			return writeJSON(w, http.StatusOK, ReplayList{s.List()})
		}},
		{method: "POST", path: "/replays", guarded: true, handle: func(w http.ResponseWriter, r *http.Request) error {
			return startReplay(s, w, r)
		}},
		{method: "GET", path: "/replays/{id}", handle: one(func(_ context.Context, id string) (bridge.Replay, error) { return s.Get(id) })},
		{method: "POST", path: "/replays/{id}/stop", guarded: true, handle: one(s.Stop)},
		{method: "POST", path: "/replays/{id}/resume", guarded: true, handle: one(func(_ context.Context, id string) (bridge.Replay, error) { return s.Resume(id) })},
	}
}

// planFor bounds how long one part of a plan takes: well below answerWithin.
const planFor = 10 * time.Second

// startReplay starts a replay, or with dry_run says what it would do.
func startReplay(s Replays, w http.ResponseWriter, r *http.Request) error {
	var call ReplayCall
	if err := readJSON(w, r, &call); err != nil {
		return err
	}
	if call.DryRun {
		plan, err := s.Plan(r.Context(), call.ReplayRequest, call.Next, planFor)
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, plan)
	}
	if call.Next != 0 {
		return fmt.Errorf("%w: next goes with dry_run only", errBadRequest)
	}
	replay, err := s.Start(call.ReplayRequest)
	if err != nil {
		return err
	}
	w.Header().Set("Location", apiPrefix+"/replays/"+replay.ID)
	return writeJSON(w, http.StatusCreated, replay)
}

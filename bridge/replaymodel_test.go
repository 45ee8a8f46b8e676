package bridge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// The model with replays that begin, stop and are resumed at any time. They change
// nothing about the promise; and each has in the end, at least once, what there was
// to replay, in order: what comes twice comes after its first time.
func TestModelWithReplays(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 60
	}
	done := 0
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed)
			w.startReplays()
			for range 40 {
				w.step()
			}
			done += w.finishReplays()
			w.settleDown()
			w.check()
			w.checkReplays()
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if done < int(seeds) {
		t.Errorf("%d replays were done in %d worlds: they show little", done, seeds)
	}
}

func (w *world) startReplays() {
	var err error
	if w.replays, err = NewReplays(w.bridge, nil); err != nil {
		w.t.Fatal(err)
	}
}

// replay begins one, or goes on with the last, or stops it.
func (w *world) replay() {
	all := w.replays.List()
	switch {
	case len(all) > 0 && all[0].State == ReplayRunning && w.random.IntN(2) == 0:
		if _, err := w.replays.Stop(w.t.Context(), all[0].ID); err != nil {
			w.t.Error(err)
		}
		w.note("stop replay %s", all[0].ID)
	case len(all) > 0 && (all[0].State == ReplayStopped || all[0].State == ReplayFailed):
		if _, err := w.replays.Resume(all[0].ID); err != nil {
			w.t.Error(err)
		}
		w.note("resume replay %s", all[0].ID)
	default:
		r, err := w.replays.Start(ReplayRequest{Rate: float64(w.random.IntN(3))})
		if err != nil && !errors.Is(err, ErrReplayRuns) {
			w.t.Error(err)
		}
		w.note("start replay %s %v", r.ID, err)
	}
}

// finishReplays ends all faults and carries the last replay to its end.
func (w *world) finishReplays() (done int) {
	w.setHung(false)
	w.thaw()
	w.broker.setReady(true)
	all := w.replays.List()
	if len(all) > 0 && all[0].State != ReplayDone {
		if _, err := w.replays.Resume(all[0].ID); err != nil {
			w.t.Error(err)
		}
		if r := awaitReplay(w.t, w.replays, all[0].ID); r.State != ReplayDone || r.Published < r.Webhooks && !w.hasLost() {
			w.t.Errorf("%+v", r)
		}
	}
	w.replays.Close()
	for _, r := range w.replays.List() {
		if r.State == ReplayDone {
			done++
		}
	}
	return done
}

// hasLost tells whether the stream lost data: replays are not healed, and what is
// healed meanwhile is not replayed.
func (w *world) hasLost() bool {
	return slices.ContainsFunc(w.history, func(line string) bool { return strings.Contains(line, " stream ") })
}

func (w *world) checkReplays() {
	for _, r := range w.replays.List() {
		found := int64(0)
		for i, accepted := range w.events {
			first := map[string]bool{}
			n := 0 // of the incident's events, up to which the replay's are seen
			for _, data := range w.broker.replayed(r.ID, fmt.Sprint(i)) {
				if first[data] {
					continue
				}
				first[data] = true
				found++
				for n < accepted && data != string(body(fmt.Sprint(i), n)) {
					n++
				}
				if n == accepted {
					w.t.Errorf("replay %s: out of order: %s", r.ID, data)
				}
			}
		}
		if r.State == ReplayDone && found != r.Published && !w.hasLost() {
			w.t.Errorf("%d different webhooks found of %+v", found, r)
		}
	}
	if w.t.Failed() {
		for _, line := range w.history {
			w.t.Log(line)
		}
	}
}

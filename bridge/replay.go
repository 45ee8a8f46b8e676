package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// What a caller of Replays decides on.
var (
	// ErrBadReplay: the request cannot be carried out as it is.
	ErrBadReplay = errors.New("cannot replay that")
	// ErrReplayRuns: another replay runs, and one runs at a time.
	ErrReplayRuns = errors.New("another replay is running")
	// ErrNoReplay: no replay of that id is known.
	ErrNoReplay = errors.New("no such replay")
	// ErrReplayDone: it has come to its end, nothing is left to resume.
	ErrReplayDone = errors.New("the replay is done")
)

// Replay is a replay and how far it has come. Its JSON form is part of the operator's
// API.
type Replay struct {
	ID      string        `json:"id"`
	State   ReplayState   `json:"state"`
	Request ReplayRequest `json:"request"`
	Started time.Time     `json:"started"`
	Ended   time.Time     `json:"ended,omitzero"` // while it is not running

	Webhooks   int64  `json:"webhooks"`           // to be published; still being counted while Counting
	Counting   bool   `json:"counting,omitempty"` // nothing has been published yet
	Published  int64  `json:"published"`          // acknowledged by JetStream
	TooLarge   int64  `json:"too_large"`          // left out: over NATS's limit
	Unreadable int64  `json:"unreadable"`         // left out: damaged on disk, or evicted just then
	Position   uint64 `json:"position"`           // in the spool: up to here all is done
	Error      string `json:"error,omitempty"`    // why it ended before its end; what it waits for while running
}

// ReplayState is what a replay does.
type ReplayState string

// The states of a replay. One that is stopped or has failed can be resumed.
const (
	ReplayRunning ReplayState = "running"
	ReplayStopped ReplayState = "stopped"
	ReplayDone    ReplayState = "done"
	ReplayFailed  ReplayState = "failed"
)

// Replays publishes webhooks of the history again, one replay at a time, beside the
// relay and apart from it: a replayed message has an id of its own, so that neither
// receipts nor healing know it, as if another publisher had sent it. The webhooks of a
// replay keep their order within an incident; those that were pending when it began
// are not in it, for they come anyway, nor is what is in quarantine.
//
// How far a replay has come is kept on disk. What was under way when the process was
// killed is sent again under the same id: at least once, and once within JetStream's
// duplicate window. A replay is not healed.
type Replays struct {
	bridge  *Bridge
	aliases atomic.Pointer[map[string]string] // services' unique_ids to what stands in their subjects

	mu      sync.Mutex
	kept    []*keptReplay // oldest first
	running *replaying    // nil while none is
	closed  bool
}

// NewReplays reads what is kept of earlier replays. One that was running when the last
// process ended is stopped. aliases are as publisher.Options.Services. Close must be
// called before the spool and the publisher are closed.
func NewReplays(b *Bridge, aliases map[string]string) (*Replays, error) {
	kept, err := loadReplays(b.spool)
	if err != nil {
		return nil, fmt.Errorf("replays: %w", err)
	}
	for _, k := range kept {
		if k.State == ReplayRunning {
			k.State, k.Error = ReplayStopped, "the bridge ended while it ran"
		}
	}
	s := &Replays{bridge: b, kept: kept}
	s.SetServices(aliases)
	return s, nil
}

// SetServices puts others in the place of the aliases, for replays that begin from then
// on. They are kept.
func (s *Replays) SetServices(aliases map[string]string) { s.aliases.Store(&aliases) }

// Start begins a replay and returns at once. Nothing is published before it is noted on
// disk that it begins.
func (s *Replays) Start(request ReplayRequest) (Replay, error) {
	if err := request.check(); err != nil {
		return Replay{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.free(); err != nil {
		return Replay{}, err
	}
	k := &keptReplay{Replay: Replay{ID: newReplayID(), Request: request, Started: time.Now(), Counting: true}, slot: s.freeSlot()}
	s.kept = append(s.kept, k)
	return s.begin(k), nil
}

// freeSlot makes one free if none is: the oldest replay that is done is forgotten, and
// one that could be resumed only where none is done. mu is held, and none runs.
func (s *Replays) freeSlot() int {
	if len(s.kept) < maxKeptReplays {
		return len(s.kept)
	}
	i := max(0, slices.IndexFunc(s.kept, func(k *keptReplay) bool { return k.State == ReplayDone }))
	forgotten := s.kept[i]
	if forgotten.State != ReplayDone {
		s.bridge.opts.Logger.Warn("a replay that could be resumed is forgotten: so many are kept, and none of them was done",
			"replay", forgotten.ID, "state", forgotten.State, "published", forgotten.Published, "webhooks", forgotten.Webhooks, "kept", maxKeptReplays)
	}
	s.kept = slices.Delete(s.kept, i, i+1)
	return forgotten.slot
}

// Resume goes on with a replay that is not done.
func (s *Replays) Resume(id string) (Replay, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.find(id)
	switch {
	case err != nil:
		return Replay{}, err
	case k.State == ReplayRunning:
		return k.Replay, nil
	case k.State == ReplayDone:
		return Replay{}, fmt.Errorf("%s: %w", id, ErrReplayDone)
	}
	if err := s.free(); err != nil {
		return Replay{}, err
	}
	return s.begin(k), nil
}

// free is nil while a replay may begin. mu is held.
func (s *Replays) free() error {
	switch {
	case s.closed:
		return spool.ErrClosed
	case s.running != nil:
		return fmt.Errorf("%w: %s (stop it first: zenduty-bridge replay --stop %s)", ErrReplayRuns, s.running.kept.ID, s.running.kept.ID)
	}
	return nil
}

// begin starts the goroutine that carries k out, which ends by itself or by cancel. mu
// is held, under which nothing is written: a disk that hangs holds up the replay, and
// nobody who looks at it.
func (s *Replays) begin(k *keptReplay) Replay {
	k.State, k.Ended, k.Error = ReplayRunning, time.Time{}, ""
	ctx, cancel := context.WithCancelCause(context.Background())
	r := newReplaying(s, k, cancel)
	s.running = r
	s.bridge.opts.Logger.Info("replay begins", "replay", k.ID, "published", k.Published)
	now := k.Replay
	go func() {
		defer close(r.ended)
		r.finish(r.run(ctx))
	}()
	return now
}

// Stop ends a replay and returns when what it had under way has an outcome, which takes
// replayGrace at most, and the disk has the note of how far it came. One that is not
// running stays as it is.
func (s *Replays) Stop(ctx context.Context, id string) (Replay, error) {
	s.mu.Lock()
	k, err := s.find(id)
	running := s.running
	s.mu.Unlock()
	if err != nil {
		return Replay{}, err
	}
	if running != nil && running.kept == k {
		running.cancel(errReplayStopped)
		select {
		case <-running.ended:
		case <-ctx.Done():
			return Replay{}, fmt.Errorf("the replay stops as soon as the disk takes the note of how far it is (zenduty-bridge replay --list tells): %w", context.Cause(ctx))
		}
	}
	return s.Get(id)
}

// Get returns the replay with an id.
func (s *Replays) Get(id string) (Replay, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.find(id)
	if err != nil {
		return Replay{}, err
	}
	return k.Replay, nil
}

// List returns the replays that are known, the newest first.
func (s *Replays) List() []Replay {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Replay, 0, len(s.kept))
	for _, k := range slices.Backward(s.kept) {
		list = append(list, k.Replay)
	}
	return list
}

// find: mu is held.
func (s *Replays) find(id string) (*keptReplay, error) {
	for _, k := range s.kept {
		if k.ID == id {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%w: %s (%d are kept, see zenduty-bridge replay --list)", ErrNoReplay, id, maxKeptReplays)
}

// Close stops the replay that runs, so that the next process can resume it, and takes
// no other. It may be called again.
func (s *Replays) Close() {
	s.mu.Lock()
	s.closed = true
	running := s.running
	s.mu.Unlock()
	if running != nil {
		running.cancel(errReplayCut)
		<-running.ended
	}
}

// newReplayID tells a replay from all others: 40 random bits.
func newReplayID() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // it does not fail (crypto/rand)
	return idEncoding.EncodeToString(b[:])
}

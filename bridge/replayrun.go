package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

const (
	// replayWindow is how many publishes of a replay may be unacknowledged at once:
	// few beside the relay's, which has the way.
	replayWindow = 128
	// replayGrace is how long outcomes are awaited of a replay that ends.
	replayGrace = time.Second
	// replaySaveEvery is the least time between two notes on disk of how far it is.
	replaySaveEvery = time.Second
	// replayLook is how often a replay looks whether NATS is there again.
	replayLook = 250 * time.Millisecond

	// noStreamAtFirst and noStreamLater are for how long no stream may take what a
	// replay sends below a prefix, before anything was taken and after: a stream whose
	// leader is gone comes back, one that was never there does not. The bridge's own
	// stream was there, and is waited for as the relay waits.
	noStreamAtFirst = 2 * time.Second
	noStreamLater   = 30 * time.Second
)

// Why a replay ends before its end.
var (
	errReplayStopped = errors.New("stopped")
	errReplayCut     = errors.New("the bridge was stopped")
)

// replaying carries one replay out, from its start or where it is resumed until it
// ends. It is its goroutine's, as is kept, which it changes under Replays.mu for those
// who look at it.
type replaying struct {
	*Replays
	kept   *keptReplay
	cancel context.CancelCauseFunc
	ended  chan struct{} // closed when finish has returned

	choice   *choice
	limit    *rate.Limiter
	lanes    *lanes // of the group in hand
	inFlight int
	outcomes outcomes
	done     map[uint64]bool // of the group in hand
	noStream time.Time       // since when no stream takes it; zero while one does
	saved    time.Time
	unsaved  bool
}

func newReplaying(s *Replays, k *keptReplay, cancel context.CancelCauseFunc) *replaying {
	r := &replaying{
		Replays: s, kept: k, cancel: cancel, ended: make(chan struct{}), saved: time.Now(),
		choice:   newChoice(k.Request.ReplayFilter, k.Started, *s.aliases.Load()),
		limit:    rate.NewLimiter(rate.Inf, 1),
		outcomes: outcomes{wake: make(chan struct{}, 1)}, done: map[uint64]bool{},
	}
	if perSecond := k.Request.Rate; perSecond > 0 { // in bursts of what is due within 10 ms
		r.limit = rate.NewLimiter(rate.Limit(perSecond), max(1, int(min(perSecond/100, replayWindow))))
	}
	for _, seq := range k.Done {
		r.done[seq] = true
	}
	return r
}

// update changes what is known of the replay.
func (r *replaying) update(change func(*keptReplay)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r.kept)
	r.unsaved = true
}

// run returns nil when all is published, else why not.
func (r *replaying) run(ctx context.Context) error {
	if err := r.save(); err != nil {
		return err
	}
	if err := r.count(ctx); err != nil {
		return err
	}
	from := r.kept.Position + 1
	for more := true; more; {
		group := make([]spool.Ref, 0, replayWindow)
		var err error
		from, more, err = r.bridge.choose(ctx, r.choice, from, false, func(ref spool.Ref, _ *envelope) bool {
			group = append(group, ref)
			return len(group) < replayWindow
		})
		if err != nil {
			return err
		}
		if err := r.publish(ctx, group); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		clear(r.done)
		r.update(func(k *keptReplay) { k.Position, k.Done = from-1, nil })
	}
	return nil
}

// count finds out how many webhooks there are to publish, unless that is known.
func (r *replaying) count(ctx context.Context) error {
	if !r.kept.Counting {
		return nil
	}
	total := int64(0)
	for from, more := uint64(0), true; more; {
		var err error
		from, more, err = r.bridge.choose(ctx, r.choice, from, false, func(spool.Ref, *envelope) bool { total++; return true })
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.update(func(k *keptReplay) { k.Webhooks = total })
	}
	r.update(func(k *keptReplay) { k.Counting = false })
	return nil
}

// publish returns when each of the group has its outcome, or with the reason why it
// gives up.
func (r *replaying) publish(ctx context.Context, group []spool.Ref) error {
	r.lanes = newLanes()
	for _, ref := range group {
		if !r.done[ref.Seq] {
			r.lanes.add(ref)
		}
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for r.lanes.records > 0 {
		r.lanes.wake(time.Now())
		if err := r.send(); err != nil {
			return r.leave(err)
		}
		r.noteConnection()
		timer.Reset(r.wait())
		select {
		case <-ctx.Done():
			return r.leave(context.Cause(ctx))
		case <-r.outcomes.wake:
		case <-timer.C:
		}
		if err := r.settle(); err != nil {
			return r.leave(err)
		}
		if err := r.saveIfDue(); err != nil {
			return err
		}
	}
	return r.saveIfDue()
}

// leave lets what is under way come to its outcome, for a moment, and returns cause.
// What has none by then is sent again when the replay is resumed.
func (r *replaying) leave(cause error) error {
	enough := time.After(replayGrace)
	for r.inFlight > 0 {
		select {
		case <-r.outcomes.wake:
			_ = r.settle() // there is a cause to leave already
		case <-enough:
			return cause
		}
	}
	return cause
}

func (r *replaying) wait() time.Duration {
	if !r.bridge.publisher.Ready() {
		return replayLook
	}
	if len(r.lanes.ready) > 0 { // the rate holds them back
		return time.Duration(max(0, 1-r.limit.Tokens()) / float64(r.limit.Limit()) * float64(time.Second))
	}
	due, ok := r.lanes.nextDue()
	if !ok {
		return time.Hour // until an outcome comes
	}
	return max(time.Until(due), 0)
}

// noteConnection tells of a connection that is missing, for as long as it is: nothing is
// sent then, and so no outcome says why.
func (r *replaying) noteConnection() {
	told := r.kept.Error == noConnection
	switch ready := r.bridge.publisher.Ready(); {
	case !ready && !told:
		r.update(func(k *keptReplay) { k.Error = noConnection })
	case ready && told:
		r.update(func(k *keptReplay) { k.Error = "" })
	}
}

// send publishes the heads of the lanes that are ready, as many as the rate allows.
func (r *replaying) send() error {
	for r.bridge.publisher.Ready() {
		l := r.lanes.take()
		if l == nil {
			return nil
		}
		if !r.limit.Allow() {
			r.lanes.putBack(l)
			return nil
		}
		if err := r.sendHead(l); err != nil {
			return err
		}
	}
	return nil
}

func (r *replaying) sendHead(l *lane) error {
	record, err := r.bridge.spool.Read(l.head().Seq)
	message, err := newMessage(l.head(), record, err)
	if errors.Is(err, errUnreadable) {
		r.finished(l, func(k *keptReplay) { k.Unreadable++ })
		return nil
	}
	if err != nil {
		return err
	}
	message.Replay, message.SubjectPrefix = r.kept.ID, r.kept.Request.SubjectPrefix
	l.attempts++
	r.inFlight++
	r.bridge.publisher.Publish(message, func(ack publisher.Ack, err *publisher.Error) {
		r.outcomes.put(outcome{lane: l, ack: ack, err: err})
	})
	return nil
}

// settle notes outcomes and lets their lanes go on. Its error ends the replay.
func (r *replaying) settle() error {
	var failure error
	for _, o := range r.outcomes.take() {
		r.inFlight--
		switch {
		case o.err == nil:
			r.noStream = time.Time{}
			r.finished(o.lane, func(k *keptReplay) { k.Published, k.Error = k.Published+1, "" })
		case o.err.Reason == publisher.ReasonTooLarge:
			r.finished(o.lane, func(k *keptReplay) { k.TooLarge++ })
		case o.err.Permanent:
			failure = fmt.Errorf("webhook %s: %w", idText(o.lane.head().ID), o.err)
		default:
			failure = errors.Join(failure, r.failed(o))
		}
	}
	return failure
}

// finished is done with the head of a lane that was taken.
func (r *replaying) finished(l *lane, count func(*keptReplay)) {
	seq := l.head().Seq
	r.done[seq] = true
	r.update(func(k *keptReplay) {
		count(k)
		k.Done = append(k.Done, seq)
	})
	r.lanes.advance(l)
}

// failed is for what may pass: it is sent again, under the same id.
func (r *replaying) failed(o outcome) error {
	now := time.Now()
	r.lanes.postpone(o.lane, now.Add(r.bridge.backoff(o.lane.attempts)))
	waits := error(o.err)
	if o.err.Reason == publisher.ReasonNoStream {
		waits = errNoStream(r.kept.Request.SubjectPrefix)
	}
	r.update(func(k *keptReplay) { k.Error = waits.Error() })
	switch {
	case o.err.Reason != publisher.ReasonNoStream:
		r.noStream = time.Time{}
	case r.kept.Request.SubjectPrefix == "":
		r.bridge.lookAgain()
	case r.noStream.IsZero():
		r.noStream = now
	case now.Sub(r.noStream) >= r.patience():
		return waits
	}
	return nil
}

// patience is for how long no stream may take what is sent below a prefix.
func (r *replaying) patience() time.Duration {
	if r.kept.Published == 0 {
		return noStreamAtFirst
	}
	return noStreamLater
}

// lookAgain has the relay reconcile with the stream, which makes it if it is missing,
// unless it is busy.
func (b *Bridge) lookAgain() {
	select {
	case b.operations <- operation{done: make(chan error, 1), do: func(r *relay) error {
		r.reconciled = false
		return nil
	}}:
	default:
	}
}

// errNoStream says what can be done about it.
func errNoStream(prefix string) error {
	if prefix == "" {
		return errors.New("no stream takes the webhooks: JetStream is away, or the bridge may not make its stream, see its log")
	}
	return fmt.Errorf("no stream takes the webhooks: make one on the subjects %s.>, as in: nats stream add REPLAY --subjects '%s.>' --defaults", prefix, prefix)
}

// saveIfDue notes on disk how far it is, if it got further and has not done so lately.
func (r *replaying) saveIfDue() error {
	if !r.unsaved || time.Since(r.saved) < replaySaveEvery {
		return nil
	}
	return r.save()
}

func (r *replaying) save() error {
	r.saved, r.unsaved = time.Now(), false
	return r.kept.save(r.bridge.spool)
}

// finish notes how run ended, on disk first, and lets another replay begin.
func (r *replaying) finish(cause error) {
	r.cancel(nil)
	ended := *r.kept
	ended.State, ended.Ended, ended.Error = ReplayDone, time.Now(), ""
	switch {
	case cause == nil:
	case errors.Is(cause, errReplayStopped):
		ended.State = ReplayStopped
	case errors.Is(cause, errReplayCut):
		ended.State, ended.Error = ReplayStopped, cause.Error()
	default:
		ended.State, ended.Error = ReplayFailed, cause.Error()
	}
	log := r.bridge.opts.Logger
	if err := ended.save(r.bridge.spool); err != nil {
		log.Error("how far the replay came could not be kept", "replay", ended.ID, "error", err)
	}
	log.Info("replay ends", "replay", ended.ID, "state", ended.State, "published", ended.Published, "webhooks", ended.Webhooks, "error", ended.Error)
	r.update(func(k *keptReplay) { *k, r.running = ended, nil })
}

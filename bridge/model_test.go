package bridge

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// The model: a world in which everything of the promise's "whatever" happens, in
// random order and fake time, to the real relay and the real spool. However it
// went, in the end the stream has every accepted webhook once, in order within
// its incident.
func TestModel(t *testing.T) {
	seeds := uint64(2000)
	if testing.Short() {
		seeds = 200
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed)
			for range 40 {
				w.step()
			}
			w.settleDown()
			w.check()
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

const (
	modelIncidents = 5
	modelWindow    = 2 * time.Minute
	mostDelay      = 20 * time.Second // of a message on its way to a broker that is hung
)

// world is a bridge, its disk and its broker.
type world struct {
	t        *testing.T
	random   *rand.Rand // of the steps
	fates    *rand.Rand // of the messages, under the broker's lock
	fs       *vfs.MemFS
	spool    *spool.Spool
	bridge   *Bridge
	broker   *broker
	hung     bool      // the broker does not answer in time
	isFrozen bool      // the broker does not answer at all
	shaky    time.Time // until then looks into the stream fail now and then
	kill     context.CancelFunc
	ended    chan error
	events   [modelIncidents]int // accepted so far
	replays  *Replays            // nil: there are none in this world
	history  []string            // what happened, for the one who reads a failure
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 7)), fates: rand.New(rand.NewPCG(seed, 8)), fs: vfs.NewCrashableMem(), broker: newBroker()}
	w.broker.window = modelWindow
	w.broker.decide, w.broker.look = w.decide, w.look
	w.start()
	return w
}

// decide is called under the broker's lock.
func (w *world) decide(*publisher.Message, int) fate {
	some := func(d time.Duration) time.Duration { return time.Duration(w.fates.Int64N(int64(d))) }
	chance := w.fates.IntN(100)
	switch {
	case w.hung && chance < 50:
		return fate{stored: true, arrives: some(mostDelay), err: transient, told: 5 * time.Second}
	case w.hung:
		return fate{err: transient, told: 5 * time.Second}
	case chance < 10:
		return fate{err: full, told: some(time.Second)}
	case chance < 20:
		return fate{stored: true, arrives: some(time.Second), err: transient, told: 5 * time.Second}
	}
	return fate{stored: true, arrives: some(time.Second), told: some(2 * time.Second)}
}

// look is called under the broker's lock, too.
func (w *world) look() error {
	if (w.hung || time.Now().Before(w.shaky)) && w.fates.IntN(3) == 0 {
		return errors.New("no answer")
	}
	return nil
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.random.Int64N(int64(d))) }

func (w *world) start() {
	s, err := spool.Open("spool", spool.Options{FS: w.fs, Logger: quiet, BallastBytes: -1, Retention: 1000 * time.Hour, SweepEvery: time.Hour})
	if err != nil {
		w.t.Fatal(err)
	}
	w.spool, w.bridge = s, New(s, w.broker, Options{Window: 3, Logger: quiet})
	ctx, kill := context.WithCancel(context.Background())
	w.kill, w.ended = kill, make(chan error, 1)
	go func(b *Bridge, ended chan<- error) { ended <- b.Run(ctx, nil) }(w.bridge, w.ended)
	if w.replays != nil {
		w.startReplays()
	}
}

// stop ends the relay as a kill does: what is in flight has no outcome.
func (w *world) stop() {
	w.kill()
	if err := <-w.ended; err != nil {
		w.t.Error(err)
	}
}

func (w *world) note(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf("%v ", time.Since(epoch))+fmt.Sprintf(format, args...))
}

// epoch is when every synctest bubble begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *world) step() {
	if w.random.IntN(2) == 0 {
		synctest.Wait() // the relay has done all it can; else it is in the midst of it
	}
	switch chance := w.random.IntN(100); {
	case w.replays != nil && w.random.IntN(6) == 0:
		w.replay()
	case chance < 45:
		w.accept()
	case chance < 60:
		w.pass(w.upTo(10 * time.Second))
	case chance < 65:
		w.pass(modelWindow + w.upTo(modelWindow)) // the stream forgets its ids
	case chance < 72:
		w.broker.setReady(false)
		w.note("disconnect")
	case chance < 82:
		w.broker.setReady(true)
		w.note("connect")
	case chance < 85:
		w.setHung(!w.hung)
	case chance < 88 && w.isFrozen:
		w.thaw()
	case chance < 88:
		w.freeze()
	case chance < 92:
		w.crash(100)
	case chance < 96:
		w.crash(w.random.IntN(100)) // with the power cut
	case chance < 98:
		w.loseQuietly()
	default:
		w.loseData()
	}
}

func (w *world) accept() {
	incident := w.random.IntN(modelIncidents)
	data := body(fmt.Sprint(incident), w.events[incident])
	accept(w.t, w.bridge, data)
	w.note("accept %d of %d", w.events[incident], incident)
	w.events[incident]++
	if w.random.IntN(10) == 0 { // the sender saw no answer, and posts it again
		if r := accept(w.t, w.bridge, data); r.Status != Duplicate {
			w.t.Errorf("posted again: %+v", r)
		}
	}
}

func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	w.note("%v passed", d)
}

func (w *world) setHung(hung bool) {
	w.broker.mu.Lock()
	defer w.broker.mu.Unlock()
	w.hung = hung
	w.note("hung %v", hung)
}

// freeze stops the broker for any time, also between storing a message and telling
// so. That is promised for one that has caught up with what is on its way: should
// two attempts at a message be under way, from before and after a look into the
// stream, and the broker stop for longer than the window just between them, then
// nothing tells it that they are the same.
func (w *world) freeze() {
	w.setHung(false)
	w.pass(mostDelay)
	w.accept()
	w.accept()
	w.pass(w.upTo(3 * time.Second))
	w.broker.setFrozen(true)
	w.isFrozen = true
	w.note("frozen")
}

func (w *world) thaw() {
	w.broker.setFrozen(false)
	w.isFrozen = false
	w.note("thawed")
}

// crash ends the process and starts another on what the disk has: all that was
// written, or only a part of what was not synced.
func (w *world) crash(unsyncedPercent int) {
	w.stop()
	after := w.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsyncedPercent, RNG: rand.New(rand.NewPCG(w.random.Uint64(), 1))})
	if w.replays != nil {
		w.replays.Close() // what it does from here on is not on the disk that is left
	}
	if err := w.spool.Close(); err != nil {
		w.t.Error(err)
	}
	w.fs = after
	w.note("crash, %d %% of what was not synced is there", unsyncedPercent)
	w.start()
}

// loseData is the broker coming back without what it had acknowledged.
func (w *world) loseData() {
	w.thaw()
	w.broker.setReady(false)
	time.Sleep(time.Minute) // the connection is gone: what was under way has come or not
	w.exchange()
	w.broker.setReady(true)
}

// loseQuietly is the same on a connection that stands, while there is nothing to send.
// It is found out within a minute, and until then no webhook comes: the order of one
// that does is not promised.
func (w *world) loseQuietly() {
	w.setHung(false)
	w.pass(mostDelay)
	synctest.Wait()
	if w.isFrozen || w.spool.Stats().Pending.Records > 0 {
		return
	}
	w.exchange()
	w.pass(2*watchEvery + time.Second)
}

// exchange puts another stream, or a copy of an older one, in the place of the stream.
func (w *world) exchange() {
	if w.random.IntN(2) == 0 {
		w.broker.recreate()
		w.note("stream lost")
	} else {
		n := w.random.IntN(6)
		w.broker.rollBack(n)
		w.note("stream rolled back by %d", n)
	}
	others := w.random.IntN(8)
	w.broker.publishOthers(others)
	w.note("somebody else published %d", others)
	w.broker.mu.Lock()
	defer w.broker.mu.Unlock()
	w.shaky = time.Now().Add(w.upTo(20 * time.Second))
}

// settleDown ends all faults and waits until everything is delivered.
func (w *world) settleDown() {
	w.setHung(false)
	w.thaw()
	w.broker.setReady(true)
	time.Sleep(time.Minute) // looks that failed are made again
	for range 1000 {
		time.Sleep(time.Second)
		if w.spool.Stats().Pending.Records == 0 {
			break
		}
	}
	w.stop()
	w.broker.calls.Wait()
	if stats := w.spool.Stats(); stats.Pending.Records > 0 || stats.Quarantined.Records > 0 {
		w.t.Errorf("not settled: %+v", stats)
	}
	if err := w.spool.Close(); err != nil {
		w.t.Error(err)
	}
}

func (w *world) check() {
	for i, accepted := range w.events {
		name := fmt.Sprint(i)
		got := w.broker.published(name)
		fault := len(got) != accepted
		for n := 0; n < min(len(got), accepted); n++ {
			fault = fault || got[n] != string(body(name, n))
		}
		if fault {
			w.t.Errorf("incident %s: accepted %d, the stream has %d: %q", name, accepted, len(got), got)
		}
	}
	if w.t.Failed() {
		for _, line := range w.history {
			w.t.Log(line)
		}
	}
}

package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// webhook is the n-th of an incident.
func webhook(event, service, incident string, n int) []byte {
	return fmt.Appendf(nil, `{"payload":{"event_type":%q,"incident":{"unique_id":%q,"incident_number":%d,"service":{"unique_id":%q}}}}`, event, incident, n, service)
}

// history accepts and delivers some events of each of some incidents.
func history(t *testing.T, b *Bridge, incidents, events int) {
	t.Helper()
	for n := range events {
		for i := range incidents {
			accept(t, b, body(fmt.Sprintf("inc%d", i), n))
		}
	}
	runUntilDrained(t, b)
}

func replaysOf(t *testing.T, b *Bridge) *Replays {
	t.Helper()
	s, err := NewReplays(b, map[string]string{"svc-1": "checkout"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// replaysAfter are those of a bridge with so much history, and what it publishes to.
func replaysAfter(t *testing.T, incidents, events int) (*broker, *Replays) {
	t.Helper()
	s := openSpool(t, vfs.NewMem())
	t.Cleanup(func() { _ = s.Close() })
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	history(t, b, incidents, events)
	return fake, replaysOf(t, b)
}

func startReplay(t *testing.T, s *Replays, request ReplayRequest) string {
	t.Helper()
	r, err := s.Start(request)
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

// awaitReplay waits until the replay is no longer running.
func awaitReplay(t *testing.T, s *Replays, id string) Replay {
	t.Helper()
	return awaitReplayUntil(t, s, id, func(r Replay) bool { return r.State != ReplayRunning })
}

func awaitReplayUntil(t *testing.T, s *Replays, id string, met func(Replay) bool) Replay {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		r, err := s.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if met(r) {
			return r
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited 2 minutes: %+v", r)
		}
	}
}

// replayed is what the stream holds of one incident from a replay.
func (b *broker) replayed(id, incident string) (got []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.stream {
		if m.Replay == id && m.Incident == incident {
			got = append(got, string(m.Data))
		}
	}
	return got
}

// checkReplayed: each event of each incident once, in order.
func checkReplayed(t *testing.T, fake *broker, id string, incidents, events int) {
	t.Helper()
	for i := range incidents {
		name := fmt.Sprintf("inc%d", i)
		var want []string
		for n := range events {
			want = append(want, string(body(name, n)))
		}
		if diff := cmp.Diff(want, fake.replayed(id, name)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if len(fake.overlaps) > 0 {
		t.Errorf("two publishes in flight at once for %v", fake.overlaps)
	}
}

// receipts is the spool's history, byte by byte.
func receipts(t *testing.T, s *spool.Spool) (all []string) {
	t.Helper()
	err := s.Retained(0, func(r spool.Settled) bool {
		all = append(all, fmt.Sprintf("%d %x %v %x", r.Seq, r.ID, r.At, r.Note))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever happens on the way, all of the history comes once more, in order, and
// nothing else changes. What is pending or in quarantine is not in it.
func TestReplayUnderFaults(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := openSpool(t, vfs.NewMem())
			defer s.Close()
			fake, random := newBroker(), rand.New(rand.NewPCG(seed, 0))
			b := New(s, fake, Options{BackoffMin: time.Microsecond, BackoffMax: time.Millisecond, Logger: quiet})
			const incidents, events = 20, 30
			accept(t, b, []byte("unkeyable"))
			history(t, b, incidents, events)
			accept(t, b, body("pending", 0))
			before, stats := receipts(t, s), s.Stats()

			fake.most = 0
			fake.decide = func(*publisher.Message, int) fate {
				after := time.Duration(random.IntN(300)) * time.Microsecond
				switch random.IntN(5) {
				case 0:
					return fate{err: transient, told: after} // never arrived
				case 1:
					return fate{stored: true, arrives: after, err: transient} // but the answer was lost
				case 2:
					return fate{err: full, told: after}
				}
				return fate{stored: true, arrives: after}
			}
			replays := replaysOf(t, b)
			id := startReplay(t, replays, ReplayRequest{})
			got := awaitReplay(t, replays, id)
			if got.State != ReplayDone || got.Webhooks != incidents*events || got.Published != got.Webhooks || got.Error != "" || got.Ended.IsZero() {
				t.Errorf("%+v", got)
			}
			checkReplayed(t, fake, id, incidents, events)
			if len(fake.replayed(id, "")) > 0 || len(fake.replayed(id, "pending")) > 0 {
				t.Error("what is in quarantine or pending was replayed")
			}
			if fake.most > replayWindow {
				t.Errorf("%d in flight", fake.most)
			}
			if diff := cmp.Diff(before, receipts(t, s)); diff != "" || s.Stats() != stats {
				t.Errorf("the spool was changed: %s", diff)
			}
		})
	}
}

// A replay is to the relay what another publisher is: it goes on in order beside it,
// and when the stream is rolled back just what is missing is healed.
func TestReplayBesideTheRelay(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	history(t, b, 10, 20)
	ctx, cancel := context.WithCancel(t.Context())
	drain, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- b.Run(ctx, drain) }()
	replays := replaysOf(t, b)
	id := startReplay(t, replays, ReplayRequest{})
	for n := range 50 {
		accept(t, b, body("live", n))
	}
	if got := awaitReplay(t, replays, id); got.State != ReplayDone || got.Published != 200 {
		t.Errorf("%+v", got)
	}
	close(drain)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	cancel()
	checkReplayed(t, fake, id, 10, 20)
	if got := fake.published("live"); len(got) != 50 || got[0] != string(body("live", 0)) || got[49] != string(body("live", 49)) {
		t.Errorf("live: %q", got)
	}

	id = startReplay(t, replays, ReplayRequest{ReplayFilter: ReplayFilter{Incidents: []string{"live"}}})
	awaitReplay(t, replays, id)
	fake.rollBack(55) // that replay, and five more
	fake.lookups = 0
	accept(t, b, body("live", 50))
	runUntilDrained(t, b)
	if fake.lookups == 0 {
		t.Error("nothing was healed: the scenario shows nothing")
	}
	seen := map[string]int{}
	for _, m := range fake.stream {
		seen[m.MessageID()]++
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
	if got := len(fake.published("live")); got != 51 {
		t.Errorf("%d live webhooks in the stream", got)
	}
}

// Stopped in the middle, resumed by the next process: nothing is missing and nothing
// came twice, also where JetStream forgets message ids at once.
func TestReplayStoppedAndResumed(t *testing.T) {
	fs := vfs.NewMem()
	s := openSpool(t, fs)
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	history(t, b, 7, 100)
	fake.window = 0
	replays := replaysOf(t, b)
	id := startReplay(t, replays, ReplayRequest{Rate: 700})
	awaitReplayUntil(t, replays, id, func(r Replay) bool { return r.Published >= 30 })
	stopped, err := replays.Stop(t.Context(), id)
	if err != nil || stopped.State != ReplayStopped || stopped.Published >= 700 || stopped.Error != "" {
		t.Fatalf("%+v, %v", stopped, err)
	}
	if again, err := replays.Stop(t.Context(), id); err != nil || again.Published != stopped.Published || !again.Ended.Equal(stopped.Ended) {
		t.Errorf("stopped again: %+v, %v", again, err)
	}
	if _, err := replays.Resume(id); err != nil {
		t.Fatal(err)
	}
	awaitReplayUntil(t, replays, id, func(r Replay) bool { return r.Published >= stopped.Published+200 })
	replays.Close()
	if cut, err := replays.Get(id); err != nil || cut.State != ReplayStopped || cut.Error != errReplayCut.Error() {
		t.Errorf("closed: %+v, %v", cut, err)
	}
	if _, err := replays.Resume(id); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("resumed after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openSpool(t, fs)
	defer s.Close()
	b = New(s, fake, Options{Logger: quiet})
	history(t, b, 1, 101) // one more, which is none of the replay's
	replays = replaysOf(t, b)
	if _, err := replays.Resume(id); err != nil {
		t.Fatal(err)
	}
	if got := awaitReplay(t, replays, id); got.State != ReplayDone || got.Published != 700 || got.Webhooks != 700 {
		t.Errorf("%+v", got)
	}
	checkReplayed(t, fake, id, 7, 100)
	if _, err := replays.Resume(id); !errors.Is(err, ErrReplayDone) {
		t.Errorf("resumed when done: %v", err)
	}
}

// Killed in the middle: what had been sent since the last note comes again under the
// same id, and JetStream drops it.
func TestReplayKilledAndResumed(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := openSpool(t, fs)
	defer s.Close()
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	history(t, b, 7, 100)
	replays := replaysOf(t, b)
	id := startReplay(t, replays, ReplayRequest{Rate: 300})
	awaitReplayUntil(t, replays, id, func(r Replay) bool { return r.Published >= 400 })
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	replays.Close()

	s = openSpool(t, crashed)
	defer s.Close()
	replays = replaysOf(t, New(s, fake, Options{Logger: quiet}))
	killed, err := replays.Get(id)
	if err != nil || killed.State != ReplayStopped || killed.Published == 0 || killed.Published >= 700 || !strings.Contains(killed.Error, "ended while it ran") {
		t.Fatalf("%+v, %v", killed, err)
	}
	if _, err := replays.Resume(id); err != nil {
		t.Fatal(err)
	}
	if got := awaitReplay(t, replays, id); got.State != ReplayDone || got.Published != 700 {
		t.Errorf("%+v", got)
	}
	checkReplayed(t, fake, id, 7, 100)
}

// NATS hangs: a stop does not wait for it, and what is resumed waits for it.
func TestReplayStopsWhileNATSHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, replays := replaysAfter(t, 5, 5)
		fake.setFrozen(true)
		id := startReplay(t, replays, ReplayRequest{})
		time.Sleep(time.Second)
		began := time.Now()
		if r, err := replays.Stop(t.Context(), id); err != nil || r.State != ReplayStopped || r.Published != 0 || time.Since(began) > replayGrace {
			t.Errorf("after %v: %+v, %v", time.Since(began), r, err)
		}
		if _, err := replays.Resume(id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if r, err := replays.Get(id); err != nil || r.State != ReplayRunning || !strings.Contains(r.Error, "no answer") {
			t.Errorf("%+v, %v", r, err)
		}
		fake.setFrozen(false)
		if r := awaitReplay(t, replays, id); r.State != ReplayDone || r.Published != 25 || r.Error != "" {
			t.Errorf("%+v", r)
		}
		fake.calls.Wait()
		fake.overlaps = nil // what had no outcome when it was stopped was sent again, under the same id
		checkReplayed(t, fake, id, 5, 5)
	})
}

// While there is no connection a replay waits for it and says so, from the start and in
// the middle, as long as that lasts.
func TestReplayWithoutConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, replays := replaysAfter(t, 5, 5)
		expect := func(id string, published int64, waitsFor string) {
			t.Helper()
			time.Sleep(700 * time.Millisecond) // never just when something is due
			if r, err := replays.Get(id); err != nil || r.State != ReplayRunning || r.Published != published || r.Error != waitsFor {
				t.Errorf("%+v, %v, want %d published, waiting for %q", r, err, published, waitsFor)
			}
		}
		fake.setReady(false)
		id := startReplay(t, replays, ReplayRequest{Rate: 1})
		expect(id, 0, "there is no connection to NATS")
		fake.setReady(true)
		expect(id, 1, "")
		fake.setReady(false)
		expect(id, 1, "there is no connection to NATS")
		fake.setFrozen(true)
		fake.setReady(true)
		expect(id, 1, "") // that it waited for is there, though nothing comes of it yet
		fake.setFrozen(false)
		if r := awaitReplay(t, replays, id); r.State != ReplayDone || r.Published != 25 || r.Error != "" {
			t.Errorf("%+v", r)
		}
	})
}

// What NATS will never take for its size is left out and counted; any other final
// refusal ends the replay, which can be resumed when the cause is mended.
func TestReplayRefusedForGood(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	history(t, b, 1, 10)
	invalid := &publisher.Error{Reason: "invalid", Permanent: true, Err: errors.New("invalid subject")}
	fake.decide = func(m *publisher.Message, _ int) fate {
		switch string(m.Data) {
		case string(body("inc0", 3)):
			return fate{err: permanent}
		case string(body("inc0", 6)):
			return fate{err: invalid}
		}
		return fate{stored: true}
	}
	replays := replaysOf(t, b)
	id := startReplay(t, replays, ReplayRequest{})
	if got := awaitReplay(t, replays, id); got.State != ReplayFailed || got.Published != 5 || got.TooLarge != 1 || !strings.Contains(got.Error, "invalid subject") {
		t.Errorf("%+v", got)
	}
	fake.decide = newBroker().decide
	if _, err := replays.Resume(id); err != nil {
		t.Fatal(err)
	}
	if got := awaitReplay(t, replays, id); got.State != ReplayDone || got.Published != 9 || got.TooLarge != 1 || got.Error != "" {
		t.Errorf("%+v", got)
	}
	if got := fake.replayed(id, "inc0"); len(got) != 9 {
		t.Errorf("%q", got)
	}
}

// The bridge's own stream is waited for, however long it has no leader.
func TestReplayWithoutLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, replays := replaysAfter(t, 5, 5)
		elected := time.Now().Add(10 * time.Minute)
		fake.decide = func(*publisher.Message, int) fate {
			if time.Now().Before(elected) {
				return fate{err: &publisher.Error{Reason: publisher.ReasonNoStream, Err: errors.New("no response from stream")}}
			}
			return fate{stored: true}
		}
		id := startReplay(t, replays, ReplayRequest{})
		time.Sleep(9 * time.Minute)
		if r, err := replays.Get(id); err != nil || r.State != ReplayRunning || r.Published != 0 || !strings.Contains(r.Error, "no stream takes the webhooks: JetStream is away") {
			t.Errorf("%+v, %v", r, err)
		}
		if r := awaitReplay(t, replays, id); r.State != ReplayDone || r.Published != 25 || r.Error != "" {
			t.Errorf("%+v", r)
		}
		checkReplayed(t, fake, id, 5, 5)
	})
}

// Below a prefix a stream that is not there is an error soon, one that goes away later.
func TestReplayWithoutStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, vfs.NewMem())
		defer s.Close()
		fake := newBroker()
		b := New(s, fake, Options{Logger: quiet})
		history(t, b, 1, 300)
		noStream := &publisher.Error{Reason: publisher.ReasonNoStream, Err: errors.New("no response from stream")}
		replays := replaysOf(t, b)
		defer replays.Close()

		fake.decide = func(*publisher.Message, int) fate { return fate{err: noStream} }
		began := time.Now()
		id := startReplay(t, replays, ReplayRequest{SubjectPrefix: "again"})
		got := awaitReplay(t, replays, id)
		if took := time.Since(began); got.State != ReplayFailed || !strings.Contains(got.Error, "again.>") || took < noStreamAtFirst || took > 10*time.Second {
			t.Errorf("after %v: %+v", took, got)
		}

		fake.decide = func(m *publisher.Message, _ int) fate {
			if m.SubjectPrefix != "again" || time.Since(began) > 10*time.Second && time.Since(began) < 30*time.Second {
				return fate{err: noStream}
			}
			return fate{stored: true, arrives: 100 * time.Millisecond}
		}
		began = time.Now()
		if _, err := replays.Resume(id); err != nil {
			t.Fatal(err)
		}
		if got := awaitReplay(t, replays, id); got.State != ReplayDone || got.Published != 300 {
			t.Errorf("%+v", got)
		}
	})
}

// A replay of what the bridge's own stream had lost has the relay make it again.
func TestReplayHasTheRelayLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, vfs.NewMem())
		defer s.Close()
		fake := newBroker()
		b := New(s, fake, Options{Logger: quiet})
		history(t, b, 1, 5)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx, nil) }()
		synctest.Wait() // it has nothing to do
		fake.recreate()
		looked := fake.created
		fake.decide = func(m *publisher.Message, n int) fate {
			if m.Replay != "" && n == 1 {
				return fate{err: &publisher.Error{Reason: publisher.ReasonNoStream, Err: errors.New("no response from stream")}}
			}
			return fate{stored: true}
		}
		replays := replaysOf(t, b)
		defer replays.Close()
		id := startReplay(t, replays, ReplayRequest{})
		if got := awaitReplay(t, replays, id); got.State != ReplayDone || got.Published != 5 {
			t.Errorf("%+v", got)
		}
		synctest.Wait()
		if healed, replayed := len(fake.published("inc0")), len(fake.replayed(id, "inc0")); healed != 5 || replayed != 5 || fake.created != looked {
			t.Errorf("%d healed, %d replayed, want five of each", healed, replayed)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestReplayRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, replays := replaysAfter(t, 20, 10)
		began := time.Now()
		id := startReplay(t, replays, ReplayRequest{Rate: 10})
		time.Sleep(5*time.Second + 50*time.Millisecond)
		if got, err := replays.Get(id); err != nil || got.Published < 49 || got.Published > 52 {
			t.Errorf("after 5 s at 10/s: %+v, %v", got, err)
		}
		kept, err := loadReplays(replays.bridge.spool)
		if err != nil || len(kept) != 1 || kept[0].Published < 38 {
			t.Errorf("on disk: %+v, %v", kept, err)
		}
		awaitReplay(t, replays, id)
		if took := time.Since(began); took < 19*time.Second || took > 21*time.Second {
			t.Errorf("200 at 10/s took %v", took)
		}
	})
}

func TestReplayLeavesOutWhatCannotBeRead(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	b := New(s, newBroker(), Options{Logger: quiet})
	appended, err := s.Append(t.Context(), &spool.Record{ID: spool.ID{1}, Header: []byte("not an envelope"), Body: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ack([]spool.Settlement{{Ref: spool.Ref{Seq: appended.Seq}, At: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	history(t, b, 1, 3)
	replays := replaysOf(t, b)
	if got := awaitReplay(t, replays, startReplay(t, replays, ReplayRequest{})); got.State != ReplayDone || got.Webhooks != 4 || got.Published != 3 || got.Unreadable != 1 {
		t.Errorf("%+v", got)
	}
	if plan, err := replays.Plan(t.Context(), ReplayRequest{}, 0, time.Minute); err != nil || plan.Webhooks != 4 || plan.Unreadable != 1 {
		t.Errorf("%+v, %v", plan, err)
	}
}

// One replay at a time; of those that ended the last are kept.
func TestReplaysAreKept(t *testing.T) {
	fs := vfs.NewMem()
	s := openSpool(t, fs)
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	history(t, b, 1, 2)
	replays := replaysOf(t, b)
	fake.setFrozen(true)
	first := startReplay(t, replays, ReplayRequest{})
	if _, err := replays.Start(ReplayRequest{}); !errors.Is(err, ErrReplayRuns) || !strings.Contains(err.Error(), first) {
		t.Errorf("a second one: %v", err)
	}
	if r, err := replays.Resume(first); err != nil || r.State != ReplayRunning {
		t.Errorf("resumed while it runs: %+v, %v", r, err)
	}
	fake.setFrozen(false)
	awaitReplay(t, replays, first)
	if _, err := replays.Get("nonsense"); !errors.Is(err, ErrNoReplay) {
		t.Error(err)
	}
	if _, err := replays.Stop(t.Context(), "nonsense"); !errors.Is(err, ErrNoReplay) {
		t.Error(err)
	}
	var ids []string
	for range maxKeptReplays + 3 {
		ids = append(ids, startReplay(t, replays, ReplayRequest{ReplayFilter: ReplayFilter{Events: []string{"no such"}}}))
		if got := awaitReplay(t, replays, ids[len(ids)-1]); got.State != ReplayDone || got.Webhooks != 0 {
			t.Errorf("a replay of nothing: %+v", got)
		}
	}
	before := replays.List()
	if len(before) != maxKeptReplays || before[0].ID != ids[len(ids)-1] || before[maxKeptReplays-1].ID != ids[3] {
		t.Errorf("%d kept: %+v", len(before), before)
	}
	replays.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSpool(t, fs)
	defer s.Close()
	if diff := cmp.Diff(before, replaysOf(t, New(s, fake, Options{Logger: quiet})).List()); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
}

// A replay that is done is forgotten before one that can be resumed, however old.
func TestReplaysThatCanBeResumedAreKept(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	var log bytes.Buffer
	b := New(s, fake, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	history(t, b, 1, 1)
	replays := replaysOf(t, b)
	nothing := ReplayRequest{ReplayFilter: ReplayFilter{Events: []string{"no such"}}}
	stopped := func() string {
		fake.setReady(false)
		defer fake.setReady(true)
		id := startReplay(t, replays, ReplayRequest{})
		if r, err := replays.Stop(t.Context(), id); err != nil || r.State != ReplayStopped {
			t.Fatalf("%+v, %v", r, err)
		}
		return id
	}
	first := stopped()
	for range 2 * maxKeptReplays {
		awaitReplay(t, replays, startReplay(t, replays, nothing))
	}
	if _, err := replays.Get(first); err != nil {
		t.Error(err)
	}
	for range maxKeptReplays - 1 {
		stopped()
	}
	if _, err := replays.Get(first); err != nil || strings.Contains(log.String(), "forgotten") {
		t.Errorf("%v\n%s", err, &log)
	}
	awaitReplay(t, replays, startReplay(t, replays, nothing))
	if _, err := replays.Get(first); !errors.Is(err, ErrNoReplay) || !strings.Contains(log.String(), "replay="+first) || strings.Count(log.String(), "is forgotten") != 1 {
		t.Errorf("%v\n%s", err, &log)
	}
	if kept, err := loadReplays(s); err != nil || len(kept) != maxKeptReplays {
		t.Errorf("%d on disk, %v", len(kept), err)
	}
}

// A disk that hangs holds up the replay, and nobody who looks at it or stops it.
func TestReplayWhileTheDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &hangingFS{FS: vfs.NewMem()}
		s := openSpool(t, fs)
		defer s.Close()
		b := New(s, newBroker(), Options{Logger: quiet})
		history(t, b, 5, 5)
		replays := replaysOf(t, b)
		defer replays.Close()
		goOn := fs.hang()
		id := startReplay(t, replays, ReplayRequest{})
		synctest.Wait()
		if r, err := replays.Get(id); err != nil || r.State != ReplayRunning || r.Published != 0 || len(replays.List()) != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := replays.Start(ReplayRequest{}); !errors.Is(err, ErrReplayRuns) {
			t.Errorf("another: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := replays.Stop(ctx, id); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "as soon as the disk") {
			t.Errorf("stopped: %v", err)
		}
		goOn()
		if r := awaitReplay(t, replays, id); r.State != ReplayStopped || r.Published != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// hangingFS is a disk on which nothing is synced for a while.
type hangingFS struct {
	vfs.FS
	hangs atomic.Pointer[chan struct{}] // closed when it goes on; nil: it does not hang
}

func (fs *hangingFS) hang() (goOn func()) {
	c := make(chan struct{})
	fs.hangs.Store(&c)
	return func() { close(c) }
}

func (fs *hangingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	return hangingFile{f, fs}, err
}

func (fs *hangingFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(from, to, category)
	return hangingFile{f, fs}, err
}

type hangingFile struct {
	vfs.File
	fs *hangingFS
}

func (f hangingFile) await() {
	if c := f.fs.hangs.Load(); c != nil {
		<-*c
	}
}

func (f hangingFile) Sync() error {
	f.await()
	return f.File.Sync()
}

func (f hangingFile) SyncData() error {
	f.await()
	return f.File.SyncData()
}

func (f hangingFile) SyncTo(length int64) (bool, error) {
	f.await()
	return f.File.SyncTo(length)
}

func TestReplayMarkDamaged(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	if err := s.SetMark(spool.Mark{Name: replayMark(0), Value: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	if _, err := NewReplays(New(s, newBroker(), Options{Logger: quiet}), nil); !errors.Is(err, errMark) || !strings.Contains(err.Error(), "replay-00") {
		t.Error(err)
	}
}

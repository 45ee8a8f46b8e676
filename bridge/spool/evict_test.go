package spool

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// size100 is what a test record with a body of 100 bytes counts for, as long as
// its number has one digit.
var size100 = record(1, 100).size()

func TestByteLimitEvictsOldestHistoryFirst(t *testing.T) {
	opts := memOptions()
	opts.MaxBytes = 6 * size100
	s := openSpool(t, testDir, opts)
	refs := addMany(t, s, 0, 6, 100)
	ack(t, s, epoch, refs[3], refs[0], refs[2], refs[5])
	quarantine(t, s, epoch, refs[1])
	refs = append(refs, addMany(t, s, 6, 2, 100)...)
	sweepNow(t, s)
	diff(t, "retained", settledOf([]Ref{refs[3], refs[5]}, epoch), listed(t, s.Retained, 0))
	diff(t, "pending", []Ref{refs[4], refs[6], refs[7]}, pending(t, s))
	if got := s.Stats().Bytes(); got != opts.MaxBytes {
		t.Errorf("%d bytes are held, want just the %d allowed", got, opts.MaxBytes)
	}
	refs = append(refs, addMany(t, s, 8, 2, 100)...)
	sweepNow(t, s)
	diff(t, "no history is left", Stats{Pending: Tally{5, 5 * size100}, Quarantined: Tally{1, size100}}, s.Stats())
	checkRead(t, s, refs[1].Seq, record(1, 100))
}

// TestByteLimitNeedsNoTick: an Append over the limit has the sweeper look at once.
func TestByteLimitNeedsNoTick(t *testing.T) {
	opts := memOptions()
	opts.MaxBytes = 3 * size100
	s := openSpool(t, testDir, opts)
	firstSweep(t, s)
	for n := range 9 {
		ack(t, s, epoch, add(t, s, record(n, 100)))
	}
	eventually(t, "history is evicted", func() bool { return s.Stats().Bytes() <= opts.MaxBytes })
}

func TestFullSpoolRefusesUntilAck(t *testing.T) {
	for _, state := range []string{"pending", "quarantined"} {
		t.Run(state, func(t *testing.T) {
			opts := memOptions()
			opts.MaxBytes = 5*size100 - 1
			s := openSpool(t, testDir, opts)
			refs := addMany(t, s, 0, 4, 100)
			if state == "quarantined" {
				quarantine(t, s, epoch, refs...)
			}
			stats := s.Stats()
			_, err := s.Append(context.Background(), record(5, 100))
			if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "pending and quarantined records fill its") {
				t.Errorf("Append: %v", err)
			}
			if err := s.Admits(size100); !errors.Is(err, ErrFull) {
				t.Errorf("Admits: %v", err)
			}
			if err := s.Admits(size100 - 1); err != nil {
				t.Errorf("Admits of what just fits: %v", err)
			}
			diff(t, "Stats", stats, s.Stats())
			ack(t, s, epoch, refs[0])
			add(t, s, record(5, 100))
			sweepNow(t, s)
		})
	}
}

func TestRecordLargerThanTheLimit(t *testing.T) {
	opts := memOptions()
	opts.MaxBytes = 1000
	s := openSpool(t, testDir, opts)
	if _, err := s.Append(context.Background(), record(1, 1001)); !errors.Is(err, ErrFull) {
		t.Errorf("Append: %v", err)
	}
	add(t, s, record(1, 900))
}

func TestRetentionCountsFromTheAck(t *testing.T) {
	now := time.Now()
	hoursAgo := func(h int) time.Time { return now.Add(-time.Duration(h) * time.Hour) }
	for _, tc := range []struct {
		name     string
		received []int // hours ago
		settled  []int // hours ago; 0: pending, negative: quarantined then
		left     []uint64
	}{
		{"old and young", []int{50, 49, 3, 2}, []int{48, 25, 2, 1}, []uint64{3, 4}},
		{"long pending, lately acknowledged", []int{90, 80}, []int{1, 30}, []uint64{1}},
		{"never the pending", []int{90, 80}, []int{0, 30}, []uint64{1}},
		{"never the quarantined", []int{90, 80}, []int{-70, 30}, []uint64{1}},
		{"nothing is due", []int{23, 23}, []int{22, 22}, []uint64{1, 2}},
		{"all is due", []int{50, 50}, []int{49, 49}, nil},
		{"received by a clock that ran ahead", []int{-720, 50, 49, 3}, []int{48, 25, 2, 1}, []uint64{3, 4}},
		{"received by a clock that ran ahead, and pending", []int{-720, 50, 2}, []int{0, 49, 1}, []uint64{1, 3}},
		{"received by a clock that ran ahead, and quarantined", []int{-720, 50, 2}, []int{-1, 49, 1}, []uint64{1, 3}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := memOptions()
			opts.Retention = 24 * time.Hour
			s := openSpool(t, testDir, opts)
			firstSweep(t, s)
			for n := range tc.received {
				r := record(n, 100)
				r.Received = hoursAgo(tc.received[n])
				ref := add(t, s, r)
				switch h := tc.settled[n]; {
				case h > 0:
					ack(t, s, hoursAgo(h), ref)
				case h < 0:
					quarantine(t, s, hoursAgo(-h), ref)
				}
			}
			var aged time.Time
			if err := s.sweep(&aged); err != nil {
				t.Fatal(err)
			}
			found := entries(t, s)
			left := map[uint64]bool{}
			for _, seq := range tc.left {
				left[seq] = true
			}
			diff(t, "records left", left, found[kindRecord])
			diff(t, "ids left", left, found[kindID])
		})
	}
}

// TestRetentionBehindAClockThatRanAhead: one record whose times are all in the future
// keeps nothing but itself.
func TestRetentionBehindAClockThatRanAhead(t *testing.T) {
	opts := memOptions()
	opts.Retention = 24 * time.Hour
	s := openSpool(t, testDir, opts)
	firstSweep(t, s)
	ahead := record(0, 100)
	ahead.Received = time.Now().Add(30 * 24 * time.Hour)
	first := add(t, s, ahead)
	refs := addMany(t, s, 1, 2*evictGroup, 10)
	ack(t, s, ahead.Received, first)
	ack(t, s, epoch, refs[:len(refs)-1]...)
	var aged time.Time
	if err := s.sweep(&aged); err != nil {
		t.Fatal(err)
	}
	diff(t, "retained", settledOf([]Ref{first}, ahead.Received), listed(t, s.Retained, 0))
	diff(t, "pending", refs[len(refs)-1:], pending(t, s))
}

// TestRetentionByItself: no call is needed for history to go.
func TestRetentionByItself(t *testing.T) {
	opts := memOptions()
	opts.Retention, opts.SweepEvery = 20*time.Millisecond, time.Millisecond
	s := openSpool(t, testDir, opts)
	refs := addMany(t, s, 0, 5, 100)
	ack(t, s, time.Now(), refs[:4]...)
	eventually(t, "history is gone", func() bool { return s.Stats().Retained.Records == 0 })
	diff(t, "pending", refs[4:], pending(t, s))
}

// TestEvictionInManyGroups: with holes of pending records in the history, and
// more of it than is evicted in one go.
func TestEvictionInManyGroups(t *testing.T) {
	const count = 3*evictGroup + 100
	s := openSpool(t, testDir, memOptions())
	var refs, kept, history []Ref
	var writing sync.WaitGroup
	for w := range 8 {
		writing.Go(func() { addMany(t, s, w*count, count/8, 10) })
	}
	writing.Wait()
	refs = pending(t, s)
	for i, ref := range refs {
		if i%97 == 0 || i > evictGroup && i < evictGroup+50 {
			kept = append(kept, ref)
		} else {
			history = append(history, ref)
		}
	}
	ack(t, s, epoch, history...)
	cut := len(history) - 10
	if err := s.evictBytes(tallyOf(history[:cut]).Bytes); err != nil {
		t.Fatal(err)
	}
	diff(t, "pending", kept, pending(t, s))
	diff(t, "retained", settledOf(history[cut:], epoch), listed(t, s.Retained, 0))
	if err := s.evictAged(epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	diff(t, "Stats", Stats{Pending: tallyOf(kept)}, s.Stats())
}

// TestEvictionAmongAcksLeavesNothing appends, settles out of order and evicts all
// at once. When everything is acknowledged and evicted, nothing may be left.
func TestEvictionAmongAcksLeavesNothing(t *testing.T) {
	opts := memOptions()
	opts.MaxBytes, opts.SweepEvery = 60_000, time.Millisecond
	s := openSpool(t, testDir, opts)
	var working sync.WaitGroup
	for w := range 8 {
		working.Go(func() { appendAndAckShuffled(t, s, w) })
	}
	working.Wait()
	ack(t, s, epoch, pending(t, s)...)
	if err := s.evictBytes(1 << 40); err != nil {
		t.Fatal(err)
	}
	sweepNow(t, s)
	found := entries(t, s)
	delete(found, kindMeta)
	if len(found) > 0 {
		t.Errorf("entries left: %v", found)
	}
	diff(t, "Stats", Stats{}, s.Stats())
}

// appendAndAckShuffled acknowledges in groups, late and out of order.
func appendAndAckShuffled(t *testing.T, s *Spool, writer int) {
	rng := rand.New(rand.NewPCG(uint64(writer), 0))
	var mine []Ref
	for i := range 400 {
		r := record(writer*1000+i, 200)
		a, err := s.Append(context.Background(), r)
		if errors.Is(err, ErrFull) { // the others' pending records; they will be settled
			time.Sleep(time.Millisecond)
		} else if err != nil {
			t.Error(err)
		} else {
			mine = append(mine, Ref{Seq: a.Seq})
		}
		if len(mine) >= 10+rng.IntN(10) {
			rng.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
			ack(t, s, epoch, mine[5:]...)
			mine = mine[:5]
		}
	}
	ack(t, s, epoch, mine...)
}

package spool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestAppendThenRead(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Record)
	}{
		{"ordinary", func(*Record) {}},
		{"empty body", func(r *Record) { r.Body = nil }},
		{"empty header", func(r *Record) { r.Header = nil }},
		{"nothing but an id", func(r *Record) { *r = Record{ID: r.ID, Received: r.Received} }},
		{"zero id", func(r *Record) { r.ID = ID{} }},
		{"highest key", func(r *Record) { r.Key = ^uint64(0) }},
		{"before 1970", func(r *Record) { r.Received = time.Date(1969, 7, 20, 20, 17, 40, 1, time.UTC) }},
		{"1 MiB, larger than a block of the log", func(r *Record) { r.Body = record(1, 1<<20).Body }},
		{"20 MiB, larger than a memtable", func(r *Record) { r.Body = record(1, 20<<20).Body }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := openSpool(t, testDir, memOptions())
			r := record(1, 1500)
			tc.change(r)
			ref := add(t, s, r)
			checkRead(t, s, ref.Seq, r)
			diff(t, "Pending", []Ref{ref}, pending(t, s))
			seq, held, err := s.Find(r.ID)
			if seq != ref.Seq || !held || err != nil {
				t.Errorf("Find: %d, %v, %v; want %d", seq, held, err, ref.Seq)
			}
		})
	}
}

func TestAppendNumbersRecordsFromOne(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	for i, ref := range addMany(t, s, 0, 20, 10) {
		if ref.Seq != uint64(i+1) {
			t.Errorf("record %d has number %d", i, ref.Seq)
		}
	}
}

// TestPendingHasNoGapThatFillsLater is what the relay's order rests on: it reads
// on from the highest number it has seen and never looks back.
func TestPendingHasNoGapThatFillsLater(t *testing.T) {
	const writers, each = 64, 40
	s := openSpool(t, testDir, memOptions())
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				add(t, s, record(w*each+i, 200))
			}
		})
	}
	var seen []Ref
	for len(seen) < writers*each && !t.Failed() {
		<-s.Committed()
		next := uint64(len(seen) + 1)
		var err error
		if seen, err = s.Pending(seen, next, 100); err != nil {
			t.Fatal(err)
		}
		for len(seen) >= int(next)+99 { // that many were asked for: there may be more
			next = uint64(len(seen) + 1)
			if seen, err = s.Pending(seen, next, 100); err != nil {
				t.Fatal(err)
			}
		}
	}
	writing.Wait()
	for i, ref := range seen {
		if ref.Seq != uint64(i+1) {
			t.Fatalf("record %d of those seen has number %d", i+1, ref.Seq)
		}
	}
	diff(t, "seen while written", pending(t, s), seen)
}

// TestOneWritersRecordsKeepTheirOrder: whoever waits for one Append before the
// next has the first before the second.
func TestOneWritersRecordsKeepTheirOrder(t *testing.T) {
	const writers, each = 16, 50
	s := openSpool(t, testDir, memOptions())
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			last := uint64(0)
			for i := range each {
				ref := add(t, s, record(w*each+i, 50))
				if ref.Seq <= last {
					t.Errorf("number %d after %d", ref.Seq, last)
				}
				last = ref.Seq
			}
		})
	}
	writing.Wait()
}

func TestAppendFindsDuplicate(t *testing.T) {
	at := time.Now()
	for _, tc := range []struct {
		name string
		then func(*testing.T, *Spool, Ref) *Spool // between the two Appends
	}{
		{"at once", func(_ *testing.T, s *Spool, _ Ref) *Spool { return s }},
		{"after Ack", func(t *testing.T, s *Spool, r Ref) *Spool { ack(t, s, at, r); return s }},
		{"after Quarantine", func(t *testing.T, s *Spool, r Ref) *Spool { quarantine(t, s, at, r); return s }},
		{"after reopening", func(t *testing.T, s *Spool, _ Ref) *Spool { return reopen(t, s) }},
		{"after Ack and reopening", func(t *testing.T, s *Spool, r Ref) *Spool {
			ack(t, s, at, r)
			return reopen(t, s)
		}},
		{"in a table on disk", func(t *testing.T, s *Spool, _ Ref) *Spool {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
			return s
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := openSpool(t, testDir, memOptions())
			addMany(t, s, 0, 3, 100)
			ref := add(t, s, record(77, 100))
			addMany(t, s, 10, 3, 100)
			s = tc.then(t, s, ref)
			before := s.Stats()
			got, err := s.Append(context.Background(), record(77, 100))
			if err != nil {
				t.Fatal(err)
			}
			diff(t, "Append", Appended{Seq: ref.Seq, Duplicate: true, Taken: got.Taken}, got)
			diff(t, "Stats", before, s.Stats())
		})
	}
}

// reopen closes s and opens its directory again, as after an orderly stop.
func reopen(t *testing.T, s *Spool) *Spool {
	t.Helper()
	closeSpool(t, s)
	again := openSpool(t, s.dir, s.opts)
	sweepNow(t, again) // by then the history is counted
	return again
}

func TestEvictedRecordIsNoDuplicate(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	old := addMany(t, s, 0, 3, 100)
	ack(t, s, time.Now(), old...)
	if err := s.evictBytes(1 << 20); err != nil {
		t.Fatal(err)
	}
	again := add(t, s, record(1, 100))
	if again.Seq != 4 {
		t.Errorf("number %d, want 4: one that was never used", again.Seq)
	}
}

func TestConcurrentDuplicatesAreOneRecord(t *testing.T) {
	const senders = 64
	s := openSpool(t, testDir, memOptions())
	for round := range 20 {
		answers := make([]Appended, senders)
		var sending sync.WaitGroup
		for i := range senders {
			sending.Go(func() {
				var err error
				if answers[i], err = s.Append(context.Background(), record(round, 300)); err != nil {
					t.Error(err)
				}
			})
		}
		sending.Wait()
		fresh := 0
		for _, a := range answers {
			if !a.Duplicate {
				fresh++
			}
			if a.Seq != uint64(round+1) {
				t.Errorf("round %d: number %d", round, a.Seq)
			}
		}
		if fresh != 1 {
			t.Errorf("round %d: %d were told that theirs is new", round, fresh)
		}
	}
}

// TestDuplicatesInOneGroup: neither is held yet when both are looked for.
func TestDuplicatesInOneGroup(t *testing.T) {
	const senders = 10
	syncs := newSyncGate(vfs.NewMem())
	opts := memOptions()
	opts.FS = syncs.fs
	s := openSpool(t, testDir, opts)
	syncs.hold()
	var sending sync.WaitGroup
	sending.Go(func() { add(t, s, record(0, 10)) })
	syncs.awaitHeld(t)
	answers := make(chan Appended, senders)
	for range senders {
		sending.Go(func() {
			a, err := s.Append(context.Background(), record(1, 10))
			if err != nil {
				t.Error(err)
			}
			answers <- a
		})
	}
	eventually(t, "all wait", func() bool { return s.intake.length() == senders })
	syncs.release()
	sending.Wait()
	fresh := 0
	for range senders {
		a := <-answers
		if !a.Duplicate {
			fresh++
		}
		if a.Seq != 2 {
			t.Errorf("number %d, want 2", a.Seq)
		}
	}
	if fresh != 1 {
		t.Errorf("%d were told that theirs is new", fresh)
	}
}

// TestDuplicateWaitsForTheFsync: a duplicate's nil promises as much as
// the first one's, so it may not come before its fsync.
func TestDuplicateWaitsForTheFsync(t *testing.T) {
	syncs := newSyncGate(vfs.NewMem())
	opts := memOptions()
	opts.FS = syncs.fs
	s := openSpool(t, testDir, opts)
	syncs.hold()
	answered := make(chan Appended, 2)
	send := func() {
		a, err := s.Append(context.Background(), record(5, 100))
		if err != nil {
			t.Error(err)
		}
		answered <- a
	}
	go send()
	syncs.awaitHeld(t)
	go send()
	eventually(t, "the second waits", func() bool { return s.intake.length() == 1 })
	select {
	case a := <-answered:
		t.Errorf("answered before the fsync: %+v", a)
	default:
	}
	syncs.release()
	if a, b := <-answered, <-answered; a.Duplicate == b.Duplicate || a.Seq != b.Seq {
		t.Errorf("%+v and %+v; want one new, one duplicate", a, b)
	}
}

func TestAppendLeavesByItsContext(t *testing.T) {
	cause := errors.New("the sender hung up")
	for _, tc := range []struct {
		name string
		ctx  func() (context.Context, context.CancelFunc)
		want error
	}{
		{"deadline", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 20*time.Millisecond)
		}, context.DeadlineExceeded},
		{"expired before", func() (context.Context, context.CancelFunc) {
			return context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
		}, context.DeadlineExceeded},
		{"cause", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			cancel(cause)
			return ctx, func() {}
		}, cause},
	} {
		t.Run(tc.name, func(t *testing.T) {
			syncs := newSyncGate(vfs.NewMem())
			opts := memOptions()
			opts.FS = syncs.fs
			s := openSpool(t, testDir, opts)
			syncs.hold()
			ctx, cancel := tc.ctx()
			defer cancel()
			began := time.Now()
			_, err := s.Append(ctx, record(1, 100))
			if !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("Append came back after %v", took)
			}
			syncs.release()
			// What became of it is told by appending it again.
			if _, err := s.Append(context.Background(), record(1, 100)); err != nil {
				t.Fatal(err)
			}
			if got := pending(t, s); len(got) != 1 {
				t.Errorf("%d records, want 1: %v", len(got), got)
			}
		})
	}
}

// TestStalledDiskDoesNotPileUpRecords: while the disk stalls, an Append that has
// left takes its record's memory along.
func TestStalledDiskDoesNotPileUpRecords(t *testing.T) {
	syncs := newSyncGate(vfs.NewMem())
	opts := memOptions()
	opts.FS = syncs.fs
	s := openSpool(t, testDir, opts)
	syncs.hold()
	var first sync.WaitGroup
	first.Go(func() { add(t, s, record(0, 10)) })
	syncs.awaitHeld(t)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for n := 1; n < 100; n++ {
		if _, err := s.Append(gone, record(n, 10)); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if n := s.intake.length(); n != 0 {
		t.Errorf("%d records wait though their senders have left", n)
	}
	syncs.release()
	first.Wait()
}

func TestAppendTellsHowLongItWaited(t *testing.T) {
	syncs := newSyncGate(vfs.NewMem())
	opts := memOptions()
	opts.FS = syncs.fs
	s := openSpool(t, testDir, opts)
	var appended [2]Appended
	var appending sync.WaitGroup
	start := func(n int) {
		appending.Go(func() {
			var err error
			if appended[n], err = s.Append(context.Background(), record(n, 10)); err != nil {
				t.Error(err)
			}
		})
	}
	syncs.hold()
	start(0)
	syncs.awaitHeld(t)
	start(1)
	eventually(t, "the second waits", func() bool { return s.intake.length() == 1 })
	released := time.Now()
	syncs.release()
	appending.Wait()
	if !appended[0].Taken.Before(released) || !appended[1].Taken.After(released) {
		t.Errorf("taken up at %v and %v, the first fsync could end at %v", appended[0].Taken, appended[1].Taken, released)
	}
}

func TestManyAppendsShareAnFsync(t *testing.T) {
	const writers, each = 64, 50
	syncs := newSyncGate(vfs.NewMem())
	syncs.slow = 200 * time.Microsecond // as a fast disk takes
	opts := memOptions()
	opts.FS = syncs.fs
	s := openSpool(t, testDir, opts)
	before := syncs.count.Load()
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				add(t, s, record(w*each+i, 1500))
			}
		})
	}
	writing.Wait()
	if n := syncs.count.Load() - before; n < 1 || n > writers*each/8 {
		t.Errorf("%d fsyncs of the log for %d records", n, writers*each)
	}
}

func TestEveryAcknowledgedAppendWasSynced(t *testing.T) {
	syncs := newSyncGate(vfs.NewMem())
	opts := memOptions()
	opts.FS = syncs.fs
	s := openSpool(t, testDir, opts)
	for n := range 50 {
		before := syncs.count.Load()
		add(t, s, record(n, 100))
		if syncs.count.Load() == before {
			t.Fatalf("record %d was acknowledged without an fsync", n)
		}
	}
}

func (q *intake) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// TestLimitHoldsForAppendsInFlight: those that wait for the same fsync each find room
// when they come, and are not all taken.
func TestLimitHoldsForAppendsInFlight(t *testing.T) {
	gate := newSyncGate(vfs.NewMem())
	opts := memOptions()
	opts.FS, opts.MaxBytes = gate.fs, 5*size100+size100/2
	s := openSpool(t, testDir, opts)
	gate.hold()
	var appending sync.WaitGroup
	var taken, full atomic.Int64
	send := func(n int) {
		switch _, err := s.Append(context.Background(), record(n, 100)); {
		case err == nil:
			taken.Add(1)
		case errors.Is(err, ErrFull):
			full.Add(1)
		default:
			t.Error(err)
		}
	}
	appending.Go(func() { send(0) })
	gate.awaitHeld(t) // with that one alone: who comes in its group is answered with it
	for n := range 8 {
		appending.Go(func() { send(1 + n) })
	}
	eventually(t, "the others wait", func() bool { return s.intake.length() == 8 })
	gate.release()
	appending.Wait()
	if taken.Load() != 5 || full.Load() != 4 || s.Stats().Bytes() > opts.MaxBytes {
		t.Errorf("%d taken, %d refused, %d bytes held of %d", taken.Load(), full.Load(), s.Stats().Bytes(), opts.MaxBytes)
	}
}

// TestLargeGroupIsWrittenInParts, so that one write cannot use up the ballast.
func TestLargeGroupIsWrittenInParts(t *testing.T) {
	opts := memOptions()
	opts.BallastBytes = MinBallastBytes
	s := openSpool(t, testDir, opts)
	var group []*write
	for n := range 7 {
		group = append(group, &write{record: record(n, MinBallastBytes/8/3), done: make(chan struct{})})
	}
	var parts []int
	for rest := group; len(rest) > 0; {
		done := s.commit(rest)
		parts, rest = append(parts, done), rest[done:]
	}
	diff(t, "records written in one go", []int{2, 2, 2, 1}, parts)
	for n, w := range group {
		<-w.done
		checkRead(t, s, w.result.Seq, record(n, MinBallastBytes/8/3))
	}
}

package spool

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const testDir = "/var/lib/bridge/spool"

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// epoch is when the first test record was received.
var epoch = time.Date(2020, 3, 1, 12, 0, 0, 123456789, time.UTC)

// record makes the n-th test record, always with the same bytes.
func record(n, bodySize int) *Record {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(n))
	body := make([]byte, bodySize)
	_, _ = rand.NewChaCha8(seed).Read(body)
	return &Record{
		ID:       sha1.Sum(seed[:]),
		Key:      uint64(n % 7),
		Received: epoch.Add(time.Duration(n) * time.Millisecond),
		Header:   fmt.Appendf(nil, "record %d", n),
		Body:     body,
	}
}

// memOptions keep the spool in memory. The sweeper looks only when asked to.
func memOptions() Options {
	return Options{FS: vfs.NewMem(), Retention: 1e6 * time.Hour, SweepEvery: time.Hour, Logger: quiet}
}

// openSpool opens a spool that is closed at the end of the test, when it must
// be consistent and leave no goroutine behind.
func openSpool(t testing.TB, dir string, opts Options) *Spool {
	t.Helper()
	before := goroutines()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.intake.isClosed() {
			return
		}
		checkConsistent(t, s)
		closeSpool(t, s)
		checkNoneLeft(t, before)
	})
	return s
}

func closeSpool(t testing.TB, s *Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// add appends a record that must be new and returns its reference.
func add(t testing.TB, s *Spool, r *Record) Ref {
	t.Helper()
	got, err := s.Append(context.Background(), r)
	if err != nil {
		t.Errorf("Append: %v", err)
	}
	if got.Duplicate {
		t.Errorf("Append: duplicate of %d", got.Seq)
	}
	return Ref{Seq: got.Seq, ID: r.ID, Key: r.Key, Size: r.size(), Received: r.Received}
}

// addMany appends the records from, from+1, … one after the other.
func addMany(t testing.TB, s *Spool, from, count, bodySize int) []Ref {
	t.Helper()
	refs := make([]Ref, 0, count)
	for n := from; n < from+count; n++ {
		refs = append(refs, add(t, s, record(n, bodySize)))
	}
	return refs
}

// settlements gives each record the same time and a note that tells it apart.
func settlements(refs []Ref, at time.Time) []Settlement {
	out := make([]Settlement, len(refs))
	for i, r := range refs {
		out[i] = Settlement{Ref: r, At: at, Note: fmt.Appendf(nil, "note %d", r.Seq)}
	}
	return out
}

func ack(t testing.TB, s *Spool, at time.Time, refs ...Ref) {
	t.Helper()
	if err := s.Ack(settlements(refs, at)); err != nil {
		t.Fatalf("Ack: %v", err)
	}
}

func quarantine(t testing.TB, s *Spool, at time.Time, refs ...Ref) {
	t.Helper()
	if err := s.Quarantine(settlements(refs, at)); err != nil {
		t.Fatalf("Quarantine: %v", err)
	}
}

func pending(t testing.TB, s *Spool) []Ref {
	t.Helper()
	refs, err := s.Pending(nil, 0, 1<<30)
	if err != nil {
		t.Fatalf("Pending: %v", err)
	}
	return refs
}

// listed collects what Retained or Quarantined tells.
func listed(t testing.TB, list func(uint64, func(Settled) bool) error, from uint64) []Settled {
	t.Helper()
	var out []Settled
	err := list(from, func(r Settled) bool {
		r.Note = slices.Clone(r.Note)
		out = append(out, r)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func settledOf(refs []Ref, at time.Time) []Settled {
	var out []Settled
	for _, x := range settlements(refs, at) {
		out = append(out, Settled{Ref: x.Ref, At: x.At, Note: x.Note})
	}
	return out
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func checkRead(t testing.TB, s *Spool, seq uint64, want *Record) {
	t.Helper()
	got, err := s.Read(seq)
	if err != nil {
		t.Errorf("Read: %v", err)
		return
	}
	if !bytes.Equal(want.Body, got.Body) || !bytes.Equal(want.Header, got.Header) ||
		want.ID != got.ID || want.Key != got.Key || !want.Received.Equal(got.Received) {
		t.Errorf("Read(%d) gave another record than was appended", seq)
	}
}

// eventually waits for what other goroutines do.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in 20 s not: %s", what)
		}
	}
}

// firstSweep waits until the sweeper has counted the history and had the look
// that Open brings; the next comes with a tick or a cue.
func firstSweep(t testing.TB, s *Spool) {
	t.Helper()
	eventually(t, "the sweeper has looked", func() bool { return s.sweeps.Load() > 0 })
}

// sweepNow returns when the sweeper has had a look that began after the call. The
// first to end may have begun before, and another may follow.
func sweepNow(t testing.TB, s *Spool) {
	t.Helper()
	for range 2 {
		n := s.sweeps.Load()
		s.kickSweep()
		eventually(t, "the sweeper has looked", func() bool { return s.sweeps.Load() > n })
	}
}

// entries counts the store's entries by kind, and maps those with a sequence
// number to it.
func entries(t testing.TB, s *Spool) map[byte]map[uint64]bool {
	t.Helper()
	found := map[byte]map[uint64]bool{}
	iter, err := s.db.NewIter(&pebble.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for ok := iter.First(); ok; ok = iter.Next() {
		kind := iter.Key()[0]
		if found[kind] == nil {
			found[kind] = map[uint64]bool{}
		}
		switch kind {
		case kindMeta:
		case kindID:
			seq := binary.BigEndian.Uint64(iter.Value())
			found[kind][seq] = keySeq(iter.Key()) == partition(seq)
		default:
			found[kind][keySeq(iter.Key())] = true
		}
	}
	if err := iter.Close(); err != nil {
		t.Fatal(err)
	}
	return found
}

// checkConsistent holds the store against its rules: each record has its id and
// exactly one state, nothing is left of what is gone, and Stats tells the truth.
// Nothing may be appended meanwhile.
func checkConsistent(t testing.TB, s *Spool) {
	t.Helper()
	sweepNow(t, s)
	s.settling.Lock() // the sweeper may be at work
	defer s.settling.Unlock()
	found := entries(t, s)
	for seq := range found[kindRecord] {
		states := 0
		for _, kind := range []byte{kindPending, kindRetained, kindQuarantine} {
			if found[kind][seq] {
				states++
			}
		}
		if states != 1 || !found[kindID][seq] {
			t.Errorf("record %d has %d states, id entry %v", seq, states, found[kindID][seq])
		}
	}
	for _, kind := range []byte{kindID, kindPending, kindRetained, kindQuarantine} {
		for seq := range found[kind] {
			if !found[kindRecord][seq] {
				t.Errorf("entry %c %d is left without a record", kind, seq)
			}
		}
	}
	diff(t, "Stats", tally(t, s), s.Stats())
}

// tally counts what Stats should tell.
func tally(t testing.TB, s *Spool) (want Stats) {
	t.Helper()
	for _, r := range pending(t, s) {
		want.Pending.add(Tally{1, r.Size})
	}
	for _, r := range listed(t, s.Retained, 0) {
		want.Retained.add(Tally{1, r.Size})
	}
	for _, r := range listed(t, s.Quarantined, 0) {
		want.Quarantined.add(Tally{1, r.Size})
	}
	return want
}

var goroutineHead = regexp.MustCompile(`^goroutine (\d+) `)

// goroutines is the stacks of all goroutines, by id.
func goroutines() map[string]string {
	buf := make([]byte, 8<<20)
	buf = buf[:runtime.Stack(buf, true)]
	found := map[string]string{}
	for _, stack := range strings.Split(string(buf), "\n\n") {
		if head := goroutineHead.FindStringSubmatch(stack); head != nil {
			found[head[1]] = stack
		}
	}
	return found
}

// newGoroutines is the stacks of this package's and the store's goroutines that were not
// there before. Before, it may not have shown yet whose a goroutine would be.
func newGoroutines(before map[string]string) (stacks []string) {
	for id, stack := range goroutines() {
		ours := strings.Contains(stack, "bridge/spool.(*Spool)") || strings.Contains(stack, "cockroachdb/pebble")
		if _, old := before[id]; ours && !old && !strings.Contains(stack, "bridge/spool.goroutines") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// checkNoneLeft waits for goroutines that are on their way out and fails for
// those that stay.
func checkNoneLeft(t testing.TB, before map[string]string) {
	t.Helper()
	var left []string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if left = newGoroutines(before); len(left) == 0 {
			return
		}
	}
	t.Errorf("goroutines left after Close:\n%s", strings.Join(left, "\n\n"))
}

// logbook keeps what was logged, at info and above.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// count is how many lines contain words.
func (l *logbook) count(words string) int { return strings.Count(l.String(), words) }

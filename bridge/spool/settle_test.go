package spool

import (
	"context"
	"sync"
	"testing"
	"time"
)

// TestStateChanges settles one record among others again and again.
func TestStateChanges(t *testing.T) {
	type step struct {
		kind byte // kindRetained: Ack, kindQuarantine: Quarantine, kindPending: Requeue
		note string
	}
	for _, tc := range []struct {
		name  string
		steps []step
		want  byte // the kind of its last state
	}{
		{"never settled", nil, kindPending},
		{"acknowledged", []step{{kindRetained, "receipt"}}, kindRetained},
		{"quarantined", []step{{kindQuarantine, "too large"}}, kindQuarantine},
		{"acknowledged twice: the later receipt counts", []step{{kindRetained, "1"}, {kindRetained, "2"}}, kindRetained},
		{"quarantined twice", []step{{kindQuarantine, "1"}, {kindQuarantine, "2"}}, kindQuarantine},
		{"out of quarantine", []step{{kindQuarantine, "no"}, {kindRetained, "yes"}}, kindRetained},
		{"requeued from history", []step{{kindRetained, "yes"}, {kindPending, ""}}, kindPending},
		{"requeued from quarantine", []step{{kindQuarantine, "no"}, {kindPending, ""}}, kindPending},
		{"requeued though pending", []step{{kindPending, ""}}, kindPending},
		{"requeued and acknowledged again", []step{{kindRetained, "1"}, {kindPending, ""}, {kindRetained, "2"}}, kindRetained},
		{"acknowledged, then quarantined", []step{{kindRetained, "yes"}, {kindQuarantine, "no"}}, kindQuarantine},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := openSpool(t, testDir, memOptions())
			refs := addMany(t, s, 0, 3, 100)
			settle := map[byte]func([]Settlement) error{
				kindRetained:   func(x []Settlement) error { return s.Ack(x) },
				kindQuarantine: s.Quarantine,
				kindPending:    func(x []Settlement) error { _, err := s.Requeue([]Ref{x[0].Ref}); return err },
			}
			var last []Settled
			for i, step := range tc.steps {
				x := Settlement{Ref: refs[1], At: epoch.Add(time.Duration(i) * time.Hour), Note: []byte(step.note)}
				if err := settle[step.kind]([]Settlement{x}); err != nil {
					t.Fatal(err)
				}
				last = []Settled{{Ref: x.Ref, At: x.At, Note: x.Note}}
			}
			got := map[byte][]Settled{kindRetained: listed(t, s.Retained, 0), kindQuarantine: listed(t, s.Quarantined, 0)}
			want := map[byte][]Settled{kindRetained: nil, kindQuarantine: nil}
			left := []Ref{refs[0], refs[2]}
			if tc.want == kindPending {
				left = refs
			} else {
				want[tc.want] = last
			}
			diff(t, "settled", want, got)
			diff(t, "pending", left, pending(t, s))
			checkRead(t, s, refs[1].Seq, record(1, 100))
		})
	}
}

func TestSettlingOneRecordTwiceInACall(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	refs := addMany(t, s, 0, 2, 100)
	ack(t, s, epoch, refs[0], refs[0], refs[1])
	diff(t, "Stats", Stats{Retained: Tally{2, tallyOf(refs).Bytes}}, s.Stats())
}

// TestSettlingWhatIsGone: an acknowledgement that comes after its record was
// evicted, or for one that never was, leaves no trace.
func TestSettlingWhatIsGone(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	refs := addMany(t, s, 0, 2, 100)
	ack(t, s, epoch, refs...)
	if err := s.evictBytes(1 << 20); err != nil {
		t.Fatal(err)
	}
	ack(t, s, epoch, refs[0], Ref{Seq: 99, Size: 5})
	quarantine(t, s, epoch, refs[1], Ref{Seq: 98, Size: 5})
	if n, err := s.Requeue([]Ref{refs[0], {Seq: 97, Size: 5}}); n != 0 || err != nil {
		t.Errorf("requeued %d, %v", n, err)
	}
	diff(t, "Stats", Stats{}, s.Stats())
}

// TestRequeuedRecordIsTheOldest, though a later one was the oldest before.
func TestRequeuedRecordIsTheOldest(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	refs := addMany(t, s, 0, 3, 100)
	ack(t, s, epoch, refs[0], refs[1])
	if at, _, err := s.OldestPending(); err != nil || !at.Equal(refs[2].Received) {
		t.Errorf("oldest: %v, %v", at, err)
	}
	if n, err := s.Requeue(refs[:1]); n != 1 || err != nil {
		t.Fatalf("requeued %d, %v", n, err)
	}
	if n, err := s.Requeue([]Ref{refs[0], refs[2]}); n != 0 || err != nil {
		t.Errorf("requeued %d that were pending, %v", n, err)
	}
	if at, _, err := s.OldestPending(); err != nil || !at.Equal(refs[0].Received) {
		t.Errorf("oldest after Requeue: %v, %v", at, err)
	}
	diff(t, "pending", []Ref{refs[0], refs[2]}, pending(t, reopen(t, s)))
}

func TestSettlingNothing(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	ack(t, s, epoch)
	quarantine(t, s, epoch)
}

func tallyOf(refs []Ref) (sum Tally) {
	for _, r := range refs {
		sum.add(Tally{1, r.Size})
	}
	return sum
}

func TestStatsFollowEveryChange(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	refs := addMany(t, s, 0, 10, 100)
	diff(t, "appended", Stats{Pending: tallyOf(refs)}, s.Stats())
	ack(t, s, epoch, refs[:4]...)
	quarantine(t, s, epoch, refs[4:6]...)
	want := Stats{Pending: tallyOf(refs[6:]), Retained: tallyOf(refs[:4]), Quarantined: tallyOf(refs[4:6])}
	diff(t, "settled", want, s.Stats())
	if got := s.Stats().Bytes(); got != tallyOf(refs).Bytes {
		t.Errorf("Bytes() = %d", got)
	}
	if err := s.evictBytes(1); err != nil {
		t.Fatal(err)
	}
	want.Retained = tallyOf(refs[1:4])
	diff(t, "one evicted", want, s.Stats())
}

// TestStatsAreNeverBelowZero: a record can be seen, and settled, before its
// Append has come back; it must have been counted by then.
func TestStatsAreNeverBelowZero(t *testing.T) {
	const count = 2000
	s := openSpool(t, testDir, memOptions())
	stop := make(chan struct{})
	var working sync.WaitGroup
	working.Go(func() {
		for from := uint64(0); ; {
			refs, err := s.Pending(nil, from, 100)
			if err != nil {
				t.Error(err)
				return
			}
			if len(refs) > 0 {
				ack(t, s, epoch, refs...)
				from = refs[len(refs)-1].Seq + 1
			}
			if st := s.Stats(); st.Pending.Records < 0 || st.Pending.Bytes < 0 {
				t.Errorf("%+v", st)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var writing sync.WaitGroup
	for w := range 8 {
		writing.Go(func() {
			for i := range count / 8 {
				if _, err := s.Append(context.Background(), record(w*count+i, 10)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	working.Wait()
}

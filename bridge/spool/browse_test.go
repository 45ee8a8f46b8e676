package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// browsed is what Newest lists, as "seq state note".
func browsed(t *testing.T, s *Spool, limit int) []string {
	t.Helper()
	var got []string
	err := s.Newest(t.Context(), func(h Held) bool {
		got = append(got, fmt.Sprintf("%d %s %s", h.Seq, h.State, h.Note))
		return len(got) < limit
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// The states are told of in one list, whatever became of the records around.
func TestNewest(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	diff(t, "of an empty spool", []string{}, browsed(t, s, 9))
	refs := addMany(t, s, 0, 5, 100)
	if err := errors.Join(s.Ack(settlements(refs[1:3], epoch)), s.Quarantine(settlements(refs[3:4], epoch))); err != nil {
		t.Fatal(err)
	}
	all := []string{"5 pending ", "4 quarantined note 4", "3 retained note 3", "2 retained note 2", "1 pending "}
	diff(t, "all", all, browsed(t, s, 9))
	diff(t, "those asked for", all[:2], browsed(t, s, 2))

	var headers []string
	err := s.NewestHeaders(t.Context(), func(seq uint64, header []byte) bool {
		headers = append(headers, fmt.Sprint(seq, " ", string(header)))
		return seq > 2
	})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "headers", []string{"5 record 4", "4 record 3", "3 record 2", "2 record 1"}, headers)

	for i, ref := range refs {
		held, err := s.Held(ref.Seq)
		if err != nil {
			t.Fatal(err)
		}
		header, err := s.Header(ref.Seq)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%d %s %s", held.Seq, held.State, held.Note)
		diff(t, "ref", ref, held.Ref)
		if want := all[len(all)-1-i]; got != want || string(header) != fmt.Sprintf("record %d", i) {
			t.Errorf("%s %q, want %s", got, header, want)
		}
	}
	_, err = s.Held(6)
	_, headerErr := s.Header(6)
	if !errors.Is(err, ErrNotFound) || !errors.Is(headerErr, ErrNotFound) {
		t.Errorf("what is not held: %v, %v", err, headerErr)
	}
}

// A look sees what was there when it began, once, though it is settled meanwhile.
func TestNewestWhileSettling(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	refs := addMany(t, s, 0, 4, 100)
	var seen []uint64
	err := s.Newest(t.Context(), func(h Held) bool {
		seen = append(seen, h.Seq)
		if err := s.Ack(settlements(refs, epoch)); err != nil {
			t.Error(err)
		}
		return true
	})
	if want := []uint64{4, 3, 2, 1}; err != nil || !slices.Equal(seen, want) {
		t.Errorf("%v, %v, want %v", seen, err, want)
	}
}

// Neither an asker who has left nor a long look keeps the spool from closing.
func TestNewestIsInterrupted(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	addMany(t, s, 0, 3, 100)
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	err := s.Newest(ctx, func(Held) bool { seen++; cancel(); return true })
	if !errors.Is(err, context.Canceled) || seen != 1 {
		t.Errorf("%v after %d", err, seen)
	}

	began, ended := make(chan struct{}), make(chan error)
	go func() {
		first := true
		ended <- s.NewestHeaders(t.Context(), func(uint64, []byte) bool {
			if first {
				close(began)
				<-s.running.Done()
				first = false
			}
			return true
		})
	}()
	<-began
	closeSpool(t, s)
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("a look through a spool that is closed: %v", err)
	}
	_, err = s.Held(1)
	_, headerErr := s.Header(1)
	if !errors.Is(err, ErrClosed) || !errors.Is(headerErr, ErrClosed) || !errors.Is(s.Newest(t.Context(), nil), ErrClosed) {
		t.Errorf("after Close: %v, %v", err, headerErr)
	}
}

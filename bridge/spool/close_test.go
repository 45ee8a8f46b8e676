package spool

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

func TestClosedSpoolTakesNoCalls(t *testing.T) {
	registry := prometheus.NewRegistry()
	opts := memOptions()
	opts.Registerer = registry
	s := openSpool(t, testDir, opts)
	ref := add(t, s, record(1, 10))
	closeSpool(t, s)
	none := func(Settled) bool { return true }
	for name, call := range map[string]func() error{
		"Append":        func() error { _, err := s.Append(context.Background(), record(2, 10)); return err },
		"Admits":        func() error { return s.Admits(1) },
		"Find":          func() error { _, _, err := s.Find(ref.ID); return err },
		"Read":          func() error { _, err := s.Read(ref.Seq); return err },
		"Pending":       func() error { _, err := s.Pending(nil, 0, 1); return err },
		"OldestPending": func() error { _, _, err := s.OldestPending(); return err },
		"Retained":      func() error { return s.Retained(0, none) },
		"Quarantined":   func() error { return s.Quarantined(0, none) },
		"Ack":           func() error { return s.Ack(settlements([]Ref{ref}, epoch)) },
		"Quarantine":    func() error { return s.Quarantine(settlements([]Ref{ref}, epoch)) },
		"Requeue":       func() error { _, err := s.Requeue([]Ref{ref}); return err },
		"Mark":          func() error { _, err := s.Mark("name"); return err },
		"SetMark":       func() error { return s.SetMark(Mark{Name: "name"}) },
		"Close":         s.Close,
	} {
		if err := call(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if _, err := registry.Gather(); err != nil {
		t.Errorf("Gather: %v", err)
	}
}

// TestCloseCommitsWhatWasTaken: an Append that was let in before Close is
// answered with the truth.
func TestCloseCommitsWhatWasTaken(t *testing.T) {
	syncs := newSyncGate(vfs.NewMem())
	opts := memOptions()
	opts.FS = syncs.fs
	s := openSpool(t, testDir, opts)
	syncs.hold()
	answers := make(chan error, 10)
	for n := range 10 {
		go func() { _, err := s.Append(context.Background(), record(n, 10)); answers <- err }()
	}
	syncs.awaitHeld(t)
	eventually(t, "all are in", func() bool { return s.intake.length()+len(pending(t, s)) == 10 })
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	eventually(t, "Close has begun", s.intake.isClosed)
	syncs.release()
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	for range 10 {
		if err := <-answers; err != nil {
			t.Errorf("Append: %v", err)
		}
	}
	if got := pending(t, openSpool(t, testDir, opts)); len(got) != 10 {
		t.Errorf("%d records, want 10", len(got))
	}
}

// TestCloseAmongCalls closes the spool under callers of all kinds: each is
// answered, with what it asked for or ErrClosed, and none panics.
func TestCloseAmongCalls(t *testing.T) {
	for round := range 20 {
		opts := memOptions()
		registry := prometheus.NewRegistry()
		opts.Registerer = registry
		before := goroutines()
		s, err := Open(testDir, opts)
		if err != nil {
			t.Fatal(err)
		}
		addMany(t, s, 0, 50, 100)
		kept, err := callUntilClosed(t, s, registry, round)
		if err != nil {
			t.Errorf("Close: %v", err)
		}
		checkNoneLeft(t, before)
		again := openSpool(t, testDir, Options{FS: opts.FS, Logger: quiet})
		for _, r := range kept {
			if _, held, err := again.Find(r.ID); !held || err != nil {
				t.Errorf("acknowledged record is gone: %v", err)
			}
		}
		closeSpool(t, again)
	}
}

func callUntilClosed(t *testing.T, s *Spool, registry *prometheus.Registry, round int) (kept []*Record, closeErr error) {
	var calling sync.WaitGroup
	until := func(call func() error) {
		calling.Go(func() {
			for {
				if err := call(); errors.Is(err, ErrClosed) {
					return
				} else if err != nil {
					t.Errorf("call: %v", err)
					return
				}
			}
		})
	}
	n := 1000
	until(func() error {
		n++
		r := record(n, 100)
		_, err := s.Append(context.Background(), r)
		if err == nil {
			kept = append(kept, r)
		}
		return err
	})
	until(func() error { _, err := s.Pending(nil, 0, 100); return err })
	until(func() error { return s.Ack([]Settlement{{Ref: Ref{Seq: 7}, At: epoch}}) })
	until(func() error {
		var inner error
		err := s.Retained(0, func(r Settled) bool { _, inner = s.Read(r.Seq); return true })
		return errors.Join(err, inner)
	})
	until(func() error {
		if _, err := registry.Gather(); err != nil {
			return err
		}
		return s.Admits(0)
	})
	eventually(t, "the callers are at work", func() bool { return s.Stats().Pending.Records > int64(50+round) })
	closeErr = s.Close()
	calling.Wait()
	return kept, closeErr
}

// TestCloseTellsOfAFailure: an acknowledgement that could not be written at the
// end is not passed over in silence.
func TestCloseTellsOfAFailure(t *testing.T) {
	disk := newFaultyDisk(logSync)
	opts := memOptions()
	opts.FS = disk.fs
	s := openSpool(t, testDir, opts)
	ack(t, s, epoch, add(t, s, record(1, 10)))
	disk.on.Store(true)
	returned(t, "Close", func() {
		if err := s.Close(); !errors.Is(err, syscall.EIO) && !errors.Is(err, ErrFailed) {
			t.Errorf("Close: %v", err)
		}
	})
}

package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// sweepLoop is the one goroutine that evicts history, by age and for space, and
// watches the disk. It ends when the spool is closed or has failed.
func (s *Spool) sweepLoop() {
	defer s.done.Done()
	s.disk.check()
	if err := s.countRetained(); err != nil {
		s.opts.Logger.Error("spool: history not counted", "error", err)
	}
	_ = s.held.uncounted.Close()
	tick := time.NewTicker(s.opts.SweepEvery)
	defer tick.Stop()
	var aged time.Time
	for {
		if err := s.sweep(&aged); err != nil {
			s.opts.Logger.Error("spool: history not evicted", "error", err)
		}
		s.renewIDsIfDue()
		s.sweeps.Add(1)
		select {
		case <-s.quit:
			return
		case <-s.failed:
			return
		case <-tick.C:
		case <-s.kick:
		}
	}
}

func (s *Spool) kickSweep() { signal(s.kick) }

func (s *Spool) sweepIfOver() {
	if s.Stats().Bytes() > s.opts.MaxBytes {
		s.kickSweep()
	}
}

// sweep evicts what is too old (looking now and then, since that reads the whole
// old end of the history) and what space asks for.
func (s *Spool) sweep(aged *time.Time) error {
	s.disk.check()
	if now := time.Now(); now.Sub(*aged) >= min(s.opts.Retention/64, time.Minute) {
		*aged = now
		if err := s.evictAged(now.Add(-s.opts.Retention)); err != nil {
			return err
		}
	}
	if excess := s.excess(); excess > 0 {
		if err := s.evictBytes(excess); err != nil {
			return err
		}
		// Only when the deletions are in a table can compaction drop what they cover.
		if _, err := s.db.AsyncFlush(); err != nil {
			return err
		}
	}
	return s.reclaim()
}

// reclaim frees the space of what was evicted while the disk is full. Left alone, the
// store drops it when more is written over it, and nothing is written any more.
func (s *Spool) reclaim() error {
	to := s.evictedTo.Load()
	if !s.disk.low() || to == 0 {
		return nil
	}
	for _, kind := range []byte{kindRetained, kindRecord} {
		err := s.db.Compact(s.running, seqKey(kind, 0), seqKey(kind, to), true)
		switch {
		case errors.Is(err, syscall.ENOSPC), errors.Is(err, context.Canceled):
			return nil // the next look tries again; the store logs the former
		case err != nil:
			return fmt.Errorf("free the space of what was evicted: %w", err)
		}
	}
	s.evictedTo.CompareAndSwap(to, 0)
	return nil
}

// learnEvicted: what an earlier process evicted may still take space. Below the first
// record that can be evicted, or ever will be, there is nothing else but quarantine.
func (s *Spool) learnEvicted() error {
	to := s.lastSeq.Load() + 1
	for _, kind := range []byte{kindPending, kindRetained} {
		iter, err := s.scan(kind, 0)
		if err != nil {
			return err
		}
		if iter.First() {
			to = min(to, keySeq(iter.Key()))
		}
		if err := iter.Close(); err != nil {
			return err
		}
	}
	s.evictedTo.Store(to)
	return nil
}

// excess is how many bytes of history must go: what is over the limit, as much as
// the ballast when the disk is short of space and, when it is full, a quarter of
// what is left. It takes a while until their space is free on disk.
func (s *Spool) excess() int64 {
	stats := s.Stats()
	excess := stats.Bytes() - s.opts.MaxBytes
	if s.disk.short() {
		excess = max(excess, s.opts.BallastBytes)
	}
	if s.disk.low() {
		excess = max(excess, stats.Retained.Bytes/4)
	}
	return min(excess, stats.Retained.Bytes)
}

// evictAged removes what was settled before the cutoff. A record is settled
// after it was received, so the look ends at the first that was received later. It
// passes over those from the future: a clock ran ahead, and they say nothing of what
// is behind them. They go as their own times say, or for space.
func (s *Spool) evictAged(cutoff time.Time) error {
	now := time.Now()
	return s.evict(func(r Settled) (take, more bool) {
		return r.At.Before(cutoff), r.Received.Before(cutoff) || r.Received.After(now)
	})
}

// evictBytes removes the oldest history until bytes are gone.
func (s *Spool) evictBytes(bytes int64) error {
	return s.evict(func(r Settled) (take, more bool) {
		take = bytes > 0
		bytes -= r.Size
		return take, take
	})
}

// evictGroup bounds how long settling waits for eviction.
const evictGroup = 4096

// evict removes the history that choose takes, from the oldest on, until there
// is no more of it or choose says so.
func (s *Spool) evict(choose func(Settled) (take, more bool)) error {
	from, more := uint64(0), true
	for more {
		select {
		case <-s.quit:
			return nil
		default:
		}
		var err error
		if from, more, err = s.evictSome(from, choose); err != nil {
			return fmt.Errorf("evict: %w", err)
		}
	}
	return s.learnFirst()
}

// evictSome looks at one group of the history and returns where to go on.
func (s *Spool) evictSome(from uint64, choose func(Settled) (take, more bool)) (next uint64, more bool, err error) {
	s.settling.Lock()
	defer s.settling.Unlock()
	var victims []Ref
	looked, ended := 0, false
	err = s.settled(s.db, kindRetained, from, func(r Settled) bool {
		take, goOn := choose(r)
		if take {
			victims = append(victims, r.Ref)
		}
		looked++
		next, ended = r.Seq+1, !goOn
		return goOn && looked < evictGroup
	})
	if err != nil || len(victims) == 0 {
		return next, looked == evictGroup && !ended, err
	}
	return next, looked == evictGroup && !ended, s.remove(victims)
}

// remove deletes history from the store, runs of neighbours as ranges.
func (s *Spool) remove(victims []Ref) error {
	batch := s.db.NewBatch()
	var gone Tally
	for start := 0; start < len(victims); {
		end := start + 1
		for end < len(victims) && victims[end].Seq == victims[end-1].Seq+1 {
			end++
		}
		removeRun(batch, victims[start:end])
		start = end
	}
	for _, v := range victims {
		_ = batch.Delete(idKey(partition(v.Seq), v.ID), nil)
		gone.add(Tally{1, v.Size})
	}
	last := binary.BigEndian.AppendUint64(nil, s.lastSeq.Load())
	_ = batch.Set(metaKey(metaLastSeq), last, nil)
	if err := s.apply(batch, pebble.NoSync); err != nil {
		return err
	}
	s.held.evicted(gone)
	s.evictedTo.Store(max(s.evictedTo.Load(), victims[len(victims)-1].Seq+1))
	return nil
}

func removeRun(batch *pebble.Batch, run []Ref) {
	first, last := run[0].Seq, run[len(run)-1].Seq
	for _, kind := range []byte{kindRecord, kindRetained} {
		if first == last {
			_ = batch.Delete(seqKey(kind, first), nil)
		} else {
			_ = batch.DeleteRange(seqKey(kind, first), seqKey(kind, last+1), nil)
		}
	}
}

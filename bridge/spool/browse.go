package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// State is one of the states of a held record.
type State string

// The states.
const (
	StatePending     State = "pending"
	StateRetained    State = "retained"
	StateQuarantined State = "quarantined"
)

// Held is a held record without its bytes. At is zero and Note nil while it is
// pending.
type Held struct {
	Settled
	State State
}

// MaxBytes is what Stats.Bytes may come to: Options.MaxBytes.
func (s *Spool) MaxBytes() int64 { return s.opts.MaxBytes }

// Held finds the held record with a sequence number. The error is ErrNotFound when
// there is none.
func (s *Spool) Held(seq uint64) (Held, error) {
	if !s.users.enter() {
		return Held{}, ErrClosed
	}
	defer s.users.leave()
	for _, kind := range stateKinds {
		value, err := s.get(seqKey(kind, seq))
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err == nil {
			var h Held
			h, err = decodeHeld(kind, seq, value)
			return h, s.told(err)
		}
		return Held{}, s.told(fmt.Errorf("look up record %d: %w", seq, err))
	}
	return Held{}, fmt.Errorf("record %d: %w", seq, ErrNotFound)
}

func decodeHeld(kind byte, seq uint64, value []byte) (Held, error) {
	ref, rest, err := decodeRef(seq, value)
	h := Held{State: State(stateNames[kind]), Settled: Settled{Ref: ref}}
	if err == nil && kind != kindPending {
		h.At, h.Note, err = decodeSettled(seq, rest)
	}
	return h, err
}

// Header returns the header of a held record; the caller owns it. Errors as of Read.
func (s *Spool) Header(seq uint64) ([]byte, error) {
	if !s.users.enter() {
		return nil, ErrClosed
	}
	defer s.users.leave()
	value, closer, err := s.db.Get(seqKey(kindRecord, seq))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, fmt.Errorf("record %d: %w", seq, ErrNotFound)
	}
	if err != nil {
		return nil, s.told(fmt.Errorf("read record %d: %w", seq, err))
	}
	header, err := headerOf(seq, value)
	return append([]byte(nil), header...), s.told(errors.Join(err, closer.Close()))
}

// Newest calls each for all held records, newest first, as they were when it began,
// until each returns false. Held is valid during the call. It reads no bodies, about
// a hundred bytes a record. The error is ErrClosed when the spool is closed
// meanwhile, ctx's when that ends.
func (s *Spool) Newest(ctx context.Context, each func(Held) bool) error {
	return s.browse(ctx, stateKinds, func(kind byte, seq uint64, value []byte) (bool, error) {
		h, err := decodeHeld(kind, seq, value)
		return err == nil && each(h), err
	})
}

// NewestHeaders calls each for the headers of all held records, newest first, until
// it returns false; one that cannot be read is passed over. It reads the bodies from
// the disk as well. The header is valid during the call; errors as of Newest.
func (s *Spool) NewestHeaders(ctx context.Context, each func(seq uint64, header []byte) bool) error {
	return s.browse(ctx, []byte{kindRecord}, func(_ byte, seq uint64, value []byte) (bool, error) {
		if header, err := headerOf(seq, value); err == nil {
			return each(seq, header), nil
		}
		return true, nil
	})
}

// browse calls each for the entries of some kinds, together in falling order.
func (s *Spool) browse(ctx context.Context, kinds []byte, each func(kind byte, seq uint64, value []byte) (bool, error)) error {
	if !s.users.enter() {
		return ErrClosed
	}
	defer s.users.leave()
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	entries, err := newFalling(snapshot, kinds)
	defer entries.close()
	for err == nil && len(entries.left) > 0 {
		if err := s.interrupted(ctx); err != nil {
			return err
		}
		at := entries.highest()
		more, failed := each(at.Key()[0], keySeq(at.Key()), at.Value())
		if failed != nil || !more {
			return s.told(failed)
		}
		err = entries.advance(at)
	}
	return s.told(err)
}

// interrupted: a look through the spool keeps Close from closing the store.
func (s *Spool) interrupted(ctx context.Context) error {
	switch {
	case s.running.Err() != nil:
		return ErrClosed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return nil
}

// falling is entries of several kinds, from the highest sequence number down.
type falling struct {
	all  []*pebble.Iterator
	left []*pebble.Iterator // those that stand at an entry
}

func newFalling(r pebble.Reader, kinds []byte) (*falling, error) {
	f := &falling{}
	for _, kind := range kinds {
		iter, err := scan(r, kind, 0)
		if err != nil {
			return f, fmt.Errorf("list %c: %w", kind, err)
		}
		f.all = append(f.all, iter)
		if iter.Last() {
			f.left = append(f.left, iter)
		} else if err := iter.Error(); err != nil {
			return f, fmt.Errorf("list %c: %w", kind, err)
		}
	}
	return f, nil
}

func (f *falling) highest() *pebble.Iterator {
	return slices.MaxFunc(f.left, func(a, b *pebble.Iterator) int { return cmp.Compare(keySeq(a.Key()), keySeq(b.Key())) })
}

func (f *falling) advance(iter *pebble.Iterator) error {
	if iter.Prev() {
		return nil
	}
	f.left = slices.DeleteFunc(f.left, func(other *pebble.Iterator) bool { return other == iter })
	if err := iter.Error(); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	return nil
}

func (f *falling) close() {
	for _, iter := range f.all {
		_ = iter.Close() // what it had to say, Error said
	}
}

package spool

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Mark is a note of the caller's that the spool keeps beside its records, by name.
type Mark struct {
	Name  string
	Value []byte
}

// markPrefix keeps the caller's names from the store's own.
const markPrefix = "mark-"

// Mark returns what was last noted under name, nil if nothing was. The caller
// owns it.
func (s *Spool) Mark(name string) ([]byte, error) {
	if !s.users.enter() {
		return nil, ErrClosed
	}
	defer s.users.leave()
	value, err := s.get(metaKey(markPrefix + name))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read mark %s: %w", name, err)
	}
	return value, nil
}

// SetMark notes m, durably.
func (s *Spool) SetMark(m Mark) error {
	if !s.users.enter() {
		return ErrClosed
	}
	defer s.users.leave()
	batch := s.db.NewBatch()
	stageMarks(batch, []Mark{m})
	if err := s.apply(batch, pebble.Sync); err != nil {
		return fmt.Errorf("set mark %s: %w", m.Name, err)
	}
	return nil
}

func stageMarks(batch *pebble.Batch, marks []Mark) {
	for _, m := range marks {
		_ = batch.Set(metaKey(markPrefix+m.Name), m.Value, nil)
	}
}

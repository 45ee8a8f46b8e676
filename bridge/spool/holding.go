package spool

import (
	"fmt"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// stateKinds are the kinds of state entries. Where a record has several, of which
// only damage can be the cause, the first holds: a record that is relayed in vain
// is found in the stream, one that is not relayed is lost.
var stateKinds = []byte{kindPending, kindQuarantine, kindRetained}

var stateNames = map[byte]string{kindPending: "pending", kindRetained: "retained", kindQuarantine: "quarantined"}

// stateEntry is one state of a record, as its entry says.
type stateEntry struct {
	kind byte
	ref  Ref
	at   time.Time // zero for a pending record
	note []byte
}

// holding is all that is there under one sequence number.
type holding struct {
	seq    uint64
	record *Record      // nil when it is missing or cannot be read
	states []stateEntry // in the order of stateKinds
	faults []string
}

// holdings calls each with what is held, in order, until it returns an error.
func (e *examined) holdings(each func(holding) error) error {
	var all []*storefiles.Entries
	for _, kind := range append([]byte{kindRecord}, stateKinds...) {
		entries := e.Entries(kind, true)
		defer entries.Close()
		all = append(all, entries)
	}
	for {
		h, ok := nextHolding(all)
		if !ok {
			return nil
		}
		for _, what := range h.faults {
			e.faults.addRecord(h.seq, what)
		}
		if err := each(h); err != nil {
			return err
		}
	}
}

// nextHolding makes one of the entries with the lowest number and moves on.
func nextHolding(all []*storefiles.Entries) (h holding, ok bool) {
	for _, e := range all {
		if e.Valid && (!ok || keySeq(e.Key) < h.seq) {
			h.seq, ok = keySeq(e.Key), true
		}
	}
	if !ok {
		return h, false
	}
	for _, e := range all {
		if e.Valid && keySeq(e.Key) == h.seq {
			h.add(e.Key[0], e.Value)
			e.Next()
		}
	}
	h.check()
	return h, true
}

func (h *holding) fault(format string, args ...any) {
	h.faults = append(h.faults, fmt.Sprintf(format, args...))
}

func (h *holding) add(kind byte, value []byte) {
	if kind != kindRecord {
		h.addState(kind, value)
		return
	}
	var err error
	if h.record, err = decodeRecord(h.seq, value); err != nil {
		h.fault("the record does not decode")
	}
}

func (h *holding) addState(kind byte, value []byte) {
	s := stateEntry{kind: kind}
	ref, rest, err := decodeRef(h.seq, value)
	if s.ref = ref; err == nil && kind != kindPending {
		s.at, s.note, err = decodeSettled(h.seq, rest)
	}
	if err != nil {
		h.fault("the entry of its state (%s) does not decode", stateNames[kind])
		return
	}
	h.states = append(h.states, s)
}

// check holds record and states against each other.
func (h *holding) check() {
	switch {
	case len(h.states) > 1:
		h.fault("there are %d states", len(h.states))
	case len(h.faults) > 0:
	case h.record == nil:
		h.fault("there is a state (%s), but no record that can be read", stateNames[h.state().kind])
	case len(h.states) == 0:
		h.fault("there is a record, but no state that can be read")
	}
	if h.record == nil {
		return
	}
	for _, s := range h.states {
		if want := h.ref(); s.ref != want {
			h.fault("the state (%s) is of another record", stateNames[s.kind])
		}
	}
}

// ref is what the record says of itself.
func (h *holding) ref() Ref {
	r := h.record
	return Ref{Seq: h.seq, ID: r.ID, Key: r.Key, Size: r.size(), Received: r.Received}
}

// state is the one that holds; without any it is pending, so that it is not lost.
func (h *holding) state() stateEntry {
	if len(h.states) == 0 {
		return stateEntry{kind: kindPending}
	}
	return h.states[0]
}

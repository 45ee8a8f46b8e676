package spool

import (
	"fmt"
	"time"
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
func (r *remains) holdings(each func(holding) error) error {
	cursors := map[byte]*cursor{}
	for _, kind := range append([]byte{kindRecord}, stateKinds...) {
		cursors[kind] = r.entries(kind)
		defer cursors[kind].iter.close()
	}
	for {
		seq, ok := lowest(cursors)
		if !ok {
			return nil
		}
		if err := each(take(cursors, seq)); err != nil {
			return err
		}
	}
}

func lowest(cursors map[byte]*cursor) (seq uint64, ok bool) {
	for _, c := range cursors {
		if c.valid && (!ok || c.at < seq) {
			seq, ok = c.at, true
		}
	}
	return seq, ok
}

// take makes a holding of the entries under seq and moves the cursors on.
func take(cursors map[byte]*cursor, seq uint64) holding {
	h := holding{seq: seq}
	for _, kind := range stateKinds {
		if c := cursors[kind]; c.valid && c.at == seq {
			h.addState(kind, c.iter.value())
			c.next()
		}
	}
	if c := cursors[kindRecord]; c.valid && c.at == seq {
		h.addRecord(c.iter.value())
		c.next()
	}
	h.check()
	return h
}

func (h *holding) fault(format string, args ...any) {
	h.faults = append(h.faults, fmt.Sprintf(format, args...))
}

func (h *holding) addRecord(value []byte) {
	r, err := decodeRecord(h.seq, value)
	if err != nil {
		h.fault("the record does not decode")
		return
	}
	h.record = r
}

func (h *holding) addState(kind byte, value []byte) {
	s := stateEntry{kind: kind}
	ref, rest, err := decodeRef(h.seq, value)
	if s.ref = ref; err == nil && kind != kindPending {
		s.at, s.note, err = decodeSettled(h.seq, append([]byte(nil), rest...))
	}
	if err != nil {
		h.fault("the entry of its state (%s) does not decode", stateNames[kind])
		return
	}
	h.states = append(h.states, s)
}

// check holds record and states against each other.
func (h *holding) check() {
	if h.record == nil && len(h.faults) == 0 {
		h.fault("there is a state (%s), but no record that can be read", stateNames[h.states[0].kind])
	}
	if len(h.states) == 0 && len(h.faults) == 0 {
		h.fault("there is a record, but no state that can be read")
	}
	if len(h.states) > 1 {
		h.fault("there are %d states", len(h.states))
	}
	if h.record == nil {
		return
	}
	for _, s := range h.states {
		if want := h.ref(); s.ref != want {
			h.fault("the state (%s) is of another record: %s", stateNames[s.kind], refDifference(want, s.ref))
		}
	}
}

// ref is what the record says of itself.
func (h *holding) ref() Ref {
	r := h.record
	return Ref{Seq: h.seq, ID: r.ID, Key: r.Key, Size: r.size(), Received: r.Received}
}

func refDifference(record, state Ref) string {
	switch {
	case record.ID != state.ID:
		return fmt.Sprintf("id %x, the record's is %x", state.ID, record.ID)
	case record.Size != state.Size:
		return fmt.Sprintf("%d bytes, the record has %d", state.Size, record.Size)
	case record.Key != state.Key:
		return "another ordering key"
	}
	return "received at another time"
}

// state is the one that holds; without any it is pending, so that it is not lost.
func (h *holding) state() stateEntry {
	if len(h.states) == 0 {
		return stateEntry{kind: kindPending}
	}
	return h.states[0]
}

package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// Query says which of the held webhooks Trace is asked for: by one of ID, Incident
// and Number.
type Query struct {
	ID       string // a webhook's id
	Incident string // an incident's unique_id
	Number   int64  // an incident's number
	Source   string // only of that source; "" any
	Limit    int    // of webhooks; 0 none
}

// Trace is what is known of some webhooks. Its JSON form is part of the operator's
// API.
type Trace struct {
	Webhooks []Held    `json:"webhooks"` // newest first
	More     bool      `json:"more"`     // there are older ones, beyond Query.Limit
	Since    time.Time `json:"since"`    // when the bridge was started: duplicates are counted from then on
}

// ErrBadID says that a text is no webhook's id.
var ErrBadID = errors.New("no webhook's id: it has 32 characters of 0-9 and a-v")

// ErrNotHeld says that no webhook with that id is held.
var ErrNotHeld = errors.New("no webhook with that id is held")

// Trace finds held webhooks. To find one by its id is one look; an incident by its
// unique_id takes a pass over what is noted of everything held, about a hundred bytes
// each; and by its number, one through the webhooks themselves as well, from the
// newest to the newest of that incident. The number is that of the newest incident
// that has it: sources of several accounts may each have one.
// The error is ErrBadID, ctx's, or the spool's. That nothing is found is none.
func (b *Bridge) Trace(ctx context.Context, q Query) (Trace, error) {
	t := Trace{Webhooks: []Held{}, Since: b.started}
	var err error
	switch {
	case q.ID != "":
		err = b.traceID(q.ID, &t)
	case q.Number != 0:
		err = b.traceNumber(ctx, q, &t)
	default:
		err = b.traceIncident(ctx, q, &t)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return t, fmt.Errorf("trace: more is held than can be looked through in time (ask for the incident's unique_id, which takes less than its number, or for a webhook's id, which takes nothing): %w", err)
	case err != nil:
		return t, fmt.Errorf("trace: %w", err)
	}
	b.addAttempts(ctx, t.Webhooks)
	return t, nil
}

func (b *Bridge) traceID(text string, t *Trace) error {
	h, err := b.find(text)
	switch {
	case errors.Is(err, ErrNotHeld):
		return nil
	case err == nil:
		t.Webhooks = append(t.Webhooks, b.describe(h))
	}
	return err
}

// find finds a held record by the webhook's id; the error is ErrBadID or ErrNotHeld.
func (b *Bridge) find(text string) (spool.Held, error) {
	id, err := parseID(text)
	if err != nil {
		return spool.Held{}, err
	}
	seq, held, err := b.spool.Find(id)
	if err != nil || !held {
		return spool.Held{}, errors.Join(err, fmt.Errorf("%s: %w", text, ErrNotHeld))
	}
	h, err := b.spool.Held(seq)
	if errors.Is(err, spool.ErrNotFound) { // evicted meanwhile
		err = fmt.Errorf("%s: %w", text, ErrNotHeld)
	}
	return h, err
}

// parseID is the reverse of idText.
func parseID(text string) (spool.ID, error) {
	bytes, err := idEncoding.DecodeString(text)
	if err != nil || len(text) != idEncoding.EncodedLen(spool.IDSize) || len(bytes) != spool.IDSize {
		return spool.ID{}, fmt.Errorf("%.64q: %w", text, ErrBadID)
	}
	return spool.ID(bytes), nil
}

// traceIncident: the state entries have the ordering keys, so that only the
// incident's own records are read.
func (b *Bridge) traceIncident(ctx context.Context, q Query, t *Trace) error {
	keys := map[uint64]bool{}
	for name := range b.sources.Range {
		if source := name.(string); q.Source == "" || q.Source == source {
			e := envelope{Source: source, Incident: q.Incident}
			keys[e.orderingKey()] = true
		}
	}
	return b.collect(ctx, keys, q.Limit, t, func(h Held) bool { return h.Incident == q.Incident })
}

func (b *Bridge) traceNumber(ctx context.Context, q Query, t *Trace) error {
	var newest envelope
	err := b.spool.NewestHeaders(ctx, func(_ uint64, header []byte) bool {
		e, err := decodeEnvelope(header)
		if err == nil && e.Number == q.Number && (q.Source == "" || q.Source == e.Source) {
			newest = e
		}
		return newest.Number == 0
	})
	if err != nil || newest.Number == 0 {
		return err
	}
	return b.collect(ctx, map[uint64]bool{newest.orderingKey(): true}, q.Limit, t, func(h Held) bool {
		return h.Source == newest.Source && h.Incident == newest.Incident && h.Number == newest.Number
	})
}

// collect adds those of the records with certain ordering keys that match.
func (b *Bridge) collect(ctx context.Context, keys map[uint64]bool, limit int, t *Trace, match func(Held) bool) error {
	return b.spool.Newest(ctx, func(h spool.Held) bool {
		if !keys[h.Key] {
			return true
		}
		if held := b.describe(h); match(held) {
			if t.More = limit > 0 && len(t.Webhooks) == limit; !t.More {
				t.Webhooks = append(t.Webhooks, held)
			}
		}
		return !t.More
	})
}

// relayPatience is how long a busy relay is waited for when an answer is of use
// without what it knows.
const relayPatience = time.Second

// addAttempts asks the relay how often it has sent what is pending.
func (b *Bridge) addAttempts(ctx context.Context, list []Held) {
	pending := map[uint64]*Held{}
	for i := range list {
		if list[i].State == StatePending {
			pending[list[i].Seq] = &list[i]
		}
	}
	if len(pending) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, relayPatience)
	defer cancel()
	attempts := map[uint64]uint64{}
	err := b.operate(ctx, func(r *relay) error {
		for _, l := range r.lanes.byKey {
			attempts[l.head().Seq] = l.attempts
		}
		return nil
	})
	if err != nil {
		return // it is writing to the map, or never will
	}
	for seq, held := range pending {
		held.Attempts = attempts[seq]
	}
}

// Body returns the bytes of a held webhook whose signature matched. The error is
// ErrBadID or ErrNotHeld, or spool.ErrDamaged.
func (b *Bridge) Body(_ context.Context, id string) ([]byte, error) {
	h, err := b.find(id)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	record, err := b.spool.Read(h.Seq)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return record.Body, nil
}

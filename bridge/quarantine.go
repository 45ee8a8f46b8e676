package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// ErrNotQuarantined says that a webhook is held and not in quarantine.
var ErrNotQuarantined = errors.New("not in quarantine")

// ErrUnkeyable says that to send a quarantined webhook again makes no sense.
var ErrUnkeyable = errors.New("it is no JSON object with an event type, which no retry changes, and has been published on zenduty.quarantine.<source>: drop it when that is dealt with")

// QuarantinePage is some of the webhooks in quarantine. Its JSON form is part of the
// operator's API.
type QuarantinePage struct {
	Webhooks []Held `json:"webhooks"`       // oldest first
	Next     uint64 `json:"next,omitempty"` // where the next page begins, absent on the last
}

// Quarantine lists up to limit webhooks in quarantine, from a place in the spool on.
func (b *Bridge) Quarantine(_ context.Context, from uint64, limit int) (QuarantinePage, error) {
	page := QuarantinePage{Webhooks: []Held{}}
	err := b.spool.Quarantined(from, func(s spool.Settled) bool {
		if len(page.Webhooks) == limit {
			page.Next = s.Seq
			return false
		}
		page.Webhooks = append(page.Webhooks, b.describe(spool.Held{Settled: s, State: spool.StateQuarantined}))
		return true
	})
	if err != nil {
		return page, fmt.Errorf("quarantine: %w", err)
	}
	return page, nil
}

// Quarantined tells of one webhook in quarantine. The error is ErrBadID, ErrNotHeld
// or ErrNotQuarantined.
func (b *Bridge) Quarantined(_ context.Context, id string) (Held, error) {
	h, err := b.quarantined(id)
	if err != nil {
		return Held{}, fmt.Errorf("quarantine: %w", err)
	}
	return b.describe(h), nil
}

func (b *Bridge) quarantined(id string) (spool.Held, error) {
	h, err := b.find(id)
	if err == nil && h.State != spool.StateQuarantined {
		err = fmt.Errorf("%s: %w: it is %s", id, ErrNotQuarantined, states[h.State])
	}
	return h, err
}

// Retry makes a webhook in quarantine pending again, durably, and tells of it. It is
// sent as soon as nothing of its incident is under way, before what of it is not sent
// yet; what came after it in its incident has mostly been published meanwhile. If the
// cause is not mended it ends in quarantine again. Errors as of Quarantined, and
// ErrUnkeyable, or ctx's while the relay is busy.
func (b *Bridge) Retry(ctx context.Context, id string) (Held, error) {
	var held Held
	err := b.operate(ctx, func(r *relay) error {
		h, err := b.quarantined(id)
		if err != nil {
			return err
		}
		held = b.describe(h)
		if held.Kind == KindUnkeyable {
			return fmt.Errorf("%s: %w", id, ErrUnkeyable)
		}
		return r.retry(h.Ref)
	})
	if err != nil {
		return Held{}, fmt.Errorf("retry: %w", err)
	}
	b.opts.Logger.Info("webhook taken out of quarantine, to be sent again", "id", id, "seq", held.Seq, "reason", held.Reason)
	held.State, held.Settled, held.Kind, held.Reason, held.Attempts = StatePending, time.Time{}, "", "", 0
	return held, nil
}

// retry: what is below next has been loaded, and would not be found again. Drop needs
// no relay, and may have been faster.
func (r *relay) retry(ref spool.Ref) error {
	requeued, err := r.spool.Requeue([]spool.Ref{ref})
	if err != nil {
		return err
	}
	if requeued == 0 {
		return fmt.Errorf("%s: %w", idText(ref.ID), ErrNotQuarantined)
	}
	if ref.Seq < r.next {
		r.lanes.insert(ref)
	} else {
		r.more = true
	}
	return nil
}

// Drop removes a webhook in quarantine for good: it is not held any more, and would
// be taken like a new one if it came again. Errors as of Quarantined.
func (b *Bridge) Drop(_ context.Context, id string) error {
	h, err := b.quarantined(id)
	if err != nil {
		return fmt.Errorf("drop: %w", err)
	}
	held := b.describe(h)
	if err := b.spool.Drop(h.Seq); errors.Is(err, spool.ErrNotFound) { // somebody else was faster
		return fmt.Errorf("drop: %s: %w", id, ErrNotQuarantined)
	} else if err != nil {
		return err
	}
	b.opts.Logger.Warn("webhook dropped from quarantine", "id", id, "seq", held.Seq, "reason", held.Reason)
	return nil
}

package bridge

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// Webhook is a verified webhook.
type Webhook struct {
	Source    string // name of the configured source
	Rendering zenduty.Rendering
	Key       string // name of the key that matched
	Body      []byte // exactly the bytes whose signature matched; the bridge's, until Accept has returned nil
	Received  time.Time

	// Traceparent is the span that publishing it is a child of; empty for none.
	Traceparent string

	// MaxAge is how long before Received its event may have happened; 0 is any time.
	MaxAge time.Duration
}

// ErrStale says that a webhook's event is older than Webhook.MaxAge.
var ErrStale = errors.New("the event is too old")

// Status is what became of an accepted webhook.
type Status string

// The three kinds of 200.
const (
	Accepted    Status = "accepted"
	Duplicate   Status = "duplicate"
	Quarantined Status = "quarantined"
)

// Receipt is Accept's word that the webhook is held.
type Receipt struct {
	ID     string
	Status Status
	Canary bool // it is none of Zenduty's, see CanaryEvent
}

// Accept puts a webhook on stable storage. A nil error means that it is there,
// fsynced, and will be relayed; with an error nothing is promised.
// The error is spool.ErrFull, spool.ErrClosed or spool.ErrFailed, ErrStale, or that of
// ctx. One that is held is a duplicate however old it is: its sender may have missed the
// first answer.
func (b *Bridge) Accept(ctx context.Context, w Webhook) (Receipt, error) {
	e := newEnvelope(w)
	id := webhookID(w.Source, w.Body)
	if e.stale(w) {
		if _, held, err := b.spool.Find(id); err != nil || !held {
			return Receipt{}, fmt.Errorf("accept: %w", cmp.Or(err, ErrStale))
		}
	}
	held, err := b.append(ctx, &spool.Record{
		ID: id, Key: e.orderingKey(), Received: w.Received, Header: e.encode(), Body: w.Body,
	})
	if err != nil {
		return Receipt{}, fmt.Errorf("accept: %w", err)
	}
	if held.Duplicate {
		b.duplicates.add(held.Seq)
	}
	return Receipt{ID: idText(id), Status: status(held, &e), Canary: e.canary()}, nil
}

func status(held spool.Appended, e *envelope) Status {
	switch {
	case held.Duplicate:
		return Duplicate
	case e.Unkeyable != "":
		return Quarantined
	}
	return Accepted
}

// stale tells whether the event is older than the webhook may be. Only of the three
// documented events does Zenduty's payload have a time of their own; that of any other
// is the incident's creation, which says nothing of its age. What has no time is not
// stale: a lost incident is worse than one that is told twice.
func (e *envelope) stale(w Webhook) bool {
	switch e.EventType {
	case zenduty.EventTriggered, zenduty.EventAcknowledged, zenduty.EventResolved:
		return w.MaxAge > 0 && !e.Time.IsZero() && w.Received.Sub(e.Time) > w.MaxAge
	}
	return false
}

// Admits is nil while a webhook would be taken, else the reason why not: the
// readiness of the bridge. NATS being away is no reason; that is what the spool
// is for.
func (b *Bridge) Admits() error { return b.spool.Admits(0) }

// webhookID is the identity of a webhook: a hash of its source and its verified
// bytes (SHA-256, the first 160 bits).
func webhookID(source string, body []byte) spool.ID {
	h := sha256.New()
	_, _ = h.Write([]byte(source))
	_, _ = h.Write([]byte{0}) // no source's name has a zero byte
	_, _ = h.Write(body)
	var sum [sha256.Size]byte
	return spool.ID(h.Sum(sum[:0])[:spool.IDSize])
}

var idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// idText is an id as people and headers see it: 32 characters of 0-9 and a-v.
func idText(id spool.ID) string { return idEncoding.EncodeToString(id[:]) }

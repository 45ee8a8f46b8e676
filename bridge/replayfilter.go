package bridge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// ReplayFilter says which webhooks of the history are meant: those that fit every
// field that is set, and of a field with several values one of them. Its JSON form is
// part of the operator's API.
type ReplayFilter struct {
	From      time.Time `json:"from,omitzero"` // received then or later
	To        time.Time `json:"to,omitzero"`   // received before
	IDs       []string  `json:"ids,omitempty"`
	Sources   []string  `json:"sources,omitempty"`
	Events    []string  `json:"events,omitempty"`    // event types
	Services  []string  `json:"services,omitempty"`  // unique_id, or the alias in subjects
	Incidents []string  `json:"incidents,omitempty"` // unique_id, or the number
}

// ReplayRequest is what to publish again, and how.
type ReplayRequest struct {
	ReplayFilter
	SubjectPrefix string  `json:"subject_prefix,omitempty"` // stands in front of each subject, with a dot
	Rate          float64 `json:"rate,omitempty"`           // publishes per second; 0: as fast as they are acknowledged
}

// maxReplayValues bounds a filter, which is noted on disk with each step.
const maxReplayValues = 1000

// check says what is wrong with the request, as ErrBadReplay.
func (r *ReplayRequest) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrBadReplay, fmt.Errorf(format, args...))
	}
	switch n := len(r.IDs) + len(r.Sources) + len(r.Events) + len(r.Services) + len(r.Incidents); {
	case n > maxReplayValues:
		return bad("%d ids, sources, events, services and incidents: at most %d can be given", n, maxReplayValues)
	case !r.From.IsZero() && !r.To.IsZero() && !r.From.Before(r.To):
		return bad("from %s is not before to %s", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))
	case r.Rate < 0 || math.IsInf(r.Rate, 0) || math.IsNaN(r.Rate):
		return bad("rate %v: it must be a number per second above 0, or 0 for no limit", r.Rate)
	}
	for _, id := range r.IDs {
		if _, err := parseID(id); err != nil {
			return bad("%w", err)
		}
	}
	if r.SubjectPrefix == "" {
		return nil
	}
	if err := publisher.CheckPrefix(r.SubjectPrefix); err != nil {
		return bad("subject_prefix: %w", err)
	}
	return nil
}

// choice is a filter made ready. Webhooks that were acknowledged after settledBy are
// not chosen: they were pending when the replay was asked for, and have come since. No
// power cut undoes an acknowledgement from before: the note that the replay begins is
// synced, and with it all that was written until then.
type choice struct {
	filter    ReplayFilter
	settledBy time.Time
	ids       map[spool.ID]bool
	sources   map[string]bool
	events    map[string]bool
	services  map[string]bool // unique_ids
	incidents map[string]bool
}

// newChoice: the filter has been checked. aliases are by unique_id.
func newChoice(f ReplayFilter, settledBy time.Time, aliases map[string]string) *choice {
	c := &choice{
		filter: f, settledBy: settledBy, ids: map[spool.ID]bool{},
		sources: setOf(f.Sources), events: setOf(f.Events), services: setOf(f.Services), incidents: setOf(f.Incidents),
	}
	for _, text := range f.IDs {
		if id, err := parseID(text); err == nil {
			c.ids[id] = true
		}
	}
	for service, alias := range aliases {
		if c.services[alias] {
			c.services[service] = true
		}
	}
	return c
}

func setOf(values []string) map[string]bool {
	set := make(map[string]bool, len(values))
	for _, v := range values {
		set[v] = true
	}
	return set
}

// takes tells whether a record is chosen by what is known without its header. A canary
// never is.
func (c *choice) takes(s spool.Settled) bool {
	return s.Key != canaryKey && !s.At.After(c.settledBy) && !s.Received.Before(c.filter.From) &&
		(c.filter.To.IsZero() || s.Received.Before(c.filter.To)) &&
		(len(c.ids) == 0 || c.ids[s.ID])
}

// looksInside tells whether the header decides as well.
func (c *choice) looksInside() bool {
	return len(c.sources)+len(c.events)+len(c.services)+len(c.incidents) > 0
}

func (c *choice) takesInside(e *envelope) bool {
	return (len(c.sources) == 0 || c.sources[e.Source]) &&
		(len(c.events) == 0 || c.events[e.EventType]) &&
		(len(c.services) == 0 || c.services[e.Service]) &&
		(len(c.incidents) == 0 || c.incidents[e.Incident] || e.Number != 0 && c.incidents[strconv.FormatInt(e.Number, 10)])
}

// historyPart is how many records are looked at in one go: what is evicted meanwhile
// keeps its space until then.
const historyPart = 1 << 14

// choose calls each for the records that c takes, in the order of the spool, from a
// sequence number on, until it returns false, a part has been looked at, or ctx ends.
// more tells whether there is more to look at, next from where on. With read, or where
// the header decides, e is the envelope; nil when it cannot be read, which takes no
// record that the header would have to decide.
func (b *Bridge) choose(ctx context.Context, c *choice, from uint64, read bool, each func(ref spool.Ref, e *envelope) bool) (next uint64, more bool, err error) {
	next = from
	looked := 0
	var failed error
	read = read || c.looksInside()
	err = b.spool.History(from, func(s spool.Settled, header func() ([]byte, error)) bool {
		looked++
		goOn := true
		if c.takes(s) {
			var e *envelope
			if read {
				if e, failed = readEnvelope(header); failed != nil {
					return false
				}
			}
			if !c.looksInside() || e != nil && c.takesInside(e) {
				goOn = each(s.Ref, e)
			}
		}
		next = s.Seq + 1
		more = !goOn || looked == historyPart || ctx.Err() != nil
		return !more
	})
	return next, more, errors.Join(err, failed)
}

// readEnvelope is nil for a header that cannot be read or is gone.
func readEnvelope(header func() ([]byte, error)) (*envelope, error) {
	text, err := header()
	switch {
	case errors.Is(err, spool.ErrDamaged), errors.Is(err, spool.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	e, err := decodeEnvelope(text)
	if err != nil {
		return nil, nil //nolint:nilerr // it says nothing that could be chosen by
	}
	return &e, nil
}

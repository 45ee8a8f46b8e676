package bridge

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// ReplayPlan is what a replay would publish, or a part of that. Its JSON form is part
// of the operator's API.
type ReplayPlan struct {
	Webhooks   int64         `json:"webhooks"`
	Bytes      int64         `json:"bytes"`          // with what is noted beside the bodies
	First      time.Time     `json:"first,omitzero"` // when the first of them was received
	Last       time.Time     `json:"last,omitzero"`
	Groups     []ReplayGroup `json:"groups"`               // the largest first
	Others     int64         `json:"others,omitempty"`     // webhooks in more groups than are told
	Unreadable int64         `json:"unreadable,omitempty"` // webhooks that are damaged on disk
	Next       uint64        `json:"next,omitempty"`       // where the next part begins; 0: this was the last
}

// ReplayGroup is the webhooks of one event type and service.
type ReplayGroup struct {
	EventType string `json:"event_type"`
	Service   string `json:"service"` // unique_id; empty if the webhooks name none
	Webhooks  int64  `json:"webhooks"`
}

// maxReplayGroups bounds a plan: event types and services are the senders' to choose.
const maxReplayGroups = 1000

// Plan counts what a replay would publish, from a place in the spool on, for as long as
// patience lasts. A history of millions takes longer than one wants to wait.
func (s *Replays) Plan(ctx context.Context, request ReplayRequest, from uint64, patience time.Duration) (ReplayPlan, error) {
	if err := request.check(); err != nil {
		return ReplayPlan{}, err
	}
	tally := replayTally{groups: map[ReplayGroup]int64{}}
	c := newChoice(request.ReplayFilter, time.Now(), *s.aliases.Load())
	for began, more := time.Now(), true; more; {
		var err error
		if from, more, err = s.bridge.choose(ctx, c, from, true, tally.add); err != nil {
			return ReplayPlan{}, err
		}
		if ctx.Err() != nil {
			return ReplayPlan{}, context.Cause(ctx)
		}
		if more && time.Since(began) >= patience {
			tally.plan.Next = from
			break
		}
	}
	return tally.finished(), nil
}

// replayTally makes a plan.
type replayTally struct {
	plan   ReplayPlan
	groups map[ReplayGroup]int64 // by group, whose own count is 0
}

func (t *replayTally) add(ref spool.Ref, e *envelope) bool {
	p := &t.plan
	p.Webhooks++
	p.Bytes += ref.Size
	if p.First.IsZero() || ref.Received.Before(p.First) {
		p.First = ref.Received
	}
	if ref.Received.After(p.Last) {
		p.Last = ref.Received
	}
	if e == nil {
		p.Unreadable++
		return true
	}
	group := ReplayGroup{EventType: e.EventType, Service: e.Service}
	if t.groups[group] == 0 && len(t.groups) == maxReplayGroups {
		p.Others++
		return true
	}
	t.groups[group]++
	return true
}

func (t *replayTally) finished() ReplayPlan {
	t.plan.Groups = make([]ReplayGroup, 0, len(t.groups))
	for group, n := range t.groups {
		group.Webhooks = n
		t.plan.Groups = append(t.plan.Groups, group)
	}
	slices.SortFunc(t.plan.Groups, func(a, b ReplayGroup) int {
		return cmp.Or(cmp.Compare(b.Webhooks, a.Webhooks), cmp.Compare(a.EventType, b.EventType), cmp.Compare(a.Service, b.Service))
	})
	return t.plan
}

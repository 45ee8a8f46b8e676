package bridge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// A plan counts what the filter takes, and the replay publishes just that.
func TestReplayFilter(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	fake := newBroker()
	b := New(s, fake, Options{Logger: quiet})
	began := time.Now().Add(-time.Hour)
	at := func(minutes int) time.Time { return began.Add(time.Duration(minutes) * time.Minute) }
	take := func(source string, data []byte, minutes int) string {
		r, err := b.Accept(t.Context(), Webhook{Source: source, Body: data, Received: at(minutes)})
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	var ids []string
	for n, w := range [][]byte{ // one a minute
		webhook("triggered", "svc-1", "inc-a", 1), webhook("acknowledged", "svc-1", "inc-a", 1), webhook("resolved", "svc-1", "inc-a", 1),
		webhook("triggered", "svc-2", "inc-b", 2), webhook("escalated", "svc-2", "inc-b", 2), webhook("triggered", "", "", 0),
	} {
		ids = append(ids, take("zenduty", w, n))
	}
	ids = append(ids, take("other", webhook("triggered", "svc-1", "inc-c", 3), 6))
	canary := acceptCanary(t, b, 1).ID
	quarantined := accept(t, b, []byte("unkeyable")).ID
	runUntilDrained(t, b)
	pending := accept(t, b, webhook("triggered", "svc-1", "inc-d", 4)).ID

	replays := replaysOf(t, b)
	for _, test := range []struct {
		name   string
		filter ReplayFilter
		want   string // the numbers of the webhooks, in order
	}{
		{"all", ReplayFilter{}, "0123456"},
		{"from", ReplayFilter{From: at(2)}, "23456"},
		{"to", ReplayFilter{To: at(2)}, "01"},
		{"from and to", ReplayFilter{From: at(1), To: at(4)}, "123"},
		{"event", ReplayFilter{Events: []string{"triggered"}}, "0356"},
		{"events", ReplayFilter{Events: []string{"escalated", "resolved", "none"}}, "24"},
		{"service", ReplayFilter{Services: []string{"svc-2"}}, "34"},
		{"service by its alias", ReplayFilter{Services: []string{"checkout"}}, "0126"},
		{"incident", ReplayFilter{Incidents: []string{"inc-a"}}, "012"},
		{"incident by its number", ReplayFilter{Incidents: []string{"2", "inc-c"}}, "346"},
		{"no number is no incident", ReplayFilter{Incidents: []string{"0"}}, ""},
		{"id", ReplayFilter{IDs: []string{ids[4], ids[1]}}, "14"},
		{"neither pending nor quarantined nor a canary", ReplayFilter{IDs: []string{pending, quarantined, canary}}, ""},
		{"source", ReplayFilter{Sources: []string{"other"}}, "6"},
		{"all of them", ReplayFilter{From: at(1), Events: []string{"triggered"}, Services: []string{"svc-1", "svc-2"}, Sources: []string{"zenduty"}}, "3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := ReplayRequest{ReplayFilter: test.filter}
			plan, err := replays.Plan(t.Context(), request, 0, time.Minute)
			if err != nil || plan.Webhooks != int64(len(test.want)) || plan.Next != 0 {
				t.Errorf("plan: %+v, %v", plan, err)
			}
			id := startReplay(t, replays, request)
			if got := awaitReplay(t, replays, id); got.State != ReplayDone || got.Published != int64(len(test.want)) || got.Webhooks != got.Published {
				t.Errorf("%+v", got)
			}
			got := map[string]bool{}
			for _, m := range fake.stream {
				if m.Replay == id {
					got[m.ID] = true
				}
			}
			want := map[string]bool{}
			for _, digit := range test.want {
				want[ids[digit-'0']] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReplayPlan(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	b := New(s, newBroker(), Options{Logger: quiet})
	for n := range 3 {
		accept(t, b, webhook("triggered", "svc-1", "a", n))
	}
	accept(t, b, webhook("resolved", "svc-1", "a", 9))
	accept(t, b, webhook("triggered", "", "b", 9))
	runUntilDrained(t, b)
	replays := replaysOf(t, b)
	plan, err := replays.Plan(t.Context(), ReplayRequest{}, 0, time.Minute)
	if err != nil || plan.First.IsZero() || plan.Last.Before(plan.First) || plan.Bytes < 500 {
		t.Errorf("%+v, %v", plan, err)
	}
	want := []ReplayGroup{{"triggered", "svc-1", 3}, {"resolved", "svc-1", 1}, {"triggered", "", 1}}
	if diff := cmp.Diff(want, plan.Groups); diff != "" {
		t.Error(diff)
	}
	replays.SetServices(map[string]string{"svc-1": "payment"})
	for alias, want := range map[string]int64{"payment": 4, "checkout": 0, "svc-1": 4} {
		plan, err := replays.Plan(t.Context(), ReplayRequest{ReplayFilter: ReplayFilter{Services: []string{alias}}}, 0, time.Minute)
		if err != nil || plan.Webhooks != want {
			t.Errorf("service %s: %d webhooks, want %d, %v", alias, plan.Webhooks, want, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := replays.Plan(ctx, ReplayRequest{}, 0, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("asked by nobody: %v", err)
	}
}

// A plan of a long history comes in parts, and its size is bounded.
func TestReplayPlanInParts(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	b := New(s, newBroker(), Options{Logger: quiet})
	const total = historyPart + 10
	for n := range total {
		accept(t, b, webhook("triggered", fmt.Sprintf("svc-%d", n%(maxReplayGroups+1)), "a", n))
	}
	acked, err := s.Pending(nil, 0, total)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ack(settlementsOf(acked)); err != nil {
		t.Fatal(err)
	}
	replays := replaysOf(t, b)
	first, err := replays.Plan(t.Context(), ReplayRequest{}, 0, 0)
	if err != nil || first.Webhooks != historyPart || first.Next != historyPart+1 || len(first.Groups) != maxReplayGroups || first.Others != historyPart/(maxReplayGroups+1) {
		t.Errorf("%d webhooks, next %d, %d groups, %d others, %v", first.Webhooks, first.Next, len(first.Groups), first.Others, err)
	}
	if rest, err := replays.Plan(t.Context(), ReplayRequest{}, first.Next, 0); err != nil || rest.Webhooks != 10 || rest.Next != 0 {
		t.Errorf("%+v, %v", rest, err)
	}
	if whole, err := replays.Plan(t.Context(), ReplayRequest{}, 0, time.Minute); err != nil || whole.Webhooks != total || whole.Next != 0 {
		t.Errorf("%d webhooks, %v", whole.Webhooks, err)
	}
}

func TestReplayRefused(t *testing.T) {
	s := openSpool(t, vfs.NewMem())
	defer s.Close()
	replays := replaysOf(t, New(s, newBroker(), Options{Logger: quiet}))
	now := time.Now()
	for want, request := range map[string]ReplayRequest{
		"is not before to":               {ReplayFilter: ReplayFilter{From: now, To: now}},
		`"x": no webhook's id`:           {ReplayFilter: ReplayFilter{IDs: []string{"x"}}},
		"at most 1000":                   {ReplayFilter: ReplayFilter{Events: make([]string, maxReplayValues+1)}},
		"rate -1":                        {Rate: -1},
		"rate +Inf":                      {Rate: math.Inf(1)},
		"rate NaN":                       {Rate: math.NaN()},
		`subject_prefix: "a b": not one`: {SubjectPrefix: "a b"},
		`subject_prefix: "": not one`:    {SubjectPrefix: "a."},
	} {
		_, err := replays.Start(request)
		if !errors.Is(err, ErrBadReplay) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if _, err := replays.Plan(t.Context(), request, 0, time.Minute); !errors.Is(err, ErrBadReplay) {
			t.Errorf("plan: %v", err)
		}
	}
	if kept := replays.List(); len(kept) != 0 {
		t.Errorf("%+v", kept)
	}
}

func settlementsOf(refs []spool.Ref) []spool.Settlement {
	settled := make([]spool.Settlement, len(refs))
	for i, ref := range refs {
		settled[i] = spool.Settlement{Ref: ref, At: time.Now()}
	}
	return settled
}

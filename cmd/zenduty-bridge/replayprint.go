package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
)

// addPlan adds the next part of a plan to those before.
func addPlan(whole *bridge.ReplayPlan, part bridge.ReplayPlan) {
	whole.Webhooks += part.Webhooks
	whole.Bytes += part.Bytes
	whole.Others += part.Others
	whole.Unreadable += part.Unreadable
	if whole.First.IsZero() {
		whole.First = part.First
	}
	if !part.Last.IsZero() {
		whole.Last = part.Last
	}
	for _, group := range part.Groups {
		same := func(g bridge.ReplayGroup) bool { return g.EventType == group.EventType && g.Service == group.Service }
		if i := slices.IndexFunc(whole.Groups, same); i >= 0 {
			whole.Groups[i].Webhooks += group.Webhooks
		} else {
			whole.Groups = append(whole.Groups, group)
		}
	}
	slices.SortStableFunc(whole.Groups, func(a, b bridge.ReplayGroup) int { return cmp.Compare(b.Webhooks, a.Webhooks) })
}

// maxGroupsShown is how many rows of a plan a person reads.
const maxGroupsShown = 20

func printPlan(w io.Writer, plan bridge.ReplayPlan, request bridge.ReplayRequest) error {
	if plan.Webhooks == 0 {
		_, err := fmt.Fprintln(w, "nothing to publish: the history has no such webhook (what is pending comes anyway, what is in quarantine is not replayed)")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "webhooks\tevent type\tservice")
	shown := plan.Groups[:min(len(plan.Groups), maxGroupsShown)]
	others := plan.Webhooks - plan.Unreadable
	for _, g := range shown {
		others -= g.Webhooks
		fmt.Fprintf(table, "%d\t%s\t%s\n", g.Webhooks, visible(g.EventType), cmp.Or(visible(g.Service), "(none)"))
	}
	if others > 0 {
		fmt.Fprintf(table, "%d\tothers\t\n", others)
	}
	if plan.Unreadable > 0 {
		fmt.Fprintf(table, "%d\tdamaged on disk, will be left out\t\n", plan.Unreadable)
	}
	fmt.Fprintf(table, "%d in all, received from %s to %s\n", plan.Webhooks, localTime(plan.First), localTime(plan.Last))
	if request.SubjectPrefix == "" {
		fmt.Fprintln(table, "onto the same subjects, with the header zenduty-bridge-replay: consumers get them again")
	} else {
		fmt.Fprintf(table, "below %s., with the header zenduty-bridge-replay: a stream must take %s.>\n", request.SubjectPrefix, request.SubjectPrefix)
	}
	return table.Flush()
}

func localTime(t time.Time) string { return t.Local().Format(time.DateTime) }

func printReplay(w io.Writer, r bridge.Replay) error {
	fmt.Fprintf(w, "replay %s %s: published %d of %d webhooks", r.ID, r.State, r.Published, r.Webhooks)
	if !r.Ended.IsZero() {
		fmt.Fprintf(w, " in %v", r.Ended.Sub(r.Started).Round(100*time.Millisecond))
	}
	for _, left := range []struct {
		n   int64
		why string
	}{
		{r.TooLarge, "too large for NATS"},
		{r.Unreadable, "damaged or evicted"},
		{gone(r), "no longer held"},
	} {
		if left.n > 0 {
			fmt.Fprintf(w, ", %d left out: %s", left.n, left.why)
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// gone is how many were evicted between the count and their turn.
func gone(r bridge.Replay) int64 {
	if r.State != bridge.ReplayDone {
		return 0
	}
	return r.Webhooks - r.Published - r.TooLarge - r.Unreadable
}

func printReplays(w io.Writer, all []bridge.Replay) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "id\tstate\tstarted\tpublished\tof\t")
	for _, r := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n", r.ID, r.State, localTime(r.Started), r.Published, r.Webhooks, visible(r.Error))
	}
	return table.Flush()
}

// replayProgress shows how far a replay is: as a bar on a terminal, and elsewhere by a
// line now and then, and when it begins or ceases to wait.
type replayProgress struct {
	p     *program
	bar   *progressbar.ProgressBar // nil: no terminal
	every time.Duration            // between two lines
	told  time.Time                // the last line
	waits bool
}

func newReplayProgress(p *program) *replayProgress {
	progress := &replayProgress{p: p, every: 10 * time.Second, told: time.Now()}
	if isTerminal(p.stderr) {
		progress.bar = progressbar.NewOptions(1,
			progressbar.OptionSetWriter(p.stderr), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetItsString("webhooks"), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return progress
}

func (s *replayProgress) show(r bridge.Replay) {
	if s.bar != nil {
		s.bar.Describe(replayDoes(r))
		s.bar.ChangeMax64(max(r.Webhooks, 1))
		_ = s.bar.Set64(r.Published + r.TooLarge + r.Unreadable) // a bar that cannot be drawn is no reason to stop
		return
	}
	if waits := r.Error != ""; waits != s.waits || time.Since(s.told) >= s.every {
		s.waits, s.told = waits, time.Now()
		s.p.note("%s", replayLine(r))
	}
}

// replayLine is how far a running replay is.
func replayLine(r bridge.Replay) string {
	return fmt.Sprintf("%s, %d of %d published", replayDoes(r), r.Published, r.Webhooks)
}

func replayDoes(r bridge.Replay) string {
	switch {
	case r.Counting:
		return "counting"
	case r.Error != "":
		return "waiting: " + visible(r.Error)
	}
	return "publishing"
}

// end clears the bar. It may be called again.
func (s *replayProgress) end() {
	if s.bar != nil {
		_ = s.bar.Finish() // likewise
		s.bar = nil
	}
}

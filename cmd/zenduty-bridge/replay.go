package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/admin"
)

// replayCommand publishes held webhooks again.
type replayCommand struct {
	Since    moment   `xor:"from" group:"Which webhooks" placeholder:"TIME" help:"Received since then: a duration such as 2h, or a time such as 2026-01-31T08:00:00Z."`
	From     moment   `xor:"from" group:"Which webhooks" placeholder:"TIME" help:"The same, to go with --to."`
	To       moment   `group:"Which webhooks" placeholder:"TIME" help:"Received before then."`
	Event    []string `group:"Which webhooks" placeholder:"TYPE" help:"Only this event type, such as triggered; may be repeated, as may those that follow."`
	Service  []string `group:"Which webhooks" placeholder:"ID" help:"Only this service, by its unique_id or alias."`
	Incident []string `group:"Which webhooks" placeholder:"ID" help:"Only this incident, by its unique_id or number."`
	ID       []string `name:"id" group:"Which webhooks" placeholder:"ID" help:"Only this webhook, by its id."`
	Source   []string `group:"Which webhooks" placeholder:"NAME" help:"Only what this source posted."`

	SubjectPrefix string  `placeholder:"PREFIX" help:"Publish below this prefix: again makes again.zenduty.incident.triggered.<service>. A stream of yours must take again.>; the bridge's does not."`
	Rate          float64 `placeholder:"N" help:"Publish at most N a second."`
	DryRun        bool    `help:"Only say what would be published."`
	Yes           bool    `short:"y" help:"Do not ask."`

	Resume string `xor:"what" group:"Replays that there are" placeholder:"ID" help:"Go on with a replay that was stopped or has failed."`
	Stop   string `xor:"what" group:"Replays that there are" placeholder:"ID" help:"Stop a replay that runs."`
	List   bool   `xor:"what" group:"Replays that there are" help:"List the replay that runs and the last that ended."`

	JSON bool `name:"json" help:"Print one JSON document: the plan with --dry-run, the list with --list, else the replay as it ended."`
	adminFlags
}

// Run does one of the things that can be done with replays.
func (c *replayCommand) Run(p *program) error {
	if c.known() && !c.isBare() {
		return usageError{errors.New("--resume, --stop and --list go without other flags: what a replay publishes was said when it was started")}
	}
	client, err := c.client(p)
	if err != nil {
		return err
	}
	switch {
	case c.List:
		return c.list(p, client)
	case c.Stop != "":
		replay, err := client.replay(p.ctx, c.Stop, "stop")
		if err != nil {
			return err
		}
		return c.print(p, replay)
	case c.Resume != "":
		replay, err := client.replay(context.WithoutCancel(p.ctx), c.Resume, "resume") // as in start
		if err != nil {
			return err
		}
		return c.follow(p, client, replay)
	}
	return c.start(p, client)
}

// known tells whether it is about a replay that there is.
func (c *replayCommand) known() bool { return c.List || c.Stop != "" || c.Resume != "" }

func (c *replayCommand) isBare() bool {
	return c.Since.IsZero() && c.From.IsZero() && c.To.IsZero() && c.SubjectPrefix == "" && c.Rate == 0 && !c.DryRun &&
		len(c.Event)+len(c.Service)+len(c.Incident)+len(c.ID)+len(c.Source) == 0
}

func (c *replayCommand) request() bridge.ReplayRequest {
	from := c.From.Time
	if from.IsZero() {
		from = c.Since.Time
	}
	return bridge.ReplayRequest{
		ReplayFilter: bridge.ReplayFilter{
			From: from, To: c.To.Time, IDs: c.ID, Sources: c.Source, Events: c.Event, Services: c.Service, Incidents: c.Incident,
		},
		SubjectPrefix: c.SubjectPrefix, Rate: c.Rate,
	}
}

// start says what would be published, asks, and publishes it.
func (c *replayCommand) start(p *program, client *adminClient) error {
	plan, err := client.planReplay(p.ctx, c.request())
	if err != nil {
		return err
	}
	switch {
	case c.JSON && c.DryRun:
		return printDocument(p.stdout, plan)
	case !c.JSON:
		if err := printPlan(p.stdout, plan, c.request()); err != nil {
			return err
		}
	}
	if c.DryRun || !c.JSON && plan.Webhooks == 0 {
		return nil
	}
	if !c.Yes {
		if err := p.confirm(fmt.Sprintf("Publish %d webhooks again?", plan.Webhooks)); err != nil {
			return err
		}
	}
	var replay bridge.Replay
	ctx := context.WithoutCancel(p.ctx) // an interrupt must not hide whether it runs: follow stops it
	if err := client.do(ctx, http.MethodPost, "replays", admin.ReplayCall{ReplayRequest: c.request()}, &replay); err != nil {
		return err
	}
	return c.follow(p, client, replay)
}

// replayPoll is how often a running replay is asked about.
const replayPoll = 200 * time.Millisecond

// follow shows a replay's progress until it ends. When p.ctx ends before, it stops it.
func (c *replayCommand) follow(p *program, client *adminClient, replay bridge.Replay) error {
	p.note("replay %s runs; Ctrl-C stops it, and zenduty-bridge replay --resume %s goes on", replay.ID, replay.ID)
	progress := newReplayProgress(p)
	defer progress.end()
	tick := time.NewTicker(replayPoll)
	defer tick.Stop()
	for replay.State == bridge.ReplayRunning {
		progress.show(replay)
		select {
		case <-p.ctx.Done():
		case <-tick.C:
		}
		now, err := client.lookAtReplay(p.ctx, replay.ID)
		switch {
		case err == nil:
			replay = now
		case !errors.Is(err, context.Canceled): // else it was asked when p.ctx ended
			return fmt.Errorf("%w; the replay may go on, see zenduty-bridge replay --list", err)
		}
	}
	progress.end()
	return c.print(p, replay)
}

// print tells how a replay ended. It fails unless that was as it was asked for.
func (c *replayCommand) print(p *program, r bridge.Replay) error {
	var err error
	if c.JSON {
		err = printDocument(p.stdout, r)
	} else {
		err = printReplay(p.stdout, r)
	}
	switch {
	case err != nil || r.State == bridge.ReplayDone || c.Stop != "":
		return err
	case r.State == bridge.ReplayFailed:
		return fmt.Errorf("replay %s failed: %s (when that is mended: zenduty-bridge replay --resume %s)", r.ID, r.Error, r.ID)
	}
	return fmt.Errorf("replay %s was stopped (to go on: zenduty-bridge replay --resume %s)", r.ID, r.ID)
}

func (c *replayCommand) list(p *program, client *adminClient) error {
	var all admin.ReplayList
	if err := client.get(p.ctx, "replays", nil, &all); err != nil {
		return err
	}
	if c.JSON {
		return printDocument(p.stdout, all)
	}
	return printReplays(p.stdout, all.Replays)
}

// planReplay asks for a plan, part by part.
func (c *adminClient) planReplay(ctx context.Context, request bridge.ReplayRequest) (bridge.ReplayPlan, error) {
	whole := bridge.ReplayPlan{Groups: []bridge.ReplayGroup{}}
	for next := uint64(0); ; {
		var part bridge.ReplayPlan
		err := c.do(ctx, http.MethodPost, "replays", admin.ReplayCall{ReplayRequest: request, DryRun: true, Next: next}, &part)
		if err != nil {
			return whole, err
		}
		addPlan(&whole, part)
		if next = part.Next; next == 0 {
			return whole, nil
		}
	}
}

// replay does something with a replay, or nothing, and returns how it then is.
func (c *adminClient) replay(ctx context.Context, id, do string) (r bridge.Replay, err error) {
	path := "replays/" + url.PathEscape(id)
	if do == "" {
		return r, c.get(ctx, path, nil, &r)
	}
	return r, c.do(ctx, http.MethodPost, path+"/"+do, nil, &r)
}

// lookAtReplay returns how a replay is, and stops it if ctx has ended.
func (c *adminClient) lookAtReplay(ctx context.Context, id string) (bridge.Replay, error) {
	if ctx.Err() == nil {
		return c.replay(ctx, id, "")
	}
	return c.replay(context.WithoutCancel(ctx), id, "stop")
}

// Help is kong's HelpProvider.
func (*replayCommand) Help() string {
	return `Publishes webhooks that JetStream has acknowledged and the bridge still holds (spool.retention) once more, in order within each incident. It says what that would be and asks first. Consumers get them like new ones, but for the header zenduty-bridge-replay; ce-id stays the webhook's. The bridge carries it out, one replay at a time, and keeps how far it is on disk: Ctrl-C stops it, --resume goes on, after a restart of the bridge as well.

Every publish is acknowledged by a stream. Below --subject-prefix that must be one of yours: without any the replay fails at once and says so.

Examples:

    zenduty-bridge replay --since 2h --dry-run
    zenduty-bridge replay --from 2026-01-31T08:00:00Z --to 2026-01-31T09:00:00Z --event triggered --event resolved
    zenduty-bridge replay --incident 217 --yes
    zenduty-bridge replay --since 24h --service checkout --subject-prefix again --rate 50
    zenduty-bridge replay --list
    zenduty-bridge replay --resume 3v0k9q2a`
}

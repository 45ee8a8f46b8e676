package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
)

// quarantineCommand looks after what could not be keyed or published.
type quarantineCommand struct {
	List  quarantineListCommand  `cmd:"" help:"List what could not be keyed or published, and why."`
	Show  quarantineShowCommand  `cmd:"" help:"Show one quarantined webhook and its body."`
	Retry quarantineRetryCommand `cmd:"" help:"Send quarantined webhooks again, when the cause is mended."`
	Drop  quarantineDropCommand  `cmd:"" help:"Remove quarantined webhooks for good."`
}

type quarantineListCommand struct {
	adminFlags
	Kind    string `enum:",unkeyable,refused,unreadable" default:"" placeholder:"KIND" help:"Only unkeyable, refused or unreadable ones."`
	JSON    bool   `name:"json" help:"Print JSON, a line each."`
	NoColor bool   `name:"no-color" help:"No colours, on a terminal neither."`
}

// Run prints each, oldest first.
func (c *quarantineListCommand) Run(p *program) error {
	client, err := c.client(p)
	if err != nil {
		return err
	}
	r := receipts{w: p.stdout, paint: p.colorsFor(p.stdout, c.NoColor), loc: time.Local}
	count := 0
	err = client.quarantine(p.ctx, bridge.Kind(c.Kind), func(h bridge.Held) error {
		count++
		if c.JSON {
			return printLine(p.stdout, h)
		}
		return r.print(count-1, h, nil)
	})
	if err == nil && count == 0 && !c.JSON {
		fmt.Fprintln(p.stderr, "nothing is in quarantine"+suffix(" that is ", c.Kind))
	}
	return err
}

// quarantine calls each for those of a kind, "" any, page by page.
func (c *adminClient) quarantine(ctx context.Context, kind bridge.Kind, each func(bridge.Held) error) error {
	for from := uint64(0); ; {
		var page bridge.QuarantinePage
		if err := c.get(ctx, "quarantine", url.Values{"from": {strconv.FormatUint(from, 10)}}, &page); err != nil {
			return err
		}
		for _, h := range page.Webhooks {
			if kind != "" && h.Kind != kind {
				continue
			}
			if err := each(h); err != nil {
				return err
			}
		}
		if page.Next == 0 {
			return nil
		}
		from = page.Next
	}
}

type quarantineShowCommand struct {
	adminFlags
	ID      string `arg:"" help:"The webhook's id."`
	JSON    bool   `name:"json" help:"Print one JSON document."`
	NoColor bool   `name:"no-color" help:"No colours, on a terminal neither."`
}

// Run prints its receipt and its body.
func (c *quarantineShowCommand) Run(p *program) error {
	client, err := c.client(p)
	if err != nil {
		return err
	}
	var held bridge.Held
	var body []byte
	if err := client.get(p.ctx, "quarantine/"+url.PathEscape(c.ID), nil, &held); err != nil {
		return err
	}
	if held.Kind != bridge.KindUnreadable {
		if err := client.get(p.ctx, "webhooks/"+held.ID+"/body", nil, &body); err != nil {
			return err
		}
	}
	if c.JSON {
		return printDocument(p.stdout, newTraced(&bridge.Trace{Webhooks: []bridge.Held{held}}, map[string][]byte{held.ID: body}).Webhooks[0])
	}
	return receipts{w: p.stdout, paint: p.colorsFor(p.stdout, c.NoColor), loc: time.Local}.print(0, held, body)
}

// choice says which quarantined webhooks are meant.
type choice struct {
	IDs  []string `arg:"" optional:"" name:"id" help:"The webhooks' ids."`
	All  bool     `help:"All of them, or with --kind all of a kind."`
	Kind string   `enum:",unkeyable,refused,unreadable" default:"" placeholder:"KIND" help:"With --all: only unkeyable, refused or unreadable ones."`
}

// chosen is the ids of those that are meant and match.
func (c choice) chosen(ctx context.Context, client *adminClient, match func(bridge.Held) bool) ([]string, error) {
	switch {
	case c.All == (len(c.IDs) > 0):
		return nil, usageError{errors.New("give ids, or --all")}
	case c.Kind != "" && !c.All:
		return nil, usageError{errors.New("--kind goes with --all")}
	case !c.All:
		return c.IDs, nil
	}
	var ids []string
	err := client.quarantine(ctx, bridge.Kind(c.Kind), func(h bridge.Held) error {
		if match(h) {
			ids = append(ids, h.ID)
		}
		return nil
	})
	return ids, err
}

type quarantineRetryCommand struct {
	adminFlags
	choice
	Wait time.Duration `default:"5s" help:"How long to wait for what becomes of them."`
	JSON bool          `name:"json" help:"Print JSON, a line each: the webhook as it then is."`
}

// Run makes them pending again, and tells what became of each. It fails unless all are
// delivered.
func (c *quarantineRetryCommand) Run(p *program) error {
	client, err := c.client(p)
	if err != nil {
		return err
	}
	ids, err := c.chosen(p.ctx, client, func(h bridge.Held) bool { return h.Kind != bridge.KindUnkeyable })
	if err != nil {
		return err
	}
	for i, id := range ids {
		if err := client.do(p.ctx, http.MethodPost, "quarantine/"+url.PathEscape(id)+"/retry", nil, nil); err != nil {
			return fmt.Errorf("%w (%d of %d are tried again)", err, i, len(ids))
		}
	}
	if len(ids) == 0 {
		fmt.Fprintln(p.stderr, "there is nothing in quarantine to try again")
		return nil
	}
	return c.report(p, client, ids)
}

// report waits for each in turn, all in all as long as --wait.
func (c *quarantineRetryCommand) report(p *program, client *adminClient, ids []string) error {
	deadline := time.Now().Add(c.Wait)
	again, pending := 0, 0
	r := receipts{w: p.stdout, paint: p.colorsFor(p.stdout, false), loc: time.Local}
	for i, id := range ids {
		held, err := client.settled(p.ctx, id, deadline)
		if err != nil {
			return err
		}
		switch held.State {
		case bridge.StateQuarantined:
			again++
		case bridge.StatePending:
			pending++
		}
		if c.JSON {
			err = printLine(p.stdout, held)
		} else {
			err = r.print(i, held, nil)
		}
		if err != nil {
			return err
		}
	}
	var left []string
	if again > 0 {
		left = append(left, fmt.Sprintf("%d of %d are in quarantine again", again, len(ids)))
	}
	if pending > 0 {
		left = append(left, fmt.Sprintf("%d of %d are still waiting: %s (they will be sent, and need no other retry)", pending, len(ids), client.whatItWaitsFor(p.ctx)))
	}
	if len(left) > 0 {
		return errors.New(strings.Join(left, ", "))
	}
	return nil
}

// whatItWaitsFor is why the bridge has not delivered yet what is pending.
func (c *adminClient) whatItWaitsFor(ctx context.Context) string {
	status, err := c.status(ctx)
	switch {
	case err != nil:
		return err.Error()
	case status.Relay.Waits == nil:
		return "they have not had their turn yet, see zenduty-bridge status"
	}
	return visible(status.Relay.Waits.Why)
}

// settled is a webhook when it is no longer pending, or at the deadline.
func (c *adminClient) settled(ctx context.Context, id string, deadline time.Time) (bridge.Held, error) {
	for {
		var found bridge.Trace
		if err := c.get(ctx, "webhooks", url.Values{"id": {id}}, &found); err != nil {
			return bridge.Held{}, err
		}
		if len(found.Webhooks) == 0 {
			return bridge.Held{}, fmt.Errorf("%s is not held any more", id)
		}
		if found.Webhooks[0].State != bridge.StatePending || time.Now().After(deadline) {
			return found.Webhooks[0], nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return found.Webhooks[0], fmt.Errorf("interrupted: what is tried again stays so, see zenduty-bridge status: %w", ctx.Err())
		}
	}
}

type quarantineDropCommand struct {
	adminFlags
	choice
	Yes bool `short:"y" help:"Do not ask."`
}

// Run removes them, after it has asked.
func (c *quarantineDropCommand) Run(p *program) error {
	client, err := c.client(p)
	if err != nil {
		return err
	}
	ids, err := c.chosen(p.ctx, client, func(bridge.Held) bool { return true })
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		fmt.Fprintln(p.stderr, "there is nothing in quarantine to drop")
		return nil
	}
	if !c.Yes {
		if err := p.confirm(fmt.Sprintf("Drop %s for good?", countText(len(ids), "webhook"))); err != nil {
			return err
		}
	}
	for i, id := range ids {
		if err := client.do(p.ctx, http.MethodDelete, "quarantine/"+url.PathEscape(id), nil, nil); err != nil {
			return fmt.Errorf("%w (%d of %d are dropped)", err, i, len(ids))
		}
	}
	fmt.Fprintf(p.stdout, "dropped %s\n", countText(len(ids), "webhook"))
	return nil
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/admin"
)

// statusCommand shows what a running bridge holds and does.
type statusCommand struct {
	adminFlags
	Watch    bool          `short:"w" help:"Look again and again until interrupted."`
	Interval time.Duration `default:"2s" help:"Time between two looks of --watch."`
	JSON     bool          `name:"json" help:"Print JSON, as the API gives it: one document, with --watch one a line."`
	NoColor  bool          `name:"no-color" help:"No colours, on a terminal neither."`
}

// Run prints one look, or with --watch one after the other.
func (c *statusCommand) Run(p *program) error {
	if c.Interval < 100*time.Millisecond {
		return usageError{errors.New("--interval must be at least 100ms")}
	}
	client, err := c.client(p)
	if err != nil {
		return err
	}
	if c.Watch {
		return c.watch(p, client)
	}
	status, err := client.status(p.ctx)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printDocument(p.stdout, status)
	}
	return display{w: p.stdout, paint: p.colorsFor(p.stdout, c.NoColor)}.show(status)
}

func (c *adminClient) status(ctx context.Context) (*admin.Status, error) {
	var status admin.Status
	if err := c.get(ctx, "status", nil, &status); err != nil {
		return nil, err
	}
	return &status, nil
}

// watch goes on while the bridge is away: it may be on its way up again.
func (c *statusCommand) watch(p *program, client *adminClient) error {
	s := display{w: p.stdout, paint: p.colorsFor(p.stdout, c.NoColor), redraw: isTerminal(p.stdout)}
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	for {
		status, err := client.status(p.ctx)
		switch {
		case p.ctx.Err() != nil:
			return nil // Ctrl-C is how it ends
		case err != nil && c.JSON:
			fmt.Fprintln(p.stderr, "zenduty-bridge:", err)
		case err != nil:
			err = s.showError(err)
		case c.JSON:
			err = printLine(p.stdout, status)
		default:
			err = s.show(status)
			s.before = status
		}
		if err != nil && status != nil {
			return err // of writing
		}
		select {
		case <-p.ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// display shows looks at a bridge.
type display struct {
	w      io.Writer
	paint  palette
	redraw bool          // each look in the place of the one before
	before *admin.Status // the look before, nil if there was none
}

const redraw = "\x1b[H\x1b[2J" // ECMA-48: CUP, ED

func (s display) begin() *bytes.Buffer {
	var b bytes.Buffer
	switch {
	case s.redraw:
		b.WriteString(redraw)
	case s.before != nil:
		b.WriteString("\n")
	}
	return &b
}

func (s display) showError(err error) error {
	b := s.begin()
	fmt.Fprintln(b, s.paint.paint(red, err.Error()))
	_, err = s.w.Write(b.Bytes())
	return err
}

// show writes one look in one go.
func (s display) show(status *admin.Status) error {
	b := s.begin()
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, part := range []struct {
		name  string
		lines []string
	}{
		{"bridge", s.bridgeLines(status)},
		{"spool", s.spoolLines(status)},
		{"relay", s.relayLines(status)},
		{"replay", s.replayLines(status)},
		{"nats", s.natsLines(status)},
		{"stream", s.streamLines(status)},
		{"sources", s.sourceLines(status)},
		{"last webhook", lastLines(status)},
	} {
		for i, line := range part.lines {
			if i > 0 {
				part.name = ""
			}
			fmt.Fprintf(table, "%s\t%s\n", part.name, line)
		}
	}
	_ = table.Flush() // to a buffer
	_, err := s.w.Write(b.Bytes())
	return err
}

func (s display) bridgeLines(status *admin.Status) []string {
	takes := s.paint.paint(green, "takes webhooks")
	if status.Spool.Refuses != "" {
		takes = s.paint.paint(red, "takes no webhooks: "+status.Spool.Refuses)
	}
	return []string{
		takes,
		fmt.Sprintf("%s (commit %s), up %s", status.Version, status.Commit, spanText(status.Now.Sub(status.Started))),
	}
}

func (s display) spoolLines(status *admin.Status) []string {
	spool := status.Spool
	quarantined := fmt.Sprintf("%d quarantined", spool.Quarantined.Webhooks)
	if spool.Quarantined.Webhooks > 0 {
		quarantined = s.paint.paint(magenta, quarantined)
	}
	lines := []string{
		fmt.Sprintf("%d pending, %d retained, %s", spool.Pending.Webhooks, spool.Retained.Webhooks, quarantined),
		fmt.Sprintf("%s of %s (%.1f %%)", sizeText(spool.Bytes), sizeText(spool.MaxBytes), 100*float64(spool.Bytes)/float64(max(spool.MaxBytes, 1))),
	}
	if !spool.OldestPending.IsZero() {
		lines = append(lines, "oldest pending "+spanText(status.Now.Sub(spool.OldestPending)))
	}
	return lines
}

// waitsFor says in words what the relay waits for.
var waitsFor = map[string]string{
	bridge.ForConnection: "NATS", bridge.ForStream: "the stream", bridge.ForAcknowledgement: "an acknowledgement",
}

func (s display) relayLines(status *admin.Status) []string {
	relay, recent := status.Relay, status.Relay.Recent
	lines := []string{fmt.Sprintf("%d in flight, %d acknowledged since the start", relay.InFlight, relay.Acknowledged)}
	if recent.Acknowledged > 0 {
		lines = append(lines, fmt.Sprintf("within %s: %.1f/s, lag %s on average, %s at most",
			secondsText(recent.Seconds), recent.PerSecond, secondsText(recent.MeanLag), secondsText(recent.MaxLag)))
	}
	if line := s.sinceBefore(status); line != "" {
		lines = append(lines, line)
	}
	if w := relay.Waits; w != nil {
		lines = append(lines, s.paint.paint(yellow, fmt.Sprintf("waits for %s since %s: %s",
			cmp.Or(waitsFor[w.For], w.For), spanText(status.Now.Sub(w.Since)), visible(w.Why))))
	}
	return lines
}

// sinceBefore is what was taken and acknowledged since the look before.
func (s display) sinceBefore(status *admin.Status) string {
	if s.before == nil || !s.before.Started.Equal(status.Started) {
		return ""
	}
	seconds := status.Now.Sub(s.before.Now).Seconds()
	if seconds <= 0 {
		return ""
	}
	return fmt.Sprintf("now: %.1f/s taken, %.1f/s acknowledged",
		float64(newOnes(status)-newOnes(s.before))/seconds, float64(status.Relay.Acknowledged-s.before.Relay.Acknowledged)/seconds)
}

// newOnes is how many webhooks were new, from all sources.
func newOnes(status *admin.Status) (n uint64) {
	for _, source := range status.Sources {
		n += source.Webhooks[string(bridge.Accepted)] + source.Webhooks[string(bridge.Quarantined)]
	}
	return n
}

// replayLines is nothing unless one runs.
func (s display) replayLines(status *admin.Status) []string {
	r := status.Replay
	if r == nil {
		return nil
	}
	line := r.ID + ": " + replayLine(*r)
	if r.Error != "" {
		line = s.paint.paint(yellow, line)
	}
	return []string{line}
}

func (s display) natsLines(status *admin.Status) []string {
	nats := status.NATS
	since := spanText(status.Now.Sub(nats.Since))
	if !nats.Connected {
		return []string{s.paint.paint(red, fmt.Sprintf("not connected since %s", since)) + suffix(": ", visible(nats.Error))}
	}
	return []string{
		fmt.Sprintf("connected since %s to %s%s", since, visible(nats.URL), suffix(", cluster ", visible(nats.Cluster))),
		fmt.Sprintf("server %s, version %s", visible(nats.Server), visible(nats.Version)),
	}
}

// suffix is text with something before it, nothing if there is no text.
func suffix(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func (s display) streamLines(status *admin.Status) []string {
	stream := status.Stream
	if stream.Error != "" {
		return []string{stream.Name + ": " + s.paint.paint(yellow, visible(stream.Error))}
	}
	lines := []string{fmt.Sprintf("%s: %s, %s, last sequence %d", stream.Name,
		countText(stream.Messages, "message"), sizeText(int64(stream.Bytes)), stream.Last)}
	for _, drift := range stream.Drift {
		lines = append(lines, s.paint.paint(yellow, "not as the bridge would have it: "+visible(drift)))
	}
	return lines
}

func (s display) sourceLines(status *admin.Status) []string {
	var lines []string
	for _, source := range status.Sources {
		var counts []string
		for _, outcome := range slices.Sorted(maps.Keys(source.Webhooks)) {
			counts = append(counts, fmt.Sprintf("%d %s", source.Webhooks[outcome], outcome))
		}
		lines = append(lines, fmt.Sprintf("%s (signature %s): %s", source.Name, source.Signature, cmp.Or(strings.Join(counts, ", "), "nothing yet")))
		for _, m := range source.Matches {
			lines = append(lines, fmt.Sprintf("  %d signed over %s by key %s", m.Webhooks, m.Rendering, m.Key))
		}
		for _, k := range source.Keys {
			lines = append(lines, "  "+s.keyLine(k, status.Now))
		}
	}
	return lines
}

// keyLine is a key, when it is valid if not always, and when it was last of use.
func (s display) keyLine(k admin.Key, now time.Time) string {
	line := "key " + k.Name
	switch {
	case k.State == admin.KeyExpired:
		line += ", " + s.paint.paint(yellow, "expired at "+k.NotAfter.Format(time.RFC3339))
	case k.State == admin.KeyNotYetValid:
		line += ", " + s.paint.paint(yellow, "valid from "+k.NotBefore.Format(time.RFC3339))
	case !k.NotAfter.IsZero():
		line += ", valid until " + k.NotAfter.Format(time.RFC3339)
	}
	if k.LastUsed.IsZero() {
		return line + ", not used since the start"
	}
	return line + ", last used " + spanText(now.Sub(k.LastUsed)) + " ago"
}

func lastLines(status *admin.Status) []string {
	if status.LastWebhook == nil {
		return []string{"none is held" + lastSeen(status)}
	}
	return []string{
		fmt.Sprintf("%s ago from %s: %s", spanText(status.Now.Sub(status.LastWebhook.Received)), status.LastWebhook.Source, title(status.LastWebhook)),
		status.LastWebhook.ID,
	}
}

// lastSeen is when the last webhook came, if one has since the bridge was started.
func lastSeen(status *admin.Status) string {
	var last admin.Source
	for _, source := range status.Sources {
		if source.LastWebhook.After(last.LastWebhook) {
			last = source
		}
	}
	if last.LastWebhook.IsZero() {
		return ""
	}
	return fmt.Sprintf("; the last came %s ago from %s", spanText(status.Now.Sub(last.LastWebhook)), last.Name)
}

// title is what a webhook is called in a line.
func title(h *bridge.Held) string {
	text := visible(cmp.Or(h.EventType, "webhook"))
	if h.Number != 0 {
		text += fmt.Sprintf(" #%d", h.Number)
	}
	return text
}

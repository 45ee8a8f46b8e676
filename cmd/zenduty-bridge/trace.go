package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
)

// traceCommand tells what became of webhooks.
type traceCommand struct {
	adminFlags
	ID      string `arg:"" help:"A webhook's id, an incident's unique_id, or an incident's number."`
	Source  string `placeholder:"NAME" help:"Only webhooks of this source."`
	Limit   int    `default:"100" placeholder:"NUMBER" help:"Print this many of an incident at most, the newest; up to 1000."`
	Body    bool   `help:"Print the bodies as well."`
	JSON    bool   `name:"json" help:"Print one JSON document."`
	NoColor bool   `name:"no-color" help:"No colours, on a terminal neither."`
}

// Run prints each webhook's receipt, oldest first.
func (c *traceCommand) Run(p *program) error {
	client, err := c.client(p)
	if err != nil {
		return err
	}
	found, err := c.find(p, client)
	if err != nil {
		return err
	}
	slices.Reverse(found.Webhooks)
	bodies := map[string][]byte{}
	for _, h := range found.Webhooks {
		if !c.Body {
			break
		}
		var body []byte
		if err := client.get(p.ctx, "webhooks/"+h.ID+"/body", nil, &body); err != nil {
			return err
		}
		bodies[h.ID] = body
	}
	if c.JSON {
		return printDocument(p.stdout, newTraced(found, bodies))
	}
	if found.More {
		fmt.Fprintf(p.stderr, "there are older ones than these %d, see --limit\n", len(found.Webhooks))
	}
	r := receipts{w: p.stdout, paint: p.colorsFor(p.stdout, c.NoColor), loc: time.Local, since: found.Since}
	for i, h := range found.Webhooks {
		if err := r.print(i, h, bodies[h.ID]); err != nil {
			return err
		}
	}
	return nil
}

var (
	webhookID      = regexp.MustCompile(`^[0-9a-v]{32}$`)
	incidentNumber = regexp.MustCompile(`^#?([1-9][0-9]{0,17})$`)
)

// find asks for what the text may be, one after the other, until something is found:
// what costs the bridge most is last.
func (c *traceCommand) find(p *program, client *adminClient) (*bridge.Trace, error) {
	var ways [][2]string
	if webhookID.MatchString(c.ID) {
		ways = append(ways, [2]string{"id", c.ID})
	}
	number := incidentNumber.FindStringSubmatch(c.ID)
	if !strings.HasPrefix(c.ID, "#") && c.ID != "" {
		ways = append(ways, [2]string{"incident", c.ID})
	}
	if number != nil {
		ways = append(ways, [2]string{"number", number[1]})
	}
	for _, way := range ways {
		query := url.Values{way[0]: {way[1]}, "limit": {strconv.Itoa(c.Limit)}}
		if c.Source != "" {
			query.Set("source", c.Source)
		}
		var found bridge.Trace
		if err := client.get(p.ctx, "webhooks", query, &found); err != nil {
			return nil, err
		}
		if len(found.Webhooks) > 0 {
			return &found, nil
		}
	}
	return nil, fmt.Errorf("the bridge holds no webhook with the id %s, nor one of an incident with that unique_id or number (relayed ones are kept for spool.retention)", visible(c.ID))
}

// traced is the JSON form: the API's, with bodies where they were asked for.
type traced struct {
	Webhooks []tracedWebhook `json:"webhooks"` // oldest first
	More     bool            `json:"more"`
	Since    time.Time       `json:"since"`
}

// tracedWebhook has one of Body and DataBase64 if the body was asked for, as in
// tail's JSON.
type tracedWebhook struct {
	bridge.Held
	Body       json.RawMessage `json:"body,omitempty"`
	DataBase64 []byte          `json:"data_base64,omitempty"`
}

func newTraced(found *bridge.Trace, bodies map[string][]byte) traced {
	t := traced{Webhooks: []tracedWebhook{}, More: found.More, Since: found.Since}
	for _, h := range found.Webhooks {
		one := tracedWebhook{Held: h}
		if body, ok := bodies[h.ID]; ok && isJSON(body) {
			one.Body = body
		} else {
			one.DataBase64 = body
		}
		t.Webhooks = append(t.Webhooks, one)
	}
	return t
}

// receipts is where held webhooks are shown to a person.
type receipts struct {
	w     io.Writer
	paint palette
	loc   *time.Location
	since time.Time // when the bridge was started; zero: not known
}

// print shows the i-th, and its body if that is not nil.
func (r receipts) print(i int, h bridge.Held, body []byte) error {
	var b strings.Builder
	if i > 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s  %s  %s\n", r.paint.paint(bold, h.ID), r.paint.event(h.EventType, title(&h)), r.state(h))
	for _, line := range [][2]string{
		{"received", r.time(h.Received) + suffix(" from ", h.Source) + suffix(", key ", h.Key) + suffix(", signed over ", h.Rendering)},
		{"incident", visible(h.Incident) + suffix(" of service ", visible(h.Service))},
		{"spool", fmt.Sprintf("place %d, %s", h.Seq, sizeText(h.Bytes))},
		{"sent", r.sent(h)},
		{"stream", r.stream(h)},
		{"quarantined", r.quarantined(h)},
		{"duplicates", r.duplicates(h)},
	} {
		if line[1] != "" {
			fmt.Fprintf(&b, "   %s %s\n", r.paint.paint(dim, fmt.Sprintf("%-12s", line[0])), line[1])
		}
	}
	if body != nil {
		b.WriteString("\n   " + page{unfold: true}.body(body) + "\n")
	}
	_, err := io.WriteString(r.w, b.String())
	return err
}

func (r receipts) state(h bridge.Held) string {
	switch h.State {
	case bridge.StateAcknowledged:
		return r.paint.paint(green, string(h.State))
	case bridge.StateQuarantined:
		return r.paint.paint(magenta, fmt.Sprintf("%s (%s)", h.State, h.Kind))
	}
	return r.paint.paint(yellow, string(h.State))
}

// time is to the millisecond, with the place's offset: it is held against logs.
func (r receipts) time(t time.Time) string {
	return t.In(r.loc).Format("2006-01-02 15:04:05.000 -0700")
}

func (r receipts) sent(h bridge.Held) string {
	if h.Attempts == 0 && h.State == bridge.StatePending {
		return "not since the bridge was started"
	}
	return countText(h.Attempts, "attempt")
}

func (r receipts) stream(h bridge.Held) string {
	if h.Sequence == 0 {
		return ""
	}
	text := fmt.Sprintf("%s sequence %d at %s, lag %s", h.Stream, h.Sequence, r.time(h.Settled), secondsText(h.Lag))
	if h.Found {
		text += "; it was there already"
	}
	return text
}

// remedies say what to do about a quarantined webhook.
var remedies = map[bridge.Kind]string{
	bridge.KindUnkeyable:  "published on the quarantine's subject; drop it when that is dealt with",
	bridge.KindRefused:    "retry it when the cause is mended",
	bridge.KindUnreadable: "it is damaged on disk: see zenduty-bridge spool verify",
}

func (r receipts) quarantined(h bridge.Held) string {
	if h.State != bridge.StateQuarantined {
		return ""
	}
	return fmt.Sprintf("since %s: %s (%s)", r.time(h.Settled), visible(h.Reason), cmp.Or(remedies[h.Kind], string(h.Kind)))
}

func (r receipts) duplicates(h bridge.Held) string {
	text := fmt.Sprintf("%d refused", h.DuplicatesRefused)
	if r.since.IsZero() {
		return text + " since the bridge was started"
	}
	return text + " since the bridge was started, " + r.time(r.since)
}

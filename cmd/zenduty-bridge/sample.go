package main

import (
	"crypto/rand"
	_ "embed" // for the samples
	"encoding/json"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// The samples are one incident's three webhooks as Zenduty's guide shows them, in
// the exact bytes of Python's json.dumps.
var (
	//go:embed samples/triggered.json
	sampleTriggered string
	//go:embed samples/acknowledged.json
	sampleAcknowledged string
	//go:embed samples/resolved.json
	sampleResolved string
)

// What is in the samples and is replaced by a webhook's own values.
const (
	sampleNumber         = `"incident_number": 217`
	sampleID             = `"unique_id": "vuwtGfyHf9JaN5vg5sEc4N"`
	sampleKey            = `"incident_key": "C67SCMypoCyUWwLpbVSSy2"`
	sampleService        = `"unique_id": "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0"`
	sampleTitle          = `"title": "Free disk space is less than 20% on volume sdx-03"`
	sampleSummary        = `"summary": "Linux 008 Free disk space is less than 20% on volume sdx-03"`
	sampleCreatedAt      = `"creation_date": "2020-05-21T19:42:16.372614Z"`
	sampleAcknowledgedAt = `"acknowledged_date": "2020-05-25T11:18:55.112452Z"`
	sampleResolvedAt     = `"resolved_date": "2020-05-28T16:46:46.020227Z"`
	sampleWindowStart    = `"context_window_start": "2020-05-21T19:12:16.372000Z"`
	sampleWindowEnd      = `"context_window_end": "2020-05-21T19:42:16.372000Z"`
)

// zendutyTime is how the samples write a date: RFC 3339 in UTC, in microseconds.
const zendutyTime = "2006-01-02T15:04:05.000000Z"

// incident is a made-up incident, whose webhooks share its ids and dates.
type incident struct {
	number  int64
	id, key string
	service string // unique_id; empty: the sample's
	title   string // empty: the sample's
	created time.Time
	// acknowledged and resolved are when render was first asked for those events.
	acknowledged, resolved time.Time
}

// newIncident returns an incident that never was before, save for its number.
func newIncident(number int64, service, title string, now time.Time) *incident {
	return &incident{
		number: number, id: randomID(), key: randomID(),
		service: service, title: title, created: now,
	}
}

// randomID is as long as Zenduty's ids of incidents: 22 letters and digits.
func randomID() string { return rand.Text()[:22] }

// webhooks are the incident's, one an event, each made when it is asked for.
func (i *incident) webhooks(events []string) iter.Seq[webhook] {
	return func(yield func(webhook) bool) {
		for _, event := range events {
			if !yield(webhook{event: event, number: i.number, body: i.render(event, time.Now())}) {
				return
			}
		}
	}
}

// render returns the incident's webhook of an event, now, as json.dumps writes it.
// An event that Zenduty does not document looks like triggered.
func (i *incident) render(event string, now time.Time) []byte {
	sample, name := sampleTriggered, zenduty.EventTriggered
	switch event {
	case zenduty.EventAcknowledged:
		sample, name, i.acknowledged = sampleAcknowledged, event, now
	case zenduty.EventResolved:
		sample, name, i.resolved = sampleResolved, event, now
	}
	if i.acknowledged.IsZero() {
		i.acknowledged = now // an incident of which only the end is sent
	}
	pairs := append(i.replacements(), member("event_type", name), member("event_type", event))
	return []byte(strings.NewReplacer(pairs...).Replace(sample))
}

// replacements are what is in a sample, each followed by what replaces it.
func (i *incident) replacements() []string {
	window := i.created.Truncate(time.Millisecond)
	pairs := []string{
		sampleNumber, `"incident_number": ` + strconv.FormatInt(i.number, 10),
		sampleID, member("unique_id", i.id),
		sampleKey, member("incident_key", i.key),
		sampleCreatedAt, date("creation_date", i.created),
		sampleAcknowledgedAt, date("acknowledged_date", i.acknowledged),
		sampleResolvedAt, date("resolved_date", i.resolved),
		sampleWindowStart, date("context_window_start", window.Add(-30*time.Minute)),
		sampleWindowEnd, date("context_window_end", window),
	}
	if i.service != "" {
		pairs = append(pairs, sampleService, member("unique_id", i.service))
	}
	if i.title != "" {
		pairs = append(pairs, sampleTitle, member("title", i.title), sampleSummary, member("summary", i.title))
	}
	return pairs
}

func date(name string, t time.Time) string { return member(name, t.UTC().Format(zendutyTime)) }

// member is a member of a JSON object as json.dumps writes it.
func member(name, value string) string {
	text, _ := json.Marshal(value)           // a string has a JSON form, whatever its bytes,
	text, _ = zenduty.AppendDumps(nil, text) // and that has another
	return `"` + name + `": ` + string(text)
}

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

func mustParse(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// The incident that the samples are about gives the samples, byte for byte.
func TestRenderGivesTheSamples(t *testing.T) {
	i := &incident{
		number: 217, id: "vuwtGfyHf9JaN5vg5sEc4N", key: "C67SCMypoCyUWwLpbVSSy2",
		created: mustParse(t, "2020-05-21T19:42:16.372614Z"),
	}
	for _, w := range []struct{ event, at, want string }{
		{"triggered", "2020-05-21T19:42:17Z", sampleTriggered},
		{"acknowledged", "2020-05-25T11:18:55.112452Z", sampleAcknowledged},
		{"resolved", "2020-05-28T16:46:46.020227Z", sampleResolved},
	} {
		t.Run(w.event, func(t *testing.T) {
			if diff := cmp.Diff(w.want, string(i.render(w.event, mustParse(t, w.at)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever an incident is called, its webhooks are what json.dumps would write,
// carry its own values and nothing of the sample's.
func TestRenderIsJSONDumps(t *testing.T) {
	titles := []string{
		"", "Disk full", `quoted "a": {b} \ back`, "Größe ≥ 90 % 🔥 <&>", "line\nand\ttab\x7f\x00", "bad \xff bytes",
		sampleCreatedAt, // looks like what is replaced, and is not to be
	}
	verifier, err := zenduty.NewVerifier(zenduty.ModeRaw, []zenduty.Key{{Name: "test", Secret: "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, title := range titles {
		for _, event := range append([]string{"escalated", `a "b"`}, incidentEvents...) {
			t.Run(event+" "+title, func(t *testing.T) {
				now := mustParse(t, "2026-03-04T05:06:07.89Z")
				i := newIncident(4711, "service-1", title, now)
				body := i.render(event, now)
				dumps, err := zenduty.AppendDumps(nil, body)
				if err != nil {
					t.Fatalf("%v in %s", err, body)
				}
				if diff := cmp.Diff(string(dumps), string(body)); diff != "" {
					t.Error("not as json.dumps writes it:", diff)
				}
				if match, err := verifier.Verify(body, zenduty.Sign("secret", body), time.Now()); err != nil || match.Rendering != zenduty.RenderingRaw {
					t.Errorf("Verify = %v, %v", match.Rendering, err)
				}
				fields, err := zenduty.ReadFields(body)
				want := zenduty.Fields{EventType: event, IncidentID: i.id, IncidentNumber: 4711, ServiceID: "service-1", Time: now}
				if diff := cmp.Diff(want, fields); diff != "" || err != nil {
					t.Error(err, diff)
				}
				if shown := (arrival{Body: body}).gist().Title; title != "" && shown != strings.ToValidUTF8(title, "\uFFFD") {
					t.Errorf("title = %q", shown)
				}
				if title != sampleCreatedAt && strings.Contains(string(body), "2020-05-2") {
					t.Errorf("a date of the sample is left: %s", body)
				}
			})
		}
	}
}

func TestIncidentsAreDistinct(t *testing.T) {
	now := time.Now()
	seen := map[string]bool{}
	for range 100 {
		i := newIncident(1, "", "", now)
		for _, id := range []string{i.id, i.key} {
			if len(id) != 22 || seen[id] {
				t.Fatalf("id %q is too short or was there before", id)
			}
			seen[id] = true
		}
	}
}

// The webhooks of an incident share its ids and are in the order of its dates.
func TestIncidentWebhooksBelongTogether(t *testing.T) {
	i := newIncident(5, "", "", time.Now())
	var last time.Time
	for w := range i.webhooks(incidentEvents) {
		fields, err := zenduty.ReadFields(w.body)
		if err != nil || fields.EventType != w.event || fields.IncidentID != i.id || w.number != 5 {
			t.Errorf("%s: %+v, %v", w.event, fields, err)
		}
		if fields.Time.Before(last) {
			t.Errorf("%s is at %s, before the event in front of it", w.event, fields.Time)
		}
		last = fields.Time
	}
}

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/config"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

func TestFeedSubjects(t *testing.T) {
	for _, c := range []struct {
		name   string
		feed   feed
		live   []string
		stream []string
	}{
		{"all", feed{template: publisher.DefaultSubject},
			[]string{"zenduty.incident.*"}, []string{"zenduty.incident.*.*"}},
		{"events, one twice", feed{template: publisher.DefaultSubject, events: []string{"triggered", "resolved", "triggered"}},
			[]string{"zenduty.incident.triggered", "zenduty.incident.resolved"},
			[]string{"zenduty.incident.triggered.*", "zenduty.incident.resolved.*"}},
		{"an event that is not a token", feed{template: publisher.DefaultSubject, events: []string{"a.b >"}},
			[]string{"zenduty.incident.a_b__"}, []string{"zenduty.incident.a_b__.*"}},
		{"quarantine", feed{template: publisher.DefaultSubject, events: []string{"triggered"}, quarantine: true},
			[]string{"zenduty.incident.triggered", "zenduty.quarantine.*"},
			[]string{"zenduty.incident.triggered.*", "zenduty.quarantine.*"}},
		{"event last: no live feed", feed{template: "pager.{service}.{event_type}", events: []string{"triggered"}},
			[]string{"pager.*.triggered"}, []string{"pager.*.triggered"}},
		{"no event", feed{template: "pager.{source}", events: []string{"triggered"}},
			[]string{"pager.*"}, []string{"pager.*"}},
		{"unknown placeholder", feed{template: "{x}"}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			live, liveErr := c.feed.liveSubjects()
			stream, streamErr := c.feed.streamSubjects()
			if (liveErr != nil || streamErr != nil) != (c.live == nil) {
				t.Fatal(liveErr, streamErr)
			}
			if diff := cmp.Diff(c.live, live) + cmp.Diff(c.stream, stream); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What tail listens to live is what the bridge says that its feed is.
func TestFeedIsThePublishers(t *testing.T) {
	for _, template := range []string{publisher.DefaultSubject, "a.{source}.{event_type}.{service}", "a.{service}.{event_type}", "a.b"} {
		subject, err := publisher.ParseSubject(template)
		if err != nil {
			t.Fatal(err)
		}
		want := subject.Live()
		if want == "" {
			want = subject.Wildcard()
		}
		if got, err := (feed{template: template}).liveSubjects(); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, %v, want %s", template, got, err, want)
		}
	}
}

func TestOutputWants(t *testing.T) {
	const id = "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0"
	a := arrival{Subject: "zenduty.incident.triggered.check_out", Body: []byte(sampleTriggered)}
	for _, c := range []struct {
		name             string
		events, services []string
		want             bool
	}{
		{name: "all", want: true},
		{name: "event", events: []string{"resolved", "triggered"}, want: true},
		{name: "another event", events: []string{"resolved"}},
		{name: "service's id", services: []string{"x", id}, want: true},
		{name: "service's name", services: []string{"ZD Prod"}, want: true},
		{name: "service's alias", services: []string{"check out"}, want: true},
		{name: "another service", services: []string{"triggered"}},
		{name: "event and another service", events: []string{"triggered"}, services: []string{"x"}},
		{name: "service and another event", events: []string{"x"}, services: []string{id}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := output{events: c.events, services: c.services, template: strings.Split(publisher.DefaultSubject, ".")}
			if got := o.wants(a); got != c.want {
				t.Errorf("wants = %v", got)
			}
			if !o.wants(quarantined("?")) {
				t.Error("a quarantined webhook is left out, though it was asked for")
			}
		})
	}
}

func TestMoment(t *testing.T) {
	before := time.Now()
	var m moment
	if err := m.UnmarshalText([]byte("90m")); err != nil || m.Before(before.Add(-90*time.Minute)) || m.After(time.Now().Add(-90*time.Minute)) {
		t.Errorf("%s, %v", m, err)
	}
	if err := m.UnmarshalText([]byte("2026-01-31T08:00:00+01:00")); err != nil || !m.Equal(time.Date(2026, 1, 31, 7, 0, 0, 0, time.UTC)) {
		t.Errorf("%s, %v", m, err)
	}
	for _, bad := range []string{"", "0s", "-1h", "2", "2d", "yesterday", "2026-01-31"} {
		if err := m.UnmarshalText([]byte(bad)); err == nil || !strings.Contains(err.Error(), "such as 90m") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:4222": "127.0.0.1:4222", ":4222": "127.0.0.1:4222", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1",
		"nats.example.com:4222": "nats.example.com:4222", "[::1]:4222": "[::1]:4222",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("reachable(%q) = %q, want %q", listen, got, want)
		}
	}
}

// tail reads the settings of NATS as serve does, and none of the others.
func TestNATSFlagsLoad(t *testing.T) {
	env := map[string]string{
		"ZENDUTY_SIGNING_KEY_FILE": "/does/not/exist", "NATS_PASSWORD": "secret",
	}
	p := &program{getenv: func(name string) (string, bool) { text, ok := env[name]; return text, ok }}
	user, stream := "bridge", "OTHER"
	got, err := natsFlags{User: &user, Stream: &stream}.load(p)
	if err != nil {
		t.Fatal(err)
	}
	if got.User != "bridge" || got.Password.Reveal() != "secret" || got.Stream.Name != "OTHER" || got.URL != "nats://127.0.0.1:4222" || got.Subject != config.Default().NATS.Subject {
		t.Errorf("%+v", got)
	}
	bad := "no server"
	if _, err := (natsFlags{URL: &bad}).load(p); err == nil || exitCode(err) != exitUsage {
		t.Errorf("err = %v", err)
	}
}

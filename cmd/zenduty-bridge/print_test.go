package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

// arrived is a webhook as the live feed brings it.
func arrived(body string) arrival {
	return newArrival(&nats.Msg{
		Subject: "zenduty.incident.triggered",
		Header: nats.Header{
			"Nats-Subject": {"zenduty.incident.triggered.svc"}, "Nats-Sequence": {"12"},
			"ce-time": {"2026-03-04T05:06:07.89Z"},
		},
		Data: []byte(body),
	})
}

func quarantined(body string) arrival {
	return newArrival(&nats.Msg{Subject: "zenduty.quarantine.zenduty", Data: []byte(body)})
}

func TestNewArrivalNamesTheOriginal(t *testing.T) {
	a := arrived("{}")
	if a.Subject != "zenduty.incident.triggered.svc" || a.Sequence != 12 {
		t.Errorf("%s, %d", a.Subject, a.Sequence)
	}
	plain := quarantined("{}")
	if plain.Subject != "zenduty.quarantine.zenduty" || plain.Sequence != 0 || !plain.quarantined() {
		t.Errorf("%+v", plain)
	}
}

func TestGist(t *testing.T) {
	whole := gist{Event: "triggered", Number: 217, Title: "Free disk space is less than 20% on volume sdx-03",
		ServiceID: "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0", ServiceName: "ZD Prod"}
	for _, c := range []struct {
		name, body string
		want       gist
	}{
		{"webhook", sampleTriggered, whole},
		{"payload by itself", strings.TrimSuffix(strings.TrimPrefix(sampleTriggered, `{"payload": `), "}"), whole},
		{"service as REST gives it", `{"event_type":"x","incident":{"service":"id"}}`, gist{Event: "x", ServiceID: "id"}},
		{"another shape", `{"payload":[1],"event_type":"x","incident":7}`, gist{Event: "x"}},
		{"no JSON", "\xff{", gist{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, (arrival{Body: []byte(c.body)}).gist()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if g := quarantined(sampleTriggered).gist(); g.Event != quarantineEvent {
		t.Errorf("event of a quarantined webhook = %q", g.Event)
	}
}

func TestPrintJSON(t *testing.T) {
	for _, c := range []struct {
		name string
		a    arrival
		want string
	}{
		{"JSON, its numbers and text as they were", arrived("{\"n\": 12345678901234567890.50,\n \"t\": \"<\\u00e4&\u2028\"}"),
			`{"subject":"zenduty.incident.triggered.svc","stream_seq":12,"headers":{"Nats-Sequence":"12","Nats-Subject":"zenduty.incident.triggered.svc","ce-time":"2026-03-04T05:06:07.89Z"},"body":{"n":12345678901234567890.50,"t":"<\u00e4&` + "\u2028" + `"}}`},
		{"no JSON", quarantined("not JSON"), `{"subject":"zenduty.quarantine.zenduty","headers":{},"data_base64":"bm90IEpTT04="}`},
		{"no UTF-8", quarantined("\"\xff\""), `{"subject":"zenduty.quarantine.zenduty","headers":{},"data_base64":"Iv8i"}`},
		{"nothing", quarantined(""), `{"subject":"zenduty.quarantine.zenduty","headers":{}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := printJSON(&b, c.a); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want+"\n", b.String()); diff != "" {
				t.Error(diff)
			}
			if !json.Valid(b.Bytes()) {
				t.Errorf("not JSON: %s", b.String())
			}
		})
	}
}

func TestPageLines(t *testing.T) {
	for _, c := range []struct {
		name string
		page page
		a    arrival
		want string
	}{
		{"plain", page{loc: time.UTC}, arrived(sampleTriggered), `
2026-03-04 05:06:07  triggered     #217  Free disk space is less than 20% on volume sdx-03
                     ZD Prod  zenduty.incident.triggered.svc  seq 12
`},
		{"quarantined, no time", page{loc: time.UTC}, quarantined("?"), `
                     quarantine    ` + `
                     zenduty.quarantine.zenduty
`},
		{"coloured", page{loc: time.UTC, paint: true}, arrived(`{"event_type":"resolved","incident":{"title":"T"}}`),
			"\n\x1b[2m2026-03-04 05:06:07\x1b[0m  \x1b[32;1mresolved    \x1b[0m  T\n" +
				"                     \x1b[2mzenduty.incident.triggered.svc  seq 12\x1b[0m\n"},
		{"hostile", page{loc: time.UTC}, arrived(`{"event_type":"\u001b[2J","incident":{"title":"a\nb\u0007\u009b\u202e"}}`), `
2026-03-04 05:06:07  ` + "\uFFFD[2J          a\uFFFDb\uFFFD\uFFFD\uFFFD" + `
                     zenduty.incident.triggered.svc  seq 12
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			c.page.w = &b
			if err := c.page.lines(c.a); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want[1:], b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPageBlock(t *testing.T) {
	head := "   zenduty.incident.triggered.svc\n   Nats-Sequence: 12\n   Nats-Subject: zenduty.incident.triggered.svc\n   ce-time: 2026-03-04T05:06:07.89Z\n\n"
	for _, c := range []struct {
		name, body string
		unfold     bool
		want       string
	}{
		{"as it is", `{"a": 1}`, false, `   {"a": 1}`},
		{"unfolded", `{"a": 1}`, true, "   {\n     \"a\": 1\n   }"},
		{"no JSON", "\x1b", true, `   "\x1b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := (page{w: &b, unfold: c.unfold, loc: time.UTC}).block(arrived(c.body)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(head+c.want+"\n\n", b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVisibleCutsWhatIsTooLong(t *testing.T) {
	got := visible(strings.Repeat("ä", maxShown+1))
	if want := strings.Repeat("ä", maxShown-1) + "…"; got != want {
		t.Errorf("%q", got)
	}
	if got := visible(strings.Repeat("ä", maxShown)); got != strings.Repeat("ä", maxShown) {
		t.Errorf("%q", got)
	}
}

func TestEventColors(t *testing.T) {
	seen := map[string]string{}
	for _, event := range append([]string{quarantineEvent, "escalated"}, incidentEvents...) {
		painted := palette(true).event(event, "x")
		if other, ok := seen[painted]; ok {
			t.Errorf("%s looks like %s", event, other)
		}
		seen[painted] = event
		if plain := palette(false).event(event, "x"); plain != "x" {
			t.Errorf("%s without colour: %q", event, plain)
		}
	}
}

func TestColorsAreForTerminals(t *testing.T) {
	p := &program{getenv: func(string) (string, bool) { return "", false }}
	if p.colorsFor(&bytes.Buffer{}, false) {
		t.Error("a buffer is no terminal")
	}
}

package publisher

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nats-io/nats-server/v2/server"
)

func TestToken(t *testing.T) {
	long := strings.Repeat("é", 200)
	for _, test := range []struct{ name, value, want string }{
		{"plain", "triggered", "triggered"},
		{"uuid", "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0", "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0"},
		{"missing", "", "unknown"},
		{"dot would add a token", "a.b", "a_b"},
		{"only dots", "...", "___"},
		{"star", "*", "_"},
		{"full wildcard", ">", "_"},
		{"white space", "a b\tc\u00a0d\u2028e", "a_b_c_d_e"},
		{"end of line would end the protocol line", "x\r\nPUB y 0", "x__PUB_y_0"},
		{"control", "a\x00b\x7fc", "a_b_c"},
		{"system subject", "$JS", "_JS"},
		{"dollar inside", "a$b", "a$b"},
		{"not UTF-8", "a\xffb", "a_b"},
		{"zero width", "a\u200bb", "a_b"},
		{"other scripts", "сервис", "сервис"},
		{"placeholder's look", "{service}", "{service}"},
		{"long", long, strings.Repeat("é", 57) + "-" + "2voj840jnp01x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Token(test.value); got != test.want {
				t.Errorf("Token(%q) = %q, want %q", test.value, got, test.want)
			}
		})
	}
}

func TestLongTokensStayApart(t *testing.T) {
	long := strings.Repeat("x", 1000)
	a, b := Token(long+"a"), Token(long+"b")
	if a == b || len(a) > maxTokenBytes {
		t.Errorf("tokens %q and %q", a, b)
	}
}

func FuzzSubject(f *testing.F) {
	for _, seed := range []string{"", "triggered", "a.b", "*", ">", "$SYS", "x\r\ny", "\xff\xfe", "\u2028", strings.Repeat("é.", 300)} {
		f.Add(seed, "service")
		f.Add("triggered", seed)
	}
	subject, err := ParseSubject(DefaultSubject)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, eventType, service string) {
		got := subject.For(&Message{EventType: eventType, Service: service})
		switch {
		case strings.Count(got, ".") != 3:
			t.Errorf("%q has not four tokens", got)
		case !server.IsValidPublishSubject(got):
			t.Errorf("%q cannot be published on", got)
		case !server.SubjectsCollide(got, "zenduty.incident.*.*"):
			t.Errorf("%q does not match zenduty.incident.*.*", got)
		case !utf8.ValidString(got) || strings.ContainsAny(got, " \t\r\n") || len(got) > 2*maxTokenBytes+20:
			t.Errorf("%q breaks the protocol line", got)
		}
	})
}

// FuzzSubjectTemplate holds templates, prefixes and the subjects made with them
// against the server's own reading of subjects, whatever the webhook holds.
func FuzzSubjectTemplate(f *testing.F) {
	for _, template := range []string{DefaultSubject, "ops.{source}.{event_type}.{service}.{incident}", "alerts.{service}.{event_type}", "a", "a.{event_type}.b", "$SYS.>", "{event_type}.a", "a..b", "a.{x}"} {
		f.Add(template, "again", "triggered", "checkout", "vuwt")
	}
	f.Add(DefaultSubject, "a.>", "*", ">", "$JS.API")
	f.Add(DefaultSubject, "$SYS", "a.b", "x\r\nPUB y 0", "\xff")
	f.Fuzz(func(t *testing.T, template, prefix, eventType, service, incident string) {
		subject, err := ParseSubject(template)
		if err != nil {
			return
		}
		wildcard := subject.Wildcard()
		if !server.IsValidSubject(wildcard) || server.SubjectsCollide(wildcard, "$SYS.>") || server.SubjectsCollide(wildcard, "$JS.>") {
			t.Fatalf("%q is taken, whose stream would be on %q", template, wildcard)
		}
		made := subject.For(&Message{EventType: eventType, Service: service, Source: eventType, Incident: incident})
		if !server.IsValidPublishSubject(made) || !server.SubjectMatchesFilter(made, wildcard) {
			t.Errorf("%q is not one subject of %q", made, wildcard)
		}
		checkLive(t, subject, made)
		if CheckPrefix(prefix) != nil {
			return
		}
		if replayed := prefix + "." + made; !server.IsValidPublishSubject(replayed) || server.SubjectsCollide(replayed, "$SYS.>") || server.SubjectsCollide(replayed, "$JS.>") {
			t.Errorf("prefix %q is taken, and makes %q", prefix, replayed)
		}
	})
}

// checkLive: the server takes the live feed's mapping, which leads from what is
// published to what is subscribed to, and never back into the stream.
func checkLive(t *testing.T, subject Subject, made string) {
	t.Helper()
	live := subject.Live()
	if live == "" {
		return
	}
	mapping, err := server.NewSubjectTransform(subject.Wildcard(), subject.liveMapping())
	if err != nil {
		t.Fatalf("the server refuses to republish %q to %q: %v", subject.Wildcard(), subject.liveMapping(), err)
	}
	fed, err := mapping.Match(made)
	if err != nil || !server.IsValidPublishSubject(fed) || !server.SubjectMatchesFilter(fed, live) || server.SubjectsCollide(live, subject.Wildcard()) {
		t.Errorf("%q is republished to %q, %v, which is not of %q alone", made, fed, err, live)
	}
}

func TestSubjectTemplate(t *testing.T) {
	message := &Message{EventType: "triggered", Service: "checkout", Source: "zenduty", Incident: "vuwt"}
	for _, test := range []struct{ template, subject, wildcard, live, mapping string }{
		{DefaultSubject, "zenduty.incident.triggered.checkout", "zenduty.incident.*.*", "zenduty.incident.*", "zenduty.incident.{{wildcard(1)}}"},
		{"ops.{source}.{event_type}.{service}.{incident}", "ops.zenduty.triggered.checkout.vuwt", "ops.*.*.*.*", "ops.*.*", "ops.{{wildcard(1)}}.{{wildcard(2)}}"},
		{"alerts.{service}.{event_type}", "alerts.checkout.triggered", "alerts.*.*", "", ""},
		{"alerts", "alerts", "alerts", "", ""},
	} {
		t.Run(test.template, func(t *testing.T) {
			s, err := ParseSubject(test.template)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct{ what, got, want string }{
				{"For", s.For(message), test.subject}, {"Wildcard", s.Wildcard(), test.wildcard},
				{"Live", s.Live(), test.live}, {"liveMapping", s.liveMapping(), test.mapping},
			} {
				if c.got != c.want {
					t.Errorf("%s = %q, want %q", c.what, c.got, c.want)
				}
			}
		})
	}
}

func TestSubjectTemplateRefused(t *testing.T) {
	for template, want := range map[string]string{
		"":                       `"" is not a plain token`,
		"a..b":                   `"" is not a plain token`,
		"a.*":                    `"*" is not a plain token`,
		"a.>":                    `">" is not a plain token`,
		"$SYS.a":                 `"$SYS" is not a plain token`,
		"a b":                    `"a b" is not a plain token`,
		"a.{severity}":           "unknown placeholder {severity}",
		"{event_type}.{service}": "the first token must be plain",
	} {
		if _, err := ParseSubject(template); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSubject(%q) = %v, want %q", template, err, want)
		}
	}
}

package publisher

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// permissions are what a bridge needs, without the rights to some subjects.
func permissions(without ...string) *server.Permissions {
	granted := &server.Permissions{Publish: &server.SubjectPermission{}, Subscribe: &server.SubjectPermission{}}
	for _, n := range (Options{}).withDefaults().needs() {
		switch {
		case slices.Contains(without, n.subject):
		case n.subscribe:
			granted.Subscribe.Allow = append(granted.Subscribe.Allow, n.subject)
		default:
			granted.Publish.Allow = append(granted.Publish.Allow, n.subject)
		}
	}
	return granted
}

// runRestricted starts a server with an admin and a bridge of some rights.
func runRestricted(t *testing.T, granted *server.Permissions) (url string, bridge, admin func(*Options)) {
	t.Helper()
	s := runServer(t, t.TempDir(), 0, func(o *server.Options) {
		o.Users = []*server.User{{Username: "admin", Password: "p"}, {Username: "bridge", Password: "p", Permissions: granted}}
	})
	as := func(name string) func(*Options) {
		return func(o *Options) { o.Auth = []nats.Option{nats.UserInfo(name, "p")} }
	}
	return s.ClientURL(), as("bridge"), as("admin")
}

func deniedSoFar(p *Publisher) (subjects []string) {
	p.denied.mu.Lock()
	defer p.denied.mu.Unlock()
	for subject := range p.denied.subjects {
		subjects = append(subjects, subject)
	}
	return subjects
}

// With just the rights that are listed, everything works and nothing is denied.
func TestListedRightsAreEnough(t *testing.T) {
	url, bridge, admin := runRestricted(t, permissions())
	p := newPublisher(t, url, bridge)
	ensure(t, p)
	for _, id := range []string{"a", "b", "c"} {
		if r := send(t, p, incident(id)); r.err != nil {
			t.Fatal(r.err)
		}
	}
	other := newPublisher(t, url, admin)
	eventually(t, "admin", other.Ready)
	for range 2 { // what the first look sets off comes to light at the second
		if got, err := p.Find(t.Context(), map[string]bool{"b": true}, 0); err != nil || got["b"] != 2 {
			t.Fatalf("%v, %v", got, err)
		}
		if got, err := p.IDAt(t.Context(), 3); err != nil || got != "c" {
			t.Fatalf("%q, %v", got, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	look, err := NewProbe(p.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	canary := &Message{ID: "k", Source: "zenduty", EventType: "c", Canary: true, Time: time.Unix(1, 0), Data: []byte(`{}`)}
	after, err := look.BeforeCanary(t.Context(), "zenduty")
	if r := send(t, p, canary); err != nil || r.err != nil {
		t.Fatal(err, r.err)
	}
	if at, err := look.ReadCanary(t.Context(), "zenduty", "k", canary.Data, after); err != nil || at != 4 {
		t.Errorf("canary: %d, %v", at, err)
	}
	if got := wrong(t, Audit(t.Context(), p.opts, 512<<10)); len(got) != 0 {
		t.Errorf("audit: %v", got)
	}
	if err := other.js.DeleteStream(t.Context(), "ZENDUTY"); err != nil {
		t.Fatal(err)
	}
	if state := ensure(t, p); state.Last != 0 {
		t.Errorf("a stream that was deleted is not made again: %+v", state)
	}
	p.opts.Stream.MaxAge = time.Hour
	ensure(t, p)
	if info, err := p.streamInfo(t.Context()); err != nil || info.Config.MaxAge != time.Hour {
		t.Errorf("the stream is not changed: %+v, %v", info, err)
	}
	if got := deniedSoFar(p); len(got) != 0 {
		t.Errorf("denied: %v", got)
	}
}

// README.md lists what the bridge uses, no more and no less.
func TestRightsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "### What the bridge may do in NATS")
	_, section, _ = strings.Cut(section, "```\n")
	section, _, _ = strings.Cut(section, "```")
	var o server.Options
	if err := o.ProcessConfigString("authorization: {users: [{user: bridge, password: p, " + section + "}]}"); err != nil {
		t.Fatal(err)
	}
	listed, needed := o.Users[0].Permissions, permissions()
	for _, p := range []*server.Permissions{listed, needed} {
		slices.Sort(p.Publish.Allow)
		slices.Sort(p.Subscribe.Allow)
	}
	if diff := cmp.Diff(needed.Publish.Allow, listed.Publish.Allow); diff != "" {
		t.Errorf("to publish on: -needed +listed:\n%s", diff)
	}
	if diff := cmp.Diff(needed.Subscribe.Allow, listed.Subscribe.Allow); diff != "" {
		t.Errorf("to subscribe to: -needed +listed:\n%s", diff)
	}
}

// The audit names each right that is missing.
func TestMissingRightIsNamed(t *testing.T) {
	for _, n := range (Options{}).withDefaults().needs() {
		if n.subscribe {
			continue // then nothing is answered
		}
		t.Run(n.subject, func(t *testing.T) {
			url, bridge, admin := runRestricted(t, permissions(n.subject))
			ensure(t, newPublisher(t, url, admin))
			var named []string
			for _, f := range auditAt(t, url, bridge) {
				if f.Check == "rights" {
					named = append(named, f.On)
				}
			}
			if diff := cmp.Diff([]string{n.subject}, named); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A right that is missing takes away what needs it, at once, and nothing else.
func TestMissingRight(t *testing.T) {
	const api = "$JS.API."
	for subject, c := range map[string]struct{ stream, find bool }{
		api + "STREAM.INFO.ZENDUTY":         {false, false},
		api + "STREAM.UPDATE.ZENDUTY":       {true, true},
		api + "CONSUMER.CREATE.ZENDUTY.*":   {true, false},
		api + "CONSUMER.MSG.NEXT.ZENDUTY.*": {true, false},
	} {
		t.Run(subject, func(t *testing.T) {
			url, bridge, admin := runRestricted(t, permissions(subject))
			ensure(t, newPublisher(t, url, admin))
			p := newPublisher(t, url, bridge)
			p.opts.Stream.MaxAge = time.Hour // it would change the stream
			eventually(t, "ready", p.Ready)
			began := time.Now()
			for range 2 {
				if _, err := p.Stream(t.Context()); errors.Is(err, ErrNoRights) == c.stream || c.stream && err != nil {
					t.Errorf("Stream: %v", err)
				}
				if r := send(t, p, incident("a")); r.err != nil { // over the connection of that look
					t.Fatal(r.err)
				}
				if got, err := p.Find(t.Context(), map[string]bool{"a": true}, 0); errors.Is(err, ErrNoRights) == c.find || c.find && got["a"] != 1 {
					t.Errorf("Find: %v, %v", got, err)
				}
			}
			if took := time.Since(began); took > requestTimeout/2 {
				t.Errorf("waited %v for answers that it may not have", took)
			}
		})
	}
}

// Without the right to ask the leader, only a look that has to is not made.
func TestMayNotAskForMessages(t *testing.T) {
	url, bridge, admin := runRestricted(t, permissions("$JS.API.STREAM.MSG.GET.ZENDUTY"))
	p := newPublisher(t, url, bridge)
	ensure(t, p)
	send(t, p, incident("a"))
	send(t, p, incident("b"))
	find := func() error {
		_, err := p.Find(t.Context(), map[string]bool{"a": true}, 0)
		return err
	}
	if err := find(); err != nil {
		t.Error(err)
	}
	other := newPublisher(t, url, admin)
	eventually(t, "admin", other.Ready)
	have, err := other.js.Stream(t.Context(), "ZENDUTY")
	if err == nil {
		err = have.DeleteMsg(t.Context(), 2)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := find(); !errors.Is(err, ErrNoRights) {
		t.Errorf("whether the last was removed is not known: %v", err)
	}
	send(t, p, incident("c"))
	if err := find(); err != nil {
		t.Error(err)
	}
}

// A missing stream that may not be made is waited for; it does not make the bridge blind.
func TestStreamMayNotBeMade(t *testing.T) {
	url, bridge, admin := runRestricted(t, permissions("$JS.API.STREAM.CREATE.ZENDUTY"))
	p := newPublisher(t, url, bridge)
	eventually(t, "ready", p.Ready)
	if _, err := p.Stream(t.Context()); err == nil || errors.Is(err, ErrNoRights) || !strings.Contains(err.Error(), "not permitted to publish on $JS.API.STREAM.CREATE.ZENDUTY") {
		t.Errorf("%v", err)
	}
	ensure(t, newPublisher(t, url, admin))
	ensure(t, p)
}

package publisher

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func auditAt(t *testing.T, url string, change func(*Options)) []Finding {
	t.Helper()
	opts := Options{URL: url}
	if change != nil {
		change(&opts)
	}
	return Audit(t.Context(), opts, 512<<10)
}

// A real server tells the facts, and a stream that the bridge has just made is good.
func TestAuditOfARealStream(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	if got := wrong(t, auditAt(t, s.ClientURL(), nil)); !cmp.Equal(got, []string{"stream warning"}) {
		t.Errorf("before there is a stream: %v", got)
	}
	ensure(t, newPublisher(t, s.ClientURL(), nil))
	found := auditAt(t, s.ClientURL(), nil)
	if got := wrong(t, found); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.Check == "jetstream" }) {
		t.Error("that there is JetStream again would not be noticed")
	}
	if len(found) < 15 {
		t.Errorf("only %d checks: %+v", len(found), found)
	}
	bad := stream(t, s.ClientURL()).CachedInfo().Config
	bad.NoAck, bad.MaxMsgSize = true, 1000
	if _, err := connectJetStream(t, s.ClientURL()).UpdateStream(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	if got := wrong(t, auditAt(t, s.ClientURL(), nil)); !cmp.Equal(got, []string{"no_ack error", "max_msg_size error"}) {
		t.Errorf("after it was edited: %v", got)
	}
	if after := stream(t, s.ClientURL()).CachedInfo().Config; !after.NoAck {
		t.Error("the audit changed the stream")
	}
}

func TestAuditWithoutNATS(t *testing.T) {
	found := auditAt(t, "nats://127.0.0.1:1", nil)
	if got := wrong(t, found); !cmp.Equal(got, []string{"nats error"}) || !strings.Contains(found[0].What, "nats://127.0.0.1:1") {
		t.Errorf("%+v", found)
	}
}

func TestAuditWithoutJetStream(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, func(o *server.Options) { o.JetStream = false })
	if got := wrong(t, auditAt(t, s.ClientURL(), nil)); !cmp.Equal(got, []string{"jetstream error"}) {
		t.Error(got)
	}
}

func user(name string, publish *server.SubjectPermission) *server.User {
	return &server.User{Username: name, Password: "p", Permissions: &server.Permissions{Publish: publish}}
}

// What a user may do is told where NATS tells it, and otherwise by what it refuses.
func TestAuditOfRights(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "p"},
			user("silent", &server.SubjectPermission{Deny: []string{"zenduty.incident.>"}}),
			user("blind", &server.SubjectPermission{Allow: []string{"zenduty.>"}}),
		}
	})
	as := func(name, password string) func(*Options) {
		return func(o *Options) { o.Auth = []nats.Option{nats.UserInfo(name, password)} }
	}
	ensure(t, newPublisher(t, s.ClientURL(), as("admin", "p")))
	for name, want := range map[string][]string{
		"admin":  nil,
		"silent": {"rights error"},
		"blind":  {"rights warning", "stream warning"}, // not even what it may do
	} {
		began := time.Now()
		if diff := cmp.Diff(want, wrong(t, auditAt(t, s.ClientURL(), as(name, "p")))); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if took := time.Since(began); took > askTimeout {
			t.Errorf("%s: waited %v for answers that it may not have", name, took)
		}
	}
	found := auditAt(t, s.ClientURL(), as("admin", "wrong"))
	if got := wrong(t, found); !cmp.Equal(got, []string{"nats error"}) || !strings.Contains(found[0].Remedy, "credentials") {
		t.Errorf("%+v", found)
	}
}

func probe(t *testing.T, url string) *Probe {
	t.Helper()
	p, err := NewProbe(Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestCanary(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), nil)
	ensure(t, p)
	look := probe(t, s.ClientURL())
	canary := func(id string) *Message {
		return &Message{ID: id, Source: "zenduty", EventType: "c", Canary: true, Time: time.Unix(1, 0), Data: []byte(`{"c":"` + id + `"}`)}
	}
	send(t, p, incident("a"))
	send(t, p, canary("earlier"))
	after, err := look.BeforeCanary(t.Context(), "zenduty")
	if err != nil || after != 2 {
		t.Fatal(after, err)
	}
	go func() { // while it is waited for
		for _, m := range []*Message{incident("b"), canary("other"), canary("mine")} {
			p.Publish(m, func(Ack, *Error) {})
		}
	}()
	sequence, err := look.ReadCanary(t.Context(), "zenduty", "mine", canary("mine").Data, after)
	if err != nil || sequence != 5 {
		t.Errorf("message %d, %v", sequence, err)
	}
	if _, err := look.ReadCanary(t.Context(), "zenduty", "mine", []byte("other bytes"), after); err == nil || !strings.Contains(err.Error(), "other bytes") {
		t.Errorf("other bytes: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := look.ReadCanary(ctx, "zenduty", "earlier", nil, after); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "has not come") {
		t.Errorf("one that does not come: %v", err)
	}
	forged := &nats.Msg{Subject: "zenduty.canary.zenduty", Header: header(canary("forged")), Data: canary("forged").Data}
	forged.Header["ce-source"] = []string{"/webhooks/other"}
	if _, err := p.js.PublishMsg(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	if _, err := look.ReadCanary(t.Context(), "zenduty", "forged", forged.Data, after); err == nil || !strings.Contains(err.Error(), "ce-source") {
		t.Errorf("another header: %v", err)
	}
}

func TestCanaryIsNotSentInVain(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	look := probe(t, s.ClientURL())
	if _, err := look.BeforeCanary(t.Context(), "zenduty"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("no stream: %v", err)
	}
	js := connectJetStream(t, s.ClientURL())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ZENDUTY", Subjects: []string{"zenduty.incident.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := look.BeforeCanary(t.Context(), "zenduty"); !errors.Is(err, ErrNoCanaries) {
		t.Errorf("a stream that takes none: %v", err)
	}
}

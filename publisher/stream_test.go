package publisher

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func connectJetStream(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestStreamIsMade(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), nil)
	ensure(t, p)
	have := stream(t, s.ClientURL()).CachedInfo().Config
	if drift := streamDrift(have, p.streamConfig()); len(drift) != 0 {
		t.Errorf("the stream just made differs: %v", drift)
	}
	switch {
	case strings.Join(have.Subjects, " ") != "zenduty.incident.*.* zenduty.quarantine.* zenduty.canary.*":
		t.Errorf("subjects %v", have.Subjects)
	case have.Storage != jetstream.FileStorage, have.Retention != jetstream.LimitsPolicy, have.Discard != jetstream.DiscardOld:
		t.Errorf("storage %v, retention %v, discard %v", have.Storage, have.Retention, have.Discard)
	case have.RePublish == nil, have.RePublish.Destination != "zenduty.incident.{{wildcard(1)}}":
		t.Errorf("republish %+v", have.RePublish)
	}
}

func TestOwnStreamIsUpdated(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), nil)
	ensure(t, p)
	p.Close()
	p = newPublisher(t, s.ClientURL(), func(o *Options) {
		o.Stream.MaxAge = time.Hour
		o.Subject, _ = ParseSubject("zenduty.incident.{event_type}.{service}.{incident}")
	})
	ensure(t, p)
	have := stream(t, s.ClientURL()).CachedInfo().Config
	if have.MaxAge != time.Hour || have.Subjects[0] != "zenduty.incident.*.*.*" {
		t.Errorf("not updated: %+v", have)
	}
}

func TestForeignStreamIsLeft(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	js := connectJetStream(t, s.ClientURL())
	theirs := jetstream.StreamConfig{Name: "ZENDUTY", Subjects: []string{"zenduty.>"}, MaxMsgs: 5}
	if _, err := js.CreateStream(context.Background(), theirs); err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	p := newPublisher(t, s.ClientURL(), func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	ensure(t, p)
	have := stream(t, s.ClientURL()).CachedInfo().Config
	if have.Subjects[0] != "zenduty.>" || have.MaxMsgs != 5 || have.RePublish != nil {
		t.Errorf("a stream of somebody else's was changed: %+v", have)
	}
	for _, want := range []string{"not made by the bridge", "subjects: is [zenduty.>], should be", "republish: is none"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q: %s", want, log.String())
		}
	}
	if r := send(t, p, incident("a")); r.err != nil {
		t.Errorf("publish into it: %+v", r)
	}
}

func TestStreamCannotBeMade(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	js := connectJetStream(t, s.ClientURL())
	if _, err := js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"zenduty.quarantine.x"}}); err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, s.ClientURL(), nil)
	eventually(t, "ready", p.Ready)
	if _, err := p.Stream(context.Background()); err == nil || !strings.Contains(err.Error(), "create on zenduty.incident.*.*, zenduty.quarantine.*, zenduty.canary.*") || !strings.Contains(err.Error(), "overlap") {
		t.Errorf("the error does not say why: %v", err)
	}
	if r := send(t, p, incident("a")); r.err == nil || r.err.Permanent || r.err.Reason != "no_stream" {
		t.Errorf("publish: %+v", r)
	}
}

func TestStreamState(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), nil)
	first := ensure(t, p)
	if first.Last != 0 || first.DuplicateWindow != 2*time.Minute || first.Created.IsZero() {
		t.Fatalf("new stream: %+v", first)
	}
	send(t, p, incident("a"))
	if again := ensure(t, p); again.Last != 1 || !again.Created.Equal(first.Created) {
		t.Errorf("the same stream with a message more: %+v", again)
	}
	if err := stream(t, s.ClientURL()).Purge(context.Background()); err != nil {
		t.Fatal(err)
	}
	if purged := ensure(t, p); purged.Last != 1 || !purged.Created.Equal(first.Created) {
		t.Errorf("the same stream purged: %+v", purged)
	}
	if err := p.js.DeleteStream(context.Background(), "ZENDUTY"); err != nil {
		t.Fatal(err)
	}
	if other := ensure(t, p); other.Last != 0 || other.Created.Equal(first.Created) {
		t.Errorf("another stream: %+v", other)
	}
}

// With rights to publish and nothing else, asking fails for good, and publishing
// works.
func TestNoRightsToAsk(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "a"},
			{Username: "bridge", Password: "b", Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: []string{"zenduty.>"}},
				Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
			}},
		}
	})
	ensure(t, newPublisher(t, s.ClientURL(), func(o *Options) { o.Auth = []nats.Option{nats.UserInfo("admin", "a")} }))
	p := newPublisher(t, s.ClientURL(), func(o *Options) { o.Auth = []nats.Option{nats.UserInfo("bridge", "b")} })
	eventually(t, "ready", p.Ready)
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if _, err := p.Stream(ctx); !errors.Is(err, ErrNoRights) {
		t.Errorf("Stream: %v", err)
	}
	if _, err := p.Find(ctx, map[string]bool{"a": true}, 0); !errors.Is(err, ErrNoRights) {
		t.Errorf("Find: %v", err)
	}
	if r := send(t, p, incident("a")); r.err != nil {
		t.Errorf("publish: %+v", r)
	}
}

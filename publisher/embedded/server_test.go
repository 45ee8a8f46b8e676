package embedded

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func start(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Start(Options{Listen: "127.0.0.1:0", StoreDir: dir, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func connect(t *testing.T, s *Server, options ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(s.URL(), options...)
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

func TestKeepsMessagesOverARestart(t *testing.T) {
	dir, ctx := t.TempDir(), context.Background()
	s := start(t, dir)
	js := connect(t, s, nats.InProcessServer(s))
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	s.Close()

	s = start(t, dir)
	defer s.Close()
	stream, err := connect(t, s).Stream(ctx, "S") // over TCP, as another program would
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetMsg(ctx, 1)
	if err != nil || string(msg.Data) != "kept" {
		t.Errorf("after the restart: %v, %v", msg, err)
	}
}

func TestSyncsAlways(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	if config := s.JetStreamConfig(); !config.SyncAlways {
		t.Errorf("JetStream would acknowledge before it syncs: %+v", config)
	}
}

// With a user or a token, nobody comes in without.
func TestAsksWhoComes(t *testing.T) {
	for name, test := range map[string]struct {
		opts         Options
		right, wrong nats.Option
	}{
		"user":  {Options{User: "u", Password: "secret"}, nats.UserInfo("u", "secret"), nats.UserInfo("u", "sEcret")},
		"token": {Options{Token: "secret"}, nats.Token("secret"), nats.Token("sEcret")},
	} {
		t.Run(name, func(t *testing.T) {
			test.opts.Listen, test.opts.StoreDir, test.opts.Logger = "127.0.0.1:0", t.TempDir(), quiet
			s, err := Start(test.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, who := range []nats.Option{nats.Name("nobody"), test.wrong} {
				if nc, err := nats.Connect(s.URL(), who); !errors.Is(err, nats.ErrAuthorization) {
					nc.Close()
					t.Errorf("let in: %v", err)
				}
			}
			for _, way := range []nats.Option{nats.Name("by TCP"), nats.InProcessServer(s)} {
				if _, err := connect(t, s, way, test.right).AccountInfo(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Start(Options{Listen: l.Addr().String(), StoreDir: t.TempDir(), Logger: quiet})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("error %v, want one that names the address and says that it is in use", err)
	}
}

func TestBadListen(t *testing.T) {
	for _, listen := range []string{"", "4222", "127.0.0.1:port"} {
		if _, err := Start(Options{Listen: listen, StoreDir: t.TempDir(), Logger: quiet}); err == nil || !strings.Contains(err.Error(), "embedded NATS") {
			t.Errorf("Start on %q: %v", listen, err)
		}
	}
}

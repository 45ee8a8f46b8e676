package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// newTestTour is a tour without a bridge: handler answers, and deliver is what
// comes out of NATS.
func newTestTour(t *testing.T, handler http.HandlerFunc, deliver ...*nats.Msg) (*tour, *bytes.Buffer) {
	t.Helper()
	messages := make(chan *nats.Msg, len(deliver))
	for _, m := range deliver {
		messages <- m
	}
	out := &bytes.Buffer{}
	return &tour{page: page{w: out, loc: time.UTC}, target: newTestTarget(t, handler), messages: messages}, out
}

// delivered is the message of the webhook that accept answers.
func delivered(id, body string) *nats.Msg {
	return &nats.Msg{Subject: "zenduty.incident.triggered.svc", Header: nats.Header{"ce-id": {id}}, Data: []byte(body)}
}

func refuse(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }

func TestTourCarries(t *testing.T) {
	w := webhook{event: "triggered", body: []byte("{}")}
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		deliver []*nats.Msg
		within  time.Duration
		problem string // empty: none
	}{
		{"delivered, after another's", accept, []*nats.Msg{delivered("0", "?"), delivered("1", "{}")}, patience, ""},
		{"not taken", refuse, nil, patience, "the triggered webhook was not taken: 503 Service Unavailable"},
		{"not delivered", accept, []*nats.Msg{delivered("0", "{}")}, time.Second, "did not come out: not within 10s"},
		{"changed", accept, []*nats.Msg{delivered("1", "{ }")}, patience, "bytes were changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tour, out := newTestTour(t, c.handler, c.deliver...)
			ctx, cancel := context.WithTimeout(t.Context(), c.within)
			defer cancel()
			l, err := tour.carry(ctx, 1, w)
			if c.problem != "" {
				if err == nil || !strings.Contains(err.Error(), c.problem) {
					t.Errorf("err = %v", err)
				}
				return
			}
			if err != nil || l.answered <= 0 || l.delivered < l.answered {
				t.Errorf("%+v, %v", l, err)
			}
			if !strings.HasPrefix(out.String(), "1. triggered: ") || !strings.Contains(out.String(), "ce-id: 1") {
				t.Errorf("shown: %s", out)
			}
		})
	}
}

func TestDemoConfigIsValidAndKeepsToItself(t *testing.T) {
	cfg := demoConfig(t.TempDir(), "key")
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	for _, address := range []string{cfg.Listen, cfg.AdminListen, cfg.NATS.Listen} {
		if address != "127.0.0.1:0" {
			t.Errorf("listens on %s", address)
		}
	}
}

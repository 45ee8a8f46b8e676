package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// reloaded is a server whose sources a test changes.
type reloaded struct {
	*Server
	registry *prometheus.Registry
}

func newReloaded(a Accepter, sources map[string]*Source) reloaded {
	registry := prometheus.NewRegistry()
	return reloaded{New(a, sources, Options{Registerer: registry, Logger: slog.New(slog.DiscardHandler), FailedAuthBurst: 1000}), registry}
}

// post signs sample with a key and returns the status and the text of the answer.
func (r reloaded) post(source, key string) (int, string) {
	request := httptest.NewRequest(http.MethodPost, "/webhooks/"+source, strings.NewReader(string(sample)))
	request.Header.Set(zenduty.SignatureHeader, zenduty.Sign(key, sample))
	answer := httptest.NewRecorder()
	r.http.Handler.ServeHTTP(answer, request)
	text, _ := io.ReadAll(answer.Body) // of a buffer
	return answer.Code, string(text)
}

// keyed is a source with keys whose secrets are their names.
func keyed(t *testing.T, names ...string) *Source {
	t.Helper()
	var keys []zenduty.Key
	for _, name := range names {
		keys = append(keys, zenduty.Key{Name: name, Secret: name})
	}
	return &Source{Verifier: verifier(t, zenduty.ModeRaw, keys...)}
}

// series are those of some metrics but for webhooks_total's zeros, as they are scraped.
func (r reloaded) series(t *testing.T, names ...string) (list []string) {
	t.Helper()
	for _, name := range names {
		for _, m := range gather(t, r.registry, name) {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			value := m.GetCounter().GetValue()
			if name == "zenduty_bridge_webhooks_total" && value == 0 {
				continue
			}
			if m.GetGauge() != nil {
				value = min(m.GetGauge().GetValue(), 1) // was it set
			}
			list = append(list, fmt.Sprintf("%s %s %v", strings.TrimPrefix(name, "zenduty_bridge_"), strings.Join(labels, " "), value))
		}
	}
	return list
}

var bySource = []string{
	"zenduty_bridge_webhooks_total", "zenduty_bridge_signature_matches_total",
	"zenduty_bridge_last_webhook_timestamp_seconds", "zenduty_bridge_key_last_used_timestamp_seconds",
}

// A webhook is taken for the source whose key has signed it and for no other, whoever
// posts it there.
func TestKeyOfAnotherSource(t *testing.T) {
	r := newReloaded(&accepter{}, map[string]*Source{"a": keyed(t, "current", "previous"), "b": keyed(t, "k")})
	for post, want := range map[string]int{"a current": 200, "a previous": 200, "b current": 401, "b previous": 401, "a k": 401, "b k": 200} {
		source, key, _ := strings.Cut(post, " ")
		if code, text := r.post(source, key); code != want {
			t.Errorf("to source %s with key %s: %d, want %d: %s", source, key, code, want, text)
		}
	}
}

// From one request to the next others may post, and what was counted of those that stay
// goes on; of those that do not, nothing is left.
func TestSetSources(t *testing.T) {
	r := newReloaded(&accepter{}, map[string]*Source{"a": keyed(t, "old")})
	for _, step := range []struct {
		name    string
		sources map[string]*Source
		posts   map[string]int // status by source and key
		want    []string
	}{
		{
			"at the start", nil, map[string]int{"a old": 200, "a new": 401, "b k": 404},
			[]string{
				"webhooks_total accepted a 1", "webhooks_total unknown_source unknown 1", "webhooks_total wrong_signature a 1",
				"signature_matches_total old raw a 1", "last_webhook_timestamp_seconds a 1", "key_last_used_timestamp_seconds old a 1",
			},
		},
		{
			"a key and a source more", map[string]*Source{"a": keyed(t, "old", "new"), "b": keyed(t, "k")}, map[string]int{"a old": 200, "a new": 200, "b k": 200},
			[]string{
				"webhooks_total accepted a 1", "webhooks_total duplicate a 2", "webhooks_total duplicate b 1",
				"webhooks_total unknown_source unknown 1", "webhooks_total wrong_signature a 1",
				"signature_matches_total k raw b 1", "signature_matches_total new raw a 1", "signature_matches_total old raw a 2",
				"last_webhook_timestamp_seconds a 1", "last_webhook_timestamp_seconds b 1",
				"key_last_used_timestamp_seconds k b 0", "key_last_used_timestamp_seconds new a 0", "key_last_used_timestamp_seconds old a 1",
			},
		},
		{
			"the old key and the other source less", map[string]*Source{"a": keyed(t, "new")}, map[string]int{"a old": 401, "a new": 200, "b k": 404},
			[]string{
				"webhooks_total accepted a 1", "webhooks_total duplicate a 3",
				"webhooks_total unknown_source unknown 2", "webhooks_total wrong_signature a 2",
				"signature_matches_total new raw a 2", "last_webhook_timestamp_seconds a 1", "key_last_used_timestamp_seconds new a 0",
			},
		},
		{
			"unsigned", map[string]*Source{"a": {Verifier: verifier(t, zenduty.ModeNone)}}, map[string]int{"a whatever": 200},
			[]string{
				"webhooks_total accepted a 1", "webhooks_total duplicate a 4",
				"webhooks_total unknown_source unknown 2", "webhooks_total wrong_signature a 2",
				"signature_matches_total  none a 1", "last_webhook_timestamp_seconds a 1",
			},
		},
		{"none", map[string]*Source{}, map[string]int{"a old": 404}, []string{"webhooks_total unknown_source unknown 3"}},
	} {
		if step.sources != nil {
			r.SetSources(step.sources)
		}
		for who, want := range step.posts {
			source, key, _ := strings.Cut(who, " ")
			if got, text := r.post(source, key); got != want {
				t.Errorf("%s: %s: %d %s, want %d", step.name, who, got, text, want)
			}
		}
		got := r.series(t, bySource...)
		slices.Sort(got)
		slices.Sort(step.want)
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", step.name, diff)
		}
	}
}

// gated lets a webhook wait until the test has changed the sources.
type gated struct {
	arrived chan struct{}
	gate    chan error
}

func (g gated) Accept(context.Context, bridge.Webhook) (bridge.Receipt, error) {
	g.arrived <- struct{}{}
	return bridge.Receipt{ID: "id", Status: bridge.Accepted}, <-g.gate
}

// A request in hand ends with what it began with, and leaves no trace of a source that
// is gone.
func TestRequestInHandKeepsItsSource(t *testing.T) {
	for name, test := range map[string]struct {
		after map[string]*Source
		fault error
		want  int
		count []string
	}{
		"the key goes":               {map[string]*Source{"a": keyed(t, "new")}, nil, 200, []string{"webhooks_total accepted a 1"}},
		"the source goes":            {map[string]*Source{}, nil, 200, nil},
		"the source goes, a failure": {map[string]*Source{}, errors.New("boom"), 503, nil},
	} {
		g := gated{arrived: make(chan struct{}), gate: make(chan error)}
		r := newReloaded(g, map[string]*Source{"a": keyed(t, "old")})
		status := make(chan int)
		go func() {
			code, _ := r.post("a", "old")
			status <- code
		}()
		<-g.arrived
		r.SetSources(test.after)
		g.gate <- test.fault
		if got := <-status; got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
		if diff := cmp.Diff(test.count, r.series(t, "zenduty_bridge_webhooks_total")); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
		if got := r.series(t, "zenduty_bridge_key_last_used_timestamp_seconds"); slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "old") }) {
			t.Errorf("%s: the old key is back: %v", name, got)
		}
	}
}

// To its sender a key outside its time is a wrong one; operators see what it was.
func TestKeyOutsideItsTime(t *testing.T) {
	source := &Source{Verifier: verifier(t, zenduty.ModeAuto,
		zenduty.Key{Name: "old", Secret: "old", NotAfter: time.Now().Add(-time.Second)},
		zenduty.Key{Name: "next", Secret: "next", NotBefore: time.Now().Add(time.Hour)},
		zenduty.Key{Name: "now", Secret: "now", NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)})}
	r := newReloaded(&accepter{}, map[string]*Source{"a": source})
	_, wrong := r.post("a", "nobody's")
	for _, key := range []string{"old", "next"} {
		if status, text := r.post("a", key); status != 401 || text != wrong {
			t.Errorf("%s: %d %s, want as with a wrong one: %s", key, status, text, wrong)
		}
	}
	if status, text := r.post("a", "now"); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	want := []string{"webhooks_total accepted a 1", "webhooks_total key_not_valid a 2", "webhooks_total wrong_signature a 1"}
	if diff := cmp.Diff(want, r.series(t, "zenduty_bridge_webhooks_total")); diff != "" {
		t.Error(diff)
	}
}

// A key is in use while new webhooks come that are signed with it. Canaries are not
// Zenduty's, and what is sent again, anybody can have recorded.
func TestKeyLastUsed(t *testing.T) {
	addr, registry := serve(t, &accepter{}, Options{})
	used := func() float64 {
		metrics := gather(t, registry, "zenduty_bridge_key_last_used_timestamp_seconds")
		if len(metrics) != 1 {
			t.Fatalf("%d series", len(metrics))
		}
		return metrics[0].GetGauge().GetValue()
	}
	answered(t, post{body: canaryBody, header: signed(canaryBody), status: 200}, addr)
	answered(t, post{header: signed([]byte("other")), status: 401}, addr)
	if used() != 0 {
		t.Errorf("a canary or a refusal is taken for a use: %v", used())
	}
	began := time.Now().Add(-10 * time.Millisecond) // the gauge is one of milliseconds
	answered(t, post{header: signed(sample), status: 200}, addr)
	at := time.UnixMilli(int64(used() * 1000))
	if at.Before(began) || at.After(time.Now()) {
		t.Errorf("last used at %v, it is %v", at, began)
	}
	before := used()
	answered(t, post{header: signed(sample), status: 200}, addr)
	if used() != before {
		t.Errorf("a duplicate is taken for a use: %v", used())
	}
	full := newReloaded(&accepter{err: errors.New("full")}, map[string]*Source{"a": keyed(t, "k")})
	if status, _ := full.post("a", "k"); status != 503 {
		t.Errorf("status %d", status)
	}
	if diff := cmp.Diff([]string{"key_last_used_timestamp_seconds k a 0"}, full.series(t, "zenduty_bridge_key_last_used_timestamp_seconds")); diff != "" {
		t.Error(diff)
	}
}

package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// admins starts what looks like a bridge's admin server and returns a client of it.
func admins(t *testing.T, handle http.HandlerFunc, environment map[string]string) *adminClient {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	c, err := adminFlags{Admin: &server.URL}.client(testProgram(environment))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testProgram(environment map[string]string) *program {
	return &program{ctx: context.Background(), getenv: func(name string) (string, bool) {
		value, ok := environment[name]
		return value, ok
	}}
}

func TestAdminClientSendsTheToken(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Header.Get("Authorization"))) }
	for want, environment := range map[string]map[string]string{
		"Bearer t": {"ZENDUTY_BRIDGE_ADMIN_TOKEN": "t"},
		"":         {"NATS_TOKEN": "other", "NATS_USER": "u", "ZENDUTY_SIGNING_KEY": " "},
	} {
		var got []byte
		c := admins(t, echo, environment)
		if err := c.do(t.Context(), http.MethodPost, "x", struct{}{}, &got); err != nil || string(got) != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("of a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (adminFlags{TokenFile: &file}).client(testProgram(nil)); err == nil || !strings.Contains(err.Error(), "one word") {
		t.Errorf("a token of several words: %v", err)
	}
}

func TestAdminClientErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		handle http.HandlerFunc
		want   string
	}{
		{"a problem is told as it is", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"detail":"do this"}`))
		}, "do this"},
		{"not a bridge", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) },
			"answers 502 Bad Gateway: is that the admin address of a bridge"},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "none of a bridge's"},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.example", http.StatusFound)
		},
			"answers 302 Found"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = w.Write([]byte("{"))
		}, "no bridge answers at http://127.0.0.1:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out any
			err := admins(t, test.handle, nil).get(t.Context(), "x", nil, &out)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	if c := admins(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, nil); !isStatus(c.get(t.Context(), "x", nil, nil), 404) {
		t.Error("a 404 is not told from other errors")
	}
}

// A bridge that is slow is not one that is away, and neither is one whose answer is no
// longer waited for.
func TestAdminClientGivesUp(t *testing.T) {
	asked, goOn := make(chan struct{}, 1), make(chan struct{})
	c := admins(t, func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-goOn }, nil)
	defer close(goOn)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() { <-asked; interrupt() }()
	if err := c.get(ctx, "x", nil, nil); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted before http://127.0.0.1:") {
		t.Error(err)
	}
	c.http.Timeout = time.Millisecond
	if err := c.get(t.Context(), "x", nil, nil); err == nil || !strings.Contains(err.Error(), "does not answer within 1ms: the bridge or its disk is busy") {
		t.Error(err)
	}
}

package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestNewTargetCompletesTheURL(t *testing.T) {
	for url, want := range map[string]string{
		"http://127.0.0.1:1":               "http://127.0.0.1:1/webhooks/zenduty",
		"http://127.0.0.1:1/":              "http://127.0.0.1:1/webhooks/zenduty",
		"https://example.com/webhooks/dev": "https://example.com/webhooks/dev",
		"https://example.com/bridge/":      "https://example.com/bridge/",
		"127.0.0.1:8080":                   "",
		"localhost":                        "",
		"ftp://example.com/":               "",
		"http://":                          "",
		"http://[::1":                      "",
	} {
		t.Run(url, func(t *testing.T) {
			target, err := newTarget(url, time.Second, 1, nil)
			if want == "" {
				if err == nil || exitCode(err) != exitUsage {
					t.Errorf("err = %v, want one of usage", err)
				}
				return
			}
			if err != nil || target.url != want {
				t.Errorf("%v, %v, want %s", target, err, want)
			}
		})
	}
}

func TestReadAnswer(t *testing.T) {
	for _, c := range []struct {
		status int
		text   string
		want   answer
	}{
		{200, `{"status":"accepted","id":"abc"}`, answer{200, "accepted", "abc"}},
		{200, `{"status":"duplicate","id":"abc"}`, answer{200, "duplicate", "abc"}},
		{401, `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"signature wrong"}`, answer{401, "signature wrong", ""}},
		{503, `{"title":"Service Unavailable","status":503}`, answer{503, "Service Unavailable", ""}},
		{502, `<html>Bad Gateway</html>`, answer{502, "Bad Gateway", ""}},
		{200, ``, answer{200, "OK", ""}},
		{400, "{\"detail\":\"\\u001b[2Jgone\"}", answer{400, "\uFFFD[2Jgone", ""}},
	} {
		t.Run(c.text, func(t *testing.T) {
			if diff := cmp.Diff(c.want, readAnswer(c.status, []byte(c.text))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPostSignsAndNamesTheUser(t *testing.T) {
	var got *http.Request
	target := newTestTarget(t, func(w http.ResponseWriter, r *http.Request) { got = r; accept(w, r) })
	target.user, target.password = "zenduty", "pass"
	if a := target.post(t.Context(), []byte("{}")); a != (answer{200, "accepted", "1"}) {
		t.Errorf("answer = %+v", a)
	}
	if sent := got.Header.Get(zenduty.SignatureHeader); sent != zenduty.Sign("secret", []byte("{}")) {
		t.Errorf("signature = %q", sent)
	}
	if user, password, _ := got.BasicAuth(); user != "zenduty" || password != "pass" {
		t.Errorf("Basic auth = %q, %q", user, password)
	}
	target.key = ""
	target.post(t.Context(), []byte("{}"))
	if signatures := got.Header.Values(zenduty.SignatureHeader); len(signatures) > 0 {
		t.Errorf("without a key the signature is %q", signatures)
	}
}

// What is no answer is told in words that are the same each time.
func TestPostWithoutAnAnswer(t *testing.T) {
	hang := make(chan struct{})
	slow := newTestTarget(t, func(http.ResponseWriter, *http.Request) { <-hang })
	slow.timeout = 50 * time.Millisecond
	defer close(hang)
	rude := newTestTarget(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for want, target := range map[string]*target{
		"no answer within 50ms":               slow,
		"connection closed before the answer": rude,
		"connection refused":                  newGoneTarget(t),
	} {
		t.Run(want, func(t *testing.T) {
			if a := target.post(t.Context(), []byte("{}")); a != (answer{Outcome: want}) {
				t.Errorf("answer = %+v", a)
			}
		})
	}
}

// newGoneTarget is a target where nobody listens any more.
func newGoneTarget(t *testing.T) *target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone, err := newTarget("http://"+l.Addr().String(), time.Second, 1, nil)
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	return gone
}

func TestPostDoesNotFollowRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(accept))
	defer elsewhere.Close()
	target := newTestTarget(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	if a := target.post(t.Context(), []byte("{}")); a.Status != http.StatusTemporaryRedirect {
		t.Errorf("answer = %+v, want the redirect itself", a)
	}
}

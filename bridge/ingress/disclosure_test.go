package ingress

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

var date = regexp.MustCompile(`Date: [^\r]*`)

// wholeAnswer is an answer's every byte, but for its time.
func wholeAnswer(t *testing.T, r *http.Request) string {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := httputil.DumpResponse(response, true)
	if err != nil {
		t.Fatal(err)
	}
	return date.ReplaceAllString(string(text), "Date: -")
}

// Why a sender was not authentic, is not told.
func TestUnauthorizedAnswersAreAlike(t *testing.T) {
	other := zenduty.Sign("another key", sample)
	elsewhere := func(s *Source) { s.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }
	basic := map[string]func(*http.Request){
		"missing":   func(*http.Request) {},
		"malformed": func(r *http.Request) { r.Header.Set("Authorization", "Basic !!") },
		"wrong":     func(r *http.Request) { r.SetBasicAuth("zen", "other") },
		"user":      func(r *http.Request) { r.SetBasicAuth("other", "pass:word") },
	}
	signature := map[string]func(*http.Request){
		"missing":      func(*http.Request) {},
		"empty":        func(r *http.Request) { r.Header.Set(zenduty.SignatureHeader, "") },
		"malformed":    func(r *http.Request) { r.Header.Set(zenduty.SignatureHeader, "%") },
		"of hex":       func(r *http.Request) { r.Header.Set(zenduty.SignatureHeader, strings.Repeat("ab", 32)) },
		"wrong":        func(r *http.Request) { r.Header.Set(zenduty.SignatureHeader, other) },
		"wrong, again": func(r *http.Request) { r.Header.Set(zenduty.SignatureHeader, zenduty.Sign(secret, nil)) },
		"two": func(r *http.Request) {
			r.Header[http.CanonicalHeaderKey(zenduty.SignatureHeader)] = []string{other, other}
		},
	}
	for path, ways := range map[string]map[string]func(*http.Request){"/webhooks/zenduty": signature, "/webhooks/basic": basic} {
		var first string
		for _, change := range []func(*Source){func(*Source) {}, elsewhere} {
			addr, _ := serveSources(t, &accepter{}, Options{}, change)
			for way, spoil := range ways {
				r := post{path: path}.request(t, addr)
				spoil(r)
				got := wholeAnswer(t, r)
				if first == "" {
					first = got
				}
				if diff := cmp.Diff(first, got); diff != "" || !strings.HasPrefix(got, "HTTP/1.1 401 ") {
					t.Errorf("%s, %s: %s", path, way, diff)
				}
			}
		}
	}
}

// Nor what sources there are, beyond that this is none.
func TestUnknownSourcesAreAlike(t *testing.T) {
	addr, _ := serve(t, &accepter{}, Options{})
	first := wholeAnswer(t, post{path: "/webhooks/a"}.request(t, addr))
	for _, path := range []string{"/webhooks/Zenduty", "/webhooks/zenduty2", "/webhooks/unknown", "/webhooks/%2e%2e", "/webhooks/" + strings.Repeat("a", 5000)} {
		for _, header := range []map[string]string{nil, signed(sample)} {
			if diff := cmp.Diff(first, wholeAnswer(t, post{path: path, header: header}.request(t, addr))); diff != "" {
				t.Errorf("%.50s: %s", path, diff)
			}
		}
	}
}

// leaking is an accepter whose errors are full of what is nobody's business.
type leaking struct{ err error }

const inside = "open /var/lib/bridge/000001.log: goroutine 7 [running]: main.go:12 0xc000012345 runtime error"

func (l leaking) Accept(context.Context, bridge.Webhook) (bridge.Receipt, error) {
	if l.err == nil {
		panic(inside)
	}
	return bridge.Receipt{}, fmt.Errorf(inside+": %w", l.err)
}

var fromInside = regexp.MustCompile(`(?i)/var|goroutine|\.go\b|0x|runtime|panic|[a-z]+\.[A-Z]\w+|%!`)

// No answer has a stack, a path or an error's text in it, whatever goes wrong.
func TestAnswersTellNothingOfTheInside(t *testing.T) {
	all := slices.Concat(refusals, []refusal{{err: io.ErrNoProgress, status: 503, outcome: "error"}, {status: 500, outcome: "error"}})
	for _, want := range all {
		t.Run(fmt.Sprintf("%d %s", want.status, want.outcome), func(t *testing.T) {
			var log bytes.Buffer
			addr, registry := serve(t, leaking{want.err}, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			response, err := http.DefaultClient.Do(post{header: signed(sample)}.request(t, addr))
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(response.Body)
			response.Body.Close()
			p := post{status: want.status}
			if response.StatusCode != want.status {
				t.Errorf("%d, want %d", response.StatusCode, want.status)
			}
			if response.StatusCode != 405 {
				checkBody(t, p, response, text)
			}
			if found := fromInside.FindString(string(text) + fmt.Sprint(response.Header)); found != "" {
				t.Errorf("%q in %s %v", found, text, response.Header)
			}
			label := "zenduty "
			if want.status == http.StatusNotFound {
				label = unknownSource + " "
			}
			if n := counted(t, registry)[label+want.outcome]; n != 1 {
				t.Errorf("%v are counted as %s", n, want.outcome)
			}
			if !strings.Contains(log.String(), "goroutine 7") {
				t.Errorf("the log does not tell:\n%s", &log)
			}
			if n := gauge(t, registry, "zenduty_bridge_requests"); n != 0 {
				t.Errorf("%v requests are still under way", n)
			}
		})
	}
}

// Hostile requests are answered, each by a problem of ours or by net/http, without a
// word of the inside.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{"/webhooks/zenduty", "/webhooks/%00", "//", "/webhooks/zenduty/../x", "*"} {
		f.Add(seed, "gzip", "Basic \xff", []byte("\x1f\x8b"))
	}
	v, err := zenduty.NewVerifier(zenduty.ModeAuto, []zenduty.Key{{Name: "k", Secret: secret}})
	if err != nil {
		f.Fatal(err)
	}
	h := New(&accepter{}, map[string]*Source{"zenduty": {Verifier: v, BasicAuth: NewBasicAuth("a", "b")}}, Options{FailedAuthBurst: 1 << 30, Logger: slog.New(slog.DiscardHandler)}).http.Handler
	f.Fuzz(func(t *testing.T, path, coding, authorization string, body []byte) {
		r, err := http.NewRequest(http.MethodPost, "http://x/", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path = path
		r.Header.Set("Content-Encoding", coding)
		r.Header.Set("Authorization", authorization)
		r.Header.Set(zenduty.SignatureHeader, authorization)
		r.Header.Set(forwardedHeader, authorization)
		w := &copying{recorder: recorder{header: http.Header{}}}
		h.ServeHTTP(w, r)
		if w.status < 400 || w.status == 500 || !strings.HasPrefix(w.header.Get("Content-Type"), "application/problem+json") || fromInside.Match(w.body.Bytes()) {
			t.Errorf("%d %v %s", w.status, w.header, &w.body)
		}
	})
}

// copying is a recorder that keeps the body.
type copying struct {
	recorder
	body bytes.Buffer
}

func (c *copying) Write(b []byte) (int, error) { return c.body.Write(b) }

// BenchmarkUnauthorized shows that one way to fail takes as long as another. It is a
// measurement, since a machine with other work on it tells apart what is alike.
func BenchmarkUnauthorized(b *testing.B) {
	v, err := zenduty.NewVerifier(zenduty.ModeAuto, []zenduty.Key{{Name: "k", Secret: secret}})
	if err != nil {
		b.Fatal(err)
	}
	h := New(&accepter{}, map[string]*Source{"zenduty": {Verifier: v}}, Options{
		FailedAuthRate: 1e9, FailedAuthBurst: 1 << 30, Logger: slog.New(slog.DiscardHandler),
	}).http.Handler
	requests := distinct(b, 1)
	body, err := io.ReadAll(requests[0].Body)
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name   string
		header http.Header
	}{
		{"missing", http.Header{}},
		{"malformed", http.Header{"X-Signature": {"abc"}}},
		{"several", http.Header{"X-Signature": {"abc", "def"}}},
		{"wrong", http.Header{"X-Signature": {zenduty.Sign("other", body)}}},
	} {
		b.Run(way.name, func(b *testing.B) {
			r := &recorder{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				request := &http.Request{
					Method: http.MethodPost, URL: requests[0].URL, Header: way.header,
					Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), RemoteAddr: "192.0.2.1:1",
				}
				clear(r.header)
				h.ServeHTTP(r, request)
			}
		})
	}
}

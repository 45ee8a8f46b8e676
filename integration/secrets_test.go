package integration

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// Texts that must be in no log, by what they are. The sender's are wrong, but may be
// nearly right.
var secrets = map[string]string{
	"the signing key":            "signing-key-7Kq2",
	"the basic auth password":    "basic-password-7Kq2",
	"the admin token":            "admin-token-7Kq2",
	"the NATS password":          "carries-7Kq2",
	"a sender's wrong password":  "wrong-password-7Kq2",
	"an asker's wrong token":     "wrong-token-7Kq2",
	"a sender's wrong signature": "d3JvbmctN0txMg",
	"a webhook's body":           "body-7Kq2",
	"a request's query":          "query-7Kq2",
}

// rawLog is a bridge's standard error.
type rawLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *rawLog) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(&l.text, line)
}

func (l *rawLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Every kind of answer is given, with all that can be logged, and none of it is in the
// log, the metrics, what the API shows without the token, or the spans, that should not be.
func TestNoSecretsAreShown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	natsConfig := filepath.Join(dir, "nats.conf")
	writeUsers(t, natsConfig, "{user: bridge, password: "+secrets["the NATS password"]+"}")
	n := startNATS(t, "-c", natsConfig)
	files := newPair(t, time.Hour)
	config := filepath.Join(dir, "bridge.yaml")
	text := fmt.Sprintf(`
listen: %s
admin_listen: %s
data_dir: %s
admin_token: %s
log: {level: debug, format: json}
tls: {cert_file: %s, key_file: %s}
admin_tls: {cert_file: %s, key_file: %s}
sources:
  zenduty: {keys: [{key: %s}]}
  basic: {signature: none, basic_auth: {username: zen, password: %s}}
nats: {url: "nats://bridge:%s@%s"}
spool: {ballast_bytes: 4MiB}
ingress: {max_body_bytes: 64KiB, body_timeout: 1s}
audit: {interval: 1s, canary_interval: 1s}
`, freeAddress(t), freeAddress(t), filepath.Join(dir, "data"), secrets["the admin token"], files.cert, files.key, files.cert, files.key,
		secrets["the signing key"], secrets["the basic auth password"], secrets["the NATS password"], n.address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log rawLog
	b := &bridgeProcess{dataDir: filepath.Join(dir, "data")}
	cmd := exec.Command(bridgeBinary, "serve", "--config", config)
	cmd.Env = append(os.Environ(), "NATS_URL=", "OTEL_TRACES_EXPORTER=console")
	var spans bytes.Buffer
	cmd.Stdout = &spans
	b.process = start(t, cmd, func(line string) { log.add(line); b.logged(line) })
	eventually(t, 30*time.Second, "the bridge's first lines", b.announced)

	answers := speakToIngress(t, b)
	answers = append(answers, speakToAdmin(t, b)...)
	// The credentials are refused for a while, and the certificate's files are at fault.
	writeUsers(t, natsConfig)
	n.signal(syscall.SIGHUP)
	if err := os.WriteFile(files.key, []byte(secrets["the signing key"]), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the log tells of the files", func() bool {
		return b.said("the certificate's files cannot be used, the one read before stays in use") > 0
	})
	eventually(t, 30*time.Second, "a canary has failed", func() bool { return b.metric("zenduty_bridge_canary_failures_total") > 0 })
	shown := map[string]string{}
	for path, sign := range map[string]string{"/metrics": "zenduty_bridge_webhooks_total{", "/api/v1/status": `"sources":`, "/api/v1/webhooks?incident=i": `"webhooks":`, "/api/v1/quarantine": `"webhooks":`, "/api/v1/audit": `"findings":`, "/readyz": "ok"} {
		response, err := operatorClient.Get(b.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if shown[path] = string(text); err != nil || !strings.Contains(shown[path], sign) {
			t.Errorf("%s: %d %s %v", path, response.StatusCode, text, err)
		}
	}
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	logged := log.String()
	shown["the log"], shown["a span"] = logged, spans.String()
	for where, text := range shown {
		for what, secret := range secrets {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s has %s: %.400s", where, what, text[max(0, i-200):])
			}
		}
	}
	for _, kind := range []string{`"Name":"append"`, `"Name":"POST /webhooks/{source}"`, `"Name":"publish zenduty.incident`} {
		if !strings.Contains(shown["a span"], kind) {
			t.Errorf("no span with %s: the scenario shows less than it should\n%.1000s", kind, shown["a span"])
		}
	}
	for _, kind := range []string{"webhook refused", "wrong_signature", "wrong_credentials", "missing_credentials", "unreadable", "too_large", "not_found", "TLS handshake", "quarantined", "Authorization Violation"} {
		if !strings.Contains(logged, kind) {
			t.Errorf("nothing in the log of %q: the scenario shows less than it should", kind)
		}
	}
	t.Logf("answers: %v; %d lines of log", answers, strings.Count(logged, "\n"))
}

// speakToIngress posts what is taken, and all that is not.
func speakToIngress(t *testing.T, b *bridgeProcess) (answers []int) {
	t.Helper()
	key, body := secrets["the signing key"], secrets["a webhook's body"]
	good := []byte(`{"payload":{"event_type":"triggered","incident":{"unique_id":"i","title":"` + body + `"}}}`)
	refused := 0
	say := func(want int, path string, content []byte, change func(*http.Request)) {
		t.Helper()
		if want != http.StatusOK {
			if refused++; refused > 10 { // ten refusals are logged at once, and then one a second
				time.Sleep(1100 * time.Millisecond)
			}
		}
		r, err := http.NewRequest(http.MethodPost, "https://"+b.address()+path+"?token="+secrets["a request's query"], bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(zenduty.SignatureHeader, zenduty.Sign(key, content))
		change(r)
		response, err := client.Do(r)
		if err != nil {
			t.Fatalf("%s, want %d: %v", path, want, err)
		}
		defer response.Body.Close()
		if text, err := io.ReadAll(response.Body); response.StatusCode != want || err != nil {
			t.Errorf("%s: %d %s %v, want %d", path, response.StatusCode, text, err, want)
		}
		answers = append(answers, response.StatusCode)
	}
	as := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	const path = "/webhooks/zenduty"
	say(200, path, good, func(*http.Request) {})
	say(200, path, good, func(*http.Request) {}) // a duplicate
	for _, unkeyable := range []string{`"` + body + `"`, body, `{"payload":{"event_type":"` + body, `{"` + body + `":`, `[1,` + body + `]`, `{"payload":{"event_type":"","x":"` + body + `"}}`} {
		say(200, path, []byte(unkeyable), func(*http.Request) {})
	}
	say(401, path, good, as(zenduty.SignatureHeader, secrets["a sender's wrong signature"]))
	say(401, path, good, as(zenduty.SignatureHeader, secrets["a sender's wrong signature"]+"%%"))
	say(401, path, good, as(zenduty.SignatureHeader, zenduty.Sign("other", good)))
	say(401, path, good, func(r *http.Request) { r.Header.Del(zenduty.SignatureHeader) })
	say(400, path, good, as("Content-Encoding", "gzip"))
	say(400, path, good, as("Content-Encoding", "br"))
	say(413, path, bytes.Repeat([]byte(body), 9000), func(*http.Request) {})
	say(404, "/webhooks/nobody", good, func(*http.Request) {})
	say(404, "/", good, func(*http.Request) {})
	say(405, path, nil, func(r *http.Request) { r.Method = http.MethodDelete })
	say(200, "/webhooks/basic", good, func(r *http.Request) { r.SetBasicAuth("zen", secrets["the basic auth password"]) })
	say(401, "/webhooks/basic", good, func(r *http.Request) { r.SetBasicAuth("zen", secrets["a sender's wrong password"]) })
	say(401, "/webhooks/basic", good, as("Authorization", "Basic "+secrets["a sender's wrong password"]))
	time.Sleep(1100 * time.Millisecond)
	eventually(t, 30*time.Second, "a wrong signature is one too many", func() bool {
		r, _ := http.NewRequest(http.MethodPost, b.url, bytes.NewReader(good))
		r.Header.Set(zenduty.SignatureHeader, secrets["a sender's wrong signature"])
		response, err := client.Do(r)
		if err != nil {
			return false
		}
		response.Body.Close()
		answers = append(answers, response.StatusCode)
		return response.StatusCode == http.StatusTooManyRequests
	})
	for _, nonsense := range []string{"GET /" + body + " HTTP/9\r\n\r\n", "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n" + body, body} {
		c, err := tls.Dial("tcp", b.address(), clientTLS())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, nonsense)
		_ = c.CloseWrite()
		_, _ = io.ReadAll(c)
		c.Close()
	}
	response, err := client.Post("http://"+b.address()+path, "text/plain", strings.NewReader(body)) // without TLS
	if err == nil {
		response.Body.Close()
	}
	return answers
}

// speakToAdmin asks for what may be had, and for what may not.
func speakToAdmin(t *testing.T, b *bridgeProcess) (answers []int) {
	t.Helper()
	const id = "0123456789abcdefghijklmnopqrstuv"
	for _, ask := range []struct {
		method, path, token, body string
		want                      int
	}{
		{"GET", "/api/v1/status", "", "", 200},
		{"GET", "/api/v1/webhooks?incident=i", "", "", 200},
		{"GET", "/api/v1/webhooks/" + id + "/body", secrets["an asker's wrong token"], "", 401},
		{"GET", "/api/v1/webhooks/" + id + "/body", secrets["the admin token"], "", 404},
		{"GET", "/api/v1/quarantine?limit=" + secrets["a request's query"], "", "", 400},
		{"POST", "/api/v1/quarantine/" + id + "/retry", secrets["the admin token"], "", 404},
		{"POST", "/api/v1/replays", secrets["the admin token"], `{"` + secrets["a webhook's body"] + `":1}`, 400},
		{"GET", "/debug/pprof/", secrets["the admin token"], "", 404},
		{"GET", "/nothing?" + secrets["a request's query"], "", "", 404},
	} {
		r, err := http.NewRequest(ask.method, b.admin+ask.path, strings.NewReader(ask.body))
		if err != nil {
			t.Fatal(err)
		}
		if ask.token != "" {
			r.Header.Set("Authorization", "Bearer "+ask.token)
		}
		response, err := operatorClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != ask.want {
			t.Errorf("%s %s: %d, want %d", ask.method, ask.path, response.StatusCode, ask.want)
		}
		answers = append(answers, response.StatusCode)
	}
	return answers
}

// A page in the operator's browser can have nothing done, nor read anything by a name
// that was made to resolve to the bridge: with the headers that browsers send.
func TestBrowsers(t *testing.T) {
	t.Parallel()
	b := startBridge(t, t.TempDir(), "--admin-pprof", "true")
	host := strings.TrimPrefix(b.admin, "http://")
	const retry, replays, status = "/api/v1/quarantine/0123456789abcdefghijklmnopqrstuv/retry", "/api/v1/replays", "/api/v1/status"
	for name, test := range map[string]struct {
		method, path, host string
		header             http.Header
		want               int
	}{
		"a form of another page":          {"POST", retry, host, http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Content-Type": {"application/x-www-form-urlencoded"}}, 403},
		"a script of another page":        {"POST", replays, host, http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}, "Content-Type": {"text/plain"}}, 403},
		"of another port of this machine": {"POST", replays, host, http.Header{"Origin": {"http://127.0.0.1:3000"}, "Sec-Fetch-Site": {"same-site"}}, 403},
		"of a sandbox":                    {"POST", replays, host, http.Header{"Origin": {"null"}}, 403},
		"of an old browser":               {"POST", replays, host, http.Header{"Origin": {"http://evil.example"}}, 403},
		"a preflight":                     {"OPTIONS", replays, host, http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"POST"}}, 403},
		"an image that is a search":       {"GET", "/api/v1/webhooks?number=5", host, http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}}, 403},
		"a link to profiles":              {"GET", "/debug/pprof/profile", host, http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}, 403},
		"a frame of metrics":              {"GET", "/metrics", host, http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}}, 403},
		"metrics by such a name":          {"GET", "/metrics", "evil.example:8081", nil, 403},
		"profiles by such a name":         {"GET", "/debug/pprof/heap", "evil.example:8081", nil, 403},
		"health by a proxy's name for it": {"GET", "/readyz", "bridge.example", nil, 200},
		"a name made to resolve here":     {"GET", status, "evil.example:8081", http.Header{"Sec-Fetch-Site": {"same-origin"}}, 403},
		"and a POST to it":                {"POST", replays, "evil.example:8081", http.Header{"Origin": {"http://evil.example:8081"}, "Sec-Fetch-Site": {"same-origin"}}, 403},
		"the address bar":                 {"GET", status, host, http.Header{"Sec-Fetch-Site": {"none"}, "Sec-Fetch-Mode": {"navigate"}}, 200},
		"no browser":                      {"POST", retry, host, nil, 404},
		"profiles":                        {"GET", "/debug/pprof/", host, nil, 200},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest(test.method, b.admin+test.path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = test.host
			if test.header != nil {
				r.Header = test.header
			}
			response, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			if response.StatusCode != test.want {
				t.Errorf("%d %s, want %d", response.StatusCode, text, test.want)
			}
			for header := range response.Header {
				if strings.HasPrefix(header, "Access-Control-") {
					t.Errorf("%s: %s lets pages of others read it", header, response.Header.Get(header))
				}
			}
		})
	}
}

package integration

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// settings are a bridge's configuration file, bridge.yaml, and the files beside it.
type settings struct {
	t   *testing.T
	dir string
}

func newSettings(t *testing.T) settings {
	t.Helper()
	return settings{t, t.TempDir()}
}

func (s settings) path(name string) string { return filepath.Join(s.dir, name) }

// write puts text in a file's place, as an editor does: by a rename.
func (s settings) write(name, text string) {
	s.t.Helper()
	temporary := s.path(name + ".tmp")
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(temporary, s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

// keys is a source zenduty whose keys have their secrets, their names, in files.
func (s settings) keys(names ...string) string {
	s.t.Helper()
	text := "sources:\n  zenduty:\n    keys:\n"
	for _, name := range names {
		s.write(name+".key", name+"\n")
		text += fmt.Sprintf("      - {name: %s, key_file: %s}\n", name, s.path(name+".key"))
	}
	return text
}

// start runs a bridge that has its keys from the settings alone.
func (s settings) start(args ...string) *bridgeProcess {
	s.t.Helper()
	b := &bridgeProcess{dataDir: s.t.TempDir(), args: append([]string{"--config", s.path("bridge.yaml")}, args...), env: []string{"ZENDUTY_SIGNING_KEY="}}
	return b.start(s.t)
}

// logs counts the lines of the log with that message that have the other fields too,
// as name, value, name, value.
func (b *bridgeProcess) logs(msg string, fields ...string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.lines {
		matches := line["msg"] == msg
		for pair := range slices.Chunk(fields, 2) {
			matches = matches && fmt.Sprint(line[pair[0]]) == pair[1]
		}
		if matches {
			n++
		}
	}
	return n
}

const (
	reloadDone    = "configuration reloaded"
	reloadRefused = "configuration refused, the old one stays"
)

// reloads makes a change of the settings and waits until the bridge has taken it over,
// told by SIGHUP, or by itself ("change").
func (b *bridgeProcess) reloads(cause string, change func()) {
	b.t.Helper()
	b.awaitReload(cause, reloadDone, change)
}

func (b *bridgeProcess) awaitReload(cause, msg string, change func()) {
	b.t.Helper()
	before := b.logs(msg, "cause", cause)
	change()
	if cause == "SIGHUP" {
		b.signal(syscall.SIGHUP)
	}
	eventually(b.t, 30*time.Second, msg+" by "+cause, func() bool { return b.logs(msg, "cause", cause) > before })
}

// source is the URL of another source than zenduty.
func (b *bridgeProcess) source(name string) string {
	return strings.TrimSuffix(b.url, "zenduty") + name
}

var counter struct {
	sync.Mutex
	n int
}

// postSigned posts a webhook that nobody has posted, signed with a key, and returns
// the status.
func postSigned(t *testing.T, url, key string) int {
	t.Helper()
	counter.Lock()
	counter.n++
	body := fmt.Appendf(nil, `{"payload":{"event_type":"triggered","incident":{"unique_id":"signed-%d","service":{"unique_id":"svc"}}}}`, counter.n)
	counter.Unlock()
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(zenduty.SignatureHeader, zenduty.Sign(key, body))
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// signer stands before a bridge and signs what passes anew, as Zenduty would.
type signer struct {
	url string

	mu   sync.RWMutex // held for reading while a webhook is on its way
	keys []string
}

func startSigner(t *testing.T, target string, keys ...string) *signer {
	t.Helper()
	s := &signer{keys: keys}
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL, r.Out.Host = to, to.Host },
		Transport: &http.Transport{MaxIdleConnsPerHost: 128},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.mu.RLock()
		defer s.mu.RUnlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.Header.Set(zenduty.SignatureHeader, zenduty.Sign(s.keys[len(body)%len(s.keys)], body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// signs has others sign from now on; with those before nothing is on its way any more.
func (s *signer) signs(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

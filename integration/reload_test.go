package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	reloadsApplied    = `zenduty_bridge_config_reloads_total{outcome="applied"}`
	reloadsRefused    = `zenduty_bridge_config_reloads_total{outcome="refused"}`
	reloadSuccessful  = `zenduty_bridge_config_last_reload_successful`
	reloadSuccessTime = `zenduty_bridge_config_last_reload_success_timestamp_seconds`
)

func lastUsed(key string) string {
	return fmt.Sprintf(`zenduty_bridge_key_last_used_timestamp_seconds{key=%q,source="zenduty"}`, key)
}

// A key is replaced while webhooks come: signed with the old one, with either, with the
// new one. All are taken; and when the old one is gone, nothing signed with it is.
func TestKeyRotationUnderLoad(t *testing.T) {
	for _, cause := range []string{"SIGHUP", "change"} {
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			n, s := startNATS(t), newSettings(t)
			s.write("bridge.yaml", s.keys("old"))
			b := s.start("--nats-url", n.url())
			zenduty := startSigner(t, b.url, "old")
			tr := startTraffic(t, zenduty.url)
			tr.await(100)
			b.reloads(cause, func() { s.write("bridge.yaml", s.keys("old", "new")) })
			tr.await(100)
			zenduty.signs("old", "new")
			tr.await(100)
			zenduty.signs("new")
			old := b.metric(lastUsed("old"))
			tr.await(100)
			if now := b.metric(lastUsed("old")); now != old || now < float64(time.Now().Add(-time.Minute).Unix()) {
				t.Errorf("the old key was last used at %v, and then at %v", old, now)
			}
			if now := b.metric(lastUsed("new")); now <= old {
				t.Errorf("the new key was last used at %v, the old one at %v", now, old)
			}
			b.reloads(cause, func() { s.write("bridge.yaml", s.keys("new")) })
			if status := postSigned(t, b.url, "old"); status != http.StatusUnauthorized {
				t.Errorf("signed with the old key: %d", status)
			}
			if _, text := b.get("/metrics"); strings.Contains(text, `key="old"`) {
				t.Error("there are metrics of the old key yet")
			}
			tr.allDelivered(b, n)
		})
	}
}

// breakages are configurations that serve would refuse.
var breakages = map[string]func(s settings){
	"bad YAML":        func(s settings) { s.write("bridge.yaml", s.keys("new")+"  listen: [") },
	"empty key":       func(s settings) { s.write("bridge.yaml", s.keys("new")); s.write("new.key", "\n") },
	"unknown setting": func(s settings) { s.write("bridge.yaml", s.keys("new")+"lissten: :1\n") },
	"missing key file": func(s settings) {
		s.write("bridge.yaml", strings.ReplaceAll(s.keys("new"), "new.key", "missing.key"))
	},
	"file is gone": func(s settings) { _ = os.Remove(s.path("bridge.yaml")) },
	"several":      func(s settings) { s.write("bridge.yaml", s.keys("new")+"relay: {window: 0}\nservices: {a: b.c}\n") },
	"no NATS key": func(s settings) {
		s.write("seed", "no seed\n")
		s.write("bridge.yaml", s.keys("new")+"nats: {url: 127.0.0.1, nkey_seed_file: "+s.path("seed")+"}\n")
	},
}

// A configuration with anything wrong in it is refused as a whole, in the words of the
// start, and nothing else happens. When it is mended, it is taken over.
func TestBrokenConfigurationIsRefused(t *testing.T) {
	for name, breaks := range breakages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSettings(t)
			good := s.keys("old")
			s.write("bridge.yaml", good)
			b := s.start()
			if b.metric(reloadSuccessful) != 1 || b.metric(reloadsApplied) != 0 {
				t.Error("a start is not counted as a success, or as a reload")
			}
			since := b.metric(reloadSuccessTime)
			for n, cause := range []string{"change", "SIGHUP"} {
				b.awaitReload(cause, reloadRefused, func() { breaks(s) })
				b.checkRefused(s, n+1, since)
			}
			b.reloads("change", func() { s.write("bridge.yaml", good+"      - {name: new, key: new}\n") })
			if b.metric(reloadSuccessful) != 1 || b.metric(reloadsApplied) != 1 || b.metric(reloadSuccessTime) < since {
				t.Error("mended, and not told of")
			}
			for _, key := range []string{"old", "new"} {
				if status := postSigned(t, b.url, key); status != http.StatusOK {
					t.Errorf("mended, %s: %d", key, status)
				}
			}
		})
	}
}

// checkRefused: it was for the n-th time.
func (b *bridgeProcess) checkRefused(s settings, n int, since float64) {
	b.t.Helper()
	eventually(b.t, 10*time.Second, "the refusal is counted", func() bool { return b.metric(reloadsRefused) == float64(n) })
	if b.metric(reloadSuccessful) != 0 || b.metric(reloadSuccessTime) != since {
		b.t.Errorf("success is %v, of %v, want 0, of %v", b.metric(reloadSuccessful), b.metric(reloadSuccessTime), since)
	}
	if old, other := postSigned(b.t, b.url, "old"), postSigned(b.t, b.url, "new"); old != http.StatusOK || other != http.StatusUnauthorized {
		b.t.Errorf("signed with the old key %d, with the new one %d", old, other)
	}
	cmd := exec.Command(bridgeBinary, "serve", "--config", s.path("bridge.yaml"), "--data-dir", filepath.Join(s.dir, "never"),
		"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "ZENDUTY_SIGNING_KEY=", "NATS_URL=")
	out, _ := cmd.CombinedOutput() // its exit code is looked at
	if code := cmd.ProcessState.ExitCode(); code != 2 {
		b.t.Errorf("a start ends with %d: %s", code, out)
	}
	var want, got []string
	for line := range strings.Lines(strings.TrimPrefix(string(out), "zenduty-bridge: ")) {
		if !strings.HasPrefix(line, "{") { // the log of a start that failed later
			want = append(want, strings.TrimPrefix(strings.TrimSpace(line), "zenduty-bridge: "))
		}
	}
	b.mu.Lock()
	for _, line := range b.lines {
		if line["msg"] == reloadRefused && line["level"] == "ERROR" {
			got = append(got, fmt.Sprint(line["error"]))
		}
	}
	b.mu.Unlock()
	if diff := cmp.Diff(slices.Concat(slices.Repeat(want, n)), got); diff != "" {
		b.t.Errorf("what a start says, and what the log says: %s", diff)
	}
}

// However a file is replaced, what it says is taken over.
func TestReplacedFilesAreReadAgain(t *testing.T) {
	link := func(t *testing.T, target, name string) {
		t.Helper()
		if err := os.Symlink(target, name+".tmp"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".tmp", name); err != nil {
			t.Fatal(err)
		}
	}
	version := func(t *testing.T, s settings, name, key string) {
		t.Helper()
		if err := os.Mkdir(s.path(name), 0o700); err != nil {
			t.Fatal(err)
		}
		s.write(name+"/the.key", key)
	}
	for name, how := range map[string]struct {
		before, after func(t *testing.T, s settings)
	}{
		"written over": {
			func(_ *testing.T, s settings) { s.write("the.key", "old") },
			func(t *testing.T, s settings) {
				if err := os.WriteFile(s.path("the.key"), []byte("new\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			},
		},
		"renamed": {
			func(_ *testing.T, s settings) { s.write("the.key", "old") },
			func(_ *testing.T, s settings) { s.write("the.key", "new") },
		},
		// A Secret's volume: https://pkg.go.dev/k8s.io/kubernetes/pkg/volume/util#AtomicWriter
		"as Kubernetes does": {
			func(t *testing.T, s settings) {
				version(t, s, "..2026_01_01", "old")
				link(t, "..2026_01_01", s.path("..data"))
				link(t, "..data/the.key", s.path("the.key"))
			},
			func(t *testing.T, s settings) {
				version(t, s, "..2026_01_02", "new")
				link(t, "..2026_01_02", s.path("..data"))
				if err := os.RemoveAll(s.path("..2026_01_01")); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSettings(t)
			how.before(t, s)
			s.write("bridge.yaml", "sources: {zenduty: {keys: [{key_file: "+s.path("the.key")+"}]}}\n")
			b := s.start()
			if status := postSigned(t, b.url, "old"); status != http.StatusOK {
				t.Errorf("at the start: %d", status)
			}
			b.reloads("change", func() { how.after(t, s) })
			if old, other := postSigned(t, b.url, "old"), postSigned(t, b.url, "new"); old != http.StatusUnauthorized || other != http.StatusOK {
				t.Errorf("signed with the old key %d, with the new one %d", old, other)
			}
			if got := b.said(reloadRefused); got != 0 {
				t.Errorf("%d times refused", got)
			}
		})
	}
}

func TestAdminTokenRotated(t *testing.T) {
	t.Parallel()
	s := newSettings(t)
	s.write("token", "old\n")
	s.write("bridge.yaml", s.keys("k"))
	b := s.start("--admin-token-file", s.path("token"))
	ask := func(token string) int {
		request, err := http.NewRequest(http.MethodGet, b.admin+"/api/v1/webhooks/"+strings.Repeat("0", 32)+"/body", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if old, other := ask("old"), ask("new"); old != http.StatusNotFound || other != http.StatusUnauthorized {
		t.Errorf("at the start: %d, %d", old, other)
	}
	b.reloads("change", func() { s.write("token", "new\n") })
	if old, other := ask("old"), ask("new"); old != http.StatusUnauthorized || other != http.StatusNotFound {
		t.Errorf("rotated: %d, %d", old, other)
	}
	b.awaitReload("change", reloadRefused, func() { s.write("token", "two words\n") })
	if status := ask("new"); status != http.StatusNotFound {
		t.Errorf("after a token that is none: %d", status)
	}
}

// Sources come and go. What has come from one that is gone is delivered and found as if
// it were there.
func TestSourcesComeAndGo(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	s := newSettings(t)
	leaving, staying := "  leaving: {keys: [{key: l}]}\n", s.keys("k")
	s.write("bridge.yaml", staying+leaving)
	b := s.start("--nats-url", "nats://"+address)
	if status := postSigned(t, b.source("leaving"), "l"); status != http.StatusOK {
		t.Fatalf("from the source that will leave: %d", status)
	}
	b.reloads("SIGHUP", func() { s.write("bridge.yaml", staying+"  coming: {signature: raw, keys: [{key: c}]}\n") })
	for source, want := range map[string]int{"leaving l": 404, "coming c": 200, "zenduty k": 200} {
		name, key, _ := strings.Cut(source, " ")
		if status := postSigned(t, b.source(name), key); status != want {
			t.Errorf("%s: %d, want %d", name, status, want)
		}
	}
	if _, text := b.get("/metrics"); strings.Contains(text, `"leaving"`) || !strings.Contains(text, `outcome="accepted",source="coming"} 1`) {
		t.Error("the metrics are not those of the sources that there are")
	}
	n := &natsProcess{dir: t.TempDir(), address: address}
	n.process = n.run(t)
	b.awaitDelivered()
	var from []string
	for _, msg := range readStream(t, n.url()) {
		from = append(from, msg.Headers().Get("ce-source"))
		trace := exec.Command(bridgeBinary, "trace", msg.Headers().Get("ce-subject"), "--admin", b.admin)
		if out, err := trace.CombinedOutput(); err != nil || !strings.Contains(string(out), msg.Headers().Get("ce-id")) {
			t.Errorf("trace: %v %s", err, out)
		}
	}
	slices.Sort(from)
	if diff := cmp.Diff([]string{"/webhooks/coming", "/webhooks/leaving", "/webhooks/zenduty"}, from); diff != "" {
		t.Error(diff)
	}
}

// What cannot change while the bridge runs is named, and the rest is taken over.
func TestSettingsForTheNextStart(t *testing.T) {
	t.Parallel()
	s := newSettings(t)
	base := s.keys("k")
	s.write("bridge.yaml", base)
	b := s.start()
	const later = "a changed setting takes effect at the next start"
	b.reloads("SIGHUP", func() {
		s.write("bridge.yaml", base+"services: {svc: checkout}\nrelay: {window: 7}\nspool: {retention: 1h}\n")
	})
	eventually(t, 10*time.Second, "settings for the next start are named", func() bool {
		return b.logs(later, "setting", "relay.window") == 1 && b.logs(later, "setting", "spool.retention") == 1
	})
	if status := postSigned(t, b.url, "k"); status != http.StatusOK {
		t.Fatal(status)
	}
	b.awaitDelivered()
	if got := readStream(t, b.nats)[0].Subject(); got != "zenduty.incident.triggered.checkout" {
		t.Errorf("the alias is not taken over: %s", got)
	}
	for n, text := range []string{"log: {level: error}\n", "log: {level: error}\nservices: {svc: other}\n", "log: {level: info}\n"} {
		s.write("bridge.yaml", base+text)
		b.signal(syscall.SIGHUP)
		eventually(t, 10*time.Second, "the level is taken over", func() bool { return b.metric(reloadsApplied) == float64(n+2) })
	}
	eventually(t, 10*time.Second, "the last one is told of", func() bool { return b.said(reloadDone) == 2 })
	if b.said(later) != 2 {
		t.Errorf("%d settings are named, want 2", b.said(later))
	}
}

// Whoever sends SIGHUP does not know how far the start has come: it ends nothing, and
// is obeyed when the bridge runs. What comes through a pipe is read on SIGHUP alone.
func TestHangupDuringTheStart(t *testing.T) {
	t.Parallel()
	s := newSettings(t)
	if err := syscall.Mkfifo(s.path("bridge.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := (&bridgeProcess{dataDir: t.TempDir(), args: []string{"--config", s.path("bridge.yaml")}, env: []string{"ZENDUTY_SIGNING_KEY="}}).launch(t)
	give := func(text string, hangups int) {
		t.Helper()
		var pipe *os.File
		eventually(t, 30*time.Second, "the bridge reads", func() (opened bool) {
			var err error // there is one unless the other end is open, or about to be
			pipe, err = os.OpenFile(s.path("bridge.yaml"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
			return err == nil || b.hasEnded()
		})
		for range hangups {
			b.signal(syscall.SIGHUP)
		}
		if _, err := pipe.WriteString(text); err != nil {
			t.Error(err)
		}
		pipe.Close()
	}
	give(s.keys("old"), 10)
	eventually(t, 30*time.Second, "the bridge runs", func() bool { return b.announced() || b.hasEnded() })
	give(s.keys("new"), 0)
	eventually(t, 10*time.Second, "it is reloaded", func() bool { return b.logs(reloadDone, "cause", "SIGHUP") == 1 || b.hasEnded() })
	if b.hasEnded() {
		t.Fatalf("it ended: %v", b.err)
	}
	if old, other := postSigned(t, b.url, "old"), postSigned(t, b.url, "new"); old != http.StatusUnauthorized || other != http.StatusOK {
		t.Errorf("signed with the old key %d, with the new one %d", old, other)
	}
	if b.logs("the configuration is read again on SIGHUP only", "not_a_regular_file", s.path("bridge.yaml")) != 1 {
		t.Error("it does not say that it looks at no file")
	}
}

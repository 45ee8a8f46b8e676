package integration

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// eventually waits for a condition that another process brings about.
func eventually(t *testing.T, within time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for: %s", within, what)
		}
	}
}

// process is a program that a scenario started, and ends.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // of Wait, once ended is closed
}

// start runs a program; each line it writes to standard error goes to line, and
// to the test's log if the test fails.
func start(t *testing.T, cmd *exec.Cmd, line func(string)) *process {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, ended: make(chan struct{})}
	go p.follow(stderr, line)
	t.Cleanup(p.kill)
	return p
}

// follow reads the program's log to its end, then waits for the program.
func (p *process) follow(stderr io.Reader, line func(string)) {
	var mu sync.Mutex
	var lines []string
	scanner := bufio.NewScanner(stderr)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		mu.Lock()
		lines = append(lines, scanner.Text())
		mu.Unlock()
		line(scanner.Text())
	}
	p.err = p.cmd.Wait()
	close(p.ended)
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("log of %s:\n%s", p.cmd.Path, strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	})
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Error(err)
	}
}

// kill ends the program as a crash would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// stop asks the program to end and waits for it.
func (p *process) stop() error {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return p.err
	case <-time.After(30 * time.Second):
		p.t.Fatalf("%s has not stopped 30 s after SIGTERM", p.cmd.Path)
		return nil
	}
}

// bridgeProcess is a running zenduty-bridge serve.
type bridgeProcess struct {
	*process
	mu    sync.Mutex
	lines []map[string]any // its log
	url   string           // of its ingress
	admin string           // URL of its admin
	nats  string           // URL of its embedded NATS, or of the external one

	dataDir string
	args    []string
	env     []string // besides what every bridge is given, and in place of it
}

const signingKey = "8b0c51d2-6f4e-4a57-9d3f-1c2e5a7b9d10"

// startBridge runs zenduty-bridge serve on free ports and waits until it has said
// where. More arguments may be given; NATS is embedded unless they say otherwise.
func startBridge(t *testing.T, dataDir string, args ...string) *bridgeProcess {
	t.Helper()
	return (&bridgeProcess{dataDir: dataDir, args: args}).start(t)
}

// start is launch, and waits.
func (b *bridgeProcess) start(t *testing.T) *bridgeProcess {
	t.Helper()
	b = b.launch(t)
	eventually(t, 30*time.Second, "the bridge's first lines", func() bool { return b.announced() || b.hasEnded() })
	if b.hasEnded() {
		t.Fatalf("the bridge ended at once: %v", b.err)
	}
	return b
}

// launch runs a bridge like b and does not wait for it.
func (b *bridgeProcess) launch(t *testing.T) *bridgeProcess {
	t.Helper()
	b = &bridgeProcess{dataDir: b.dataDir, args: b.args, env: b.env}
	cmd := exec.Command(bridgeBinary, append([]string{"serve", "--data-dir", b.dataDir, "--listen", "127.0.0.1:0",
		"--admin-listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--spool-ballast-bytes", "4MiB"}, b.args...)...)
	cmd.Env = append(append(os.Environ(), "ZENDUTY_SIGNING_KEY="+signingKey, "NATS_URL="), b.env...)
	b.process = start(t, cmd, b.logged)
	return b
}

// startBridgeAt is startBridge on a port that stays its own, for again.
func startBridgeAt(t *testing.T, dataDir string, args ...string) *bridgeProcess {
	t.Helper()
	return startBridge(t, dataDir, append([]string{"--listen", freeAddress(t)}, args...)...)
}

// again runs a bridge that has ended once more, on its directory and its port.
func (b *bridgeProcess) again(t *testing.T) *bridgeProcess {
	t.Helper()
	return b.start(t)
}

func (b *bridgeProcess) hasEnded() bool {
	select {
	case <-b.ended:
		return true
	default:
		return false
	}
}

// logged reads the announcements off the log.
func (b *bridgeProcess) logged(line string) {
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, fields)
	switch fields["msg"] {
	case "taking webhooks":
		b.url = "http://" + fields["listen"].(string) + "/webhooks/zenduty"
		if fields["tls"] == true {
			b.url = "https" + strings.TrimPrefix(b.url, "http")
		}
	case "publishing to NATS":
		b.nats = fields["url"].(string)
	case "serving operators":
		b.admin = strings.TrimSuffix(fields["metrics"].(string), "/metrics")
	}
}

func (b *bridgeProcess) announced() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.url != "" && b.nats != "" && b.admin != ""
}

// said counts the log's lines with that message.
func (b *bridgeProcess) said(msg string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, line := range b.lines {
		if line["msg"] == msg {
			n++
		}
	}
	return n
}

// warnings are the lines of its log that call for attention.
func (b *bridgeProcess) warnings() (lines []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.lines {
		if (line["level"] == "WARN" || line["level"] == "ERROR") && line["msg"] != "webhook quarantined" {
			lines = append(lines, fmt.Sprint(line["level"], " ", line["msg"], " ", line["error"]))
		}
	}
	return lines
}

// get asks the admin API and returns status and text.
func (b *bridgeProcess) get(path string) (int, string) {
	b.t.Helper()
	response, err := operatorClient.Get(b.admin + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// metric is one sample of /metrics, by name and labels as they are printed; 0 if
// there is none.
func (b *bridgeProcess) metric(name string) float64 {
	b.t.Helper()
	status, text := b.get("/metrics")
	if status != http.StatusOK {
		b.t.Fatalf("/metrics: %d %s", status, text)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				b.t.Fatal(err)
			}
			return f
		}
	}
	return 0
}

// awaitDelivered waits until nothing is pending.
func (b *bridgeProcess) awaitDelivered() {
	b.t.Helper()
	eventually(b.t, time.Minute, "everything delivered", func() bool {
		return b.metric(`zenduty_bridge_spool_records{state="pending"}`) == 0
	})
}

// natsProcess is a nats-server of its own.
type natsProcess struct {
	*process
	dir, address string
	args         []string
	user         string // with its password, of the one who looks; empty where nobody need log in
}

// startNATS runs a nats-server with JetStream on a free port.
func startNATS(t *testing.T, args ...string) *natsProcess {
	t.Helper()
	n := &natsProcess{dir: t.TempDir(), address: freeAddress(t), args: args}
	n.process = n.run(t)
	return n
}

func (n *natsProcess) url() string {
	if n.user != "" {
		return "nats://" + n.user + "@" + n.address
	}
	return "nats://" + n.address
}

// hang stops it where it stands: connections stay, and nobody answers.
func (n *natsProcess) hang() { n.signal(syscall.SIGSTOP) }

// resume ends hang.
func (n *natsProcess) resume() { n.signal(syscall.SIGCONT) }

func (n *natsProcess) run(t *testing.T) *process {
	t.Helper()
	host, port, err := net.SplitHostPort(n.address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(natsBinary, append([]string{"-js", "-sd", n.dir, "-a", host, "-p", port}, n.args...)...)
	p := start(t, cmd, func(string) {})
	eventually(t, 20*time.Second, "nats-server takes connections", func() bool {
		conn, err := net.Dial("tcp", n.address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return p
}

// restart runs it again on the same port and store, after it has ended.
func (n *natsProcess) restart(t *testing.T) {
	t.Helper()
	n.process = n.run(t)
}

// wipe empties its store, while it is down.
func (n *natsProcess) wipe(t *testing.T) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(n.dir), os.Mkdir(n.dir, 0o700)); err != nil {
		t.Fatal(err)
	}
}

// copyStore copies its store, while it is down, for rollBack.
func (n *natsProcess) copyStore(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(n.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// rollBack puts a copy in the place of its store, while it is down.
func (n *natsProcess) rollBack(t *testing.T, dir string) {
	t.Helper()
	n.wipe(t)
	if err := os.CopyFS(n.dir, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
}

// freeAddress is a loopback address whose port was free a moment ago. The port is
// below those that systems give to outgoing connections, so that none of these
// takes it while a scenario has its program down.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port found")
	return ""
}

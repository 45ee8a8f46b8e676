package integration

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The README's Go consumer, word for word but for the address, gets a webhook.
func TestReadmeConsumer(t *testing.T) {
	b := startBridge(t, t.TempDir())
	l := fixtureLoad(t, 1)
	postAll(t, b.url, l, 1)
	b.awaitDelivered()

	consumer := exec.Command(buildSnippet(t, b.nats))
	stdout, err := consumer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, consumer, func(string) {})
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		lines <- strings.TrimSpace(line)
	}()
	select {
	case line := <-lines:
		if want := "zenduty.incident.triggered." + fixtureService + " fixture-0"; line != want {
			t.Errorf("the consumer printed %q, want %q", line, want)
		}
	case <-p.ended:
		t.Errorf("the consumer ended: %v", p.err)
	case <-time.After(20 * time.Second):
		t.Error("the consumer printed nothing")
	}
}

// buildSnippet makes a program of the README's Go block.
func buildSnippet(t *testing.T, natsURL string) string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(readme), "```go\n")
	snippet, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatal("README.md has no Go block")
	}
	source := "package main\n\nimport (\n\"context\"\n\"fmt\"\n\"log\"\n\n\"github.com/nats-io/nats.go\"\n\"github.com/nats-io/nats.go/jetstream\"\n)\n\n" +
		"func main() {\nctx := context.Background()\n" + strings.Replace(snippet, "nats://127.0.0.1:4222", natsURL, 1) +
		"\ndefer consuming.Stop()\nselect {}\n}\n"
	// Within the module, so that its go.mod serves; testdata is no package of it.
	dir, err := os.MkdirTemp("testdata", "readme-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "consumer")
	if err := build("-o", binary, filepath.Join(dir, "main.go")); err != nil {
		t.Fatal(err)
	}
	return binary
}

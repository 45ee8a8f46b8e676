package integration

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReadmeOperating does what the README's chapter of operations says, command after
// command as one shell session, so that each is as it stands there. A network of its
// own has the default ports free, and ends with all that was started in it.
func TestReadmeOperating(t *testing.T) {
	t.Parallel() // mostly waits
	for _, program := range []string{"bash", "unshare", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			unavailable(t, program+" is not here (Debian's packages are bash, util-linux and iproute2)")
		}
	}
	blocks := fenced(chapter(t, "Operating it"), "sh")
	if len(blocks) < 10 {
		t.Fatalf("the chapter has %d blocks of commands", len(blocks))
	}
	script := "ip link set lo up\n" + strings.Join(blocks, "\n")
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	unshare := []string{"--net", "--pid", "--fork", "--kill-child"}
	if os.Geteuid() != 0 {
		unshare = append(unshare, "--map-root-user")
	}
	cmd := exec.CommandContext(ctx, "unshare", append(unshare, "bash", "-euxo", "pipefail", "-c", script)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(bridgeBinary)+":"+os.Getenv("PATH"), "ZENDUTY_SIGNING_KEY=", "NATS_URL=")
	cmd.WaitDelay = time.Second // what is left in the background has the pipe open
	out, err := cmd.CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(cmd.Dir, "serve.log"))
		t.Fatalf("%v\n%s\nserve.log:\n%s", err, out, log)
	}
	for _, want := range []string{"key second, last used", "whole: every block fits its checksum"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in what was printed:\n%s", want, out)
		}
	}
}

// chapter is a chapter of the README without its heading.
func chapter(t *testing.T, title string) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n## "+title+"\n")
	if !found {
		t.Fatalf("README.md has no chapter %s", title)
	}
	body, _, _ := strings.Cut(after, "\n## ")
	return body
}

package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// step is one block of commands of the README's chapter of operations, with what a test
// does in the place of the world.
type step struct {
	begins string   // how the block does
	before string   // commands: what the world does to bring it about
	fails  bool     // the block's command fails, and is meant to
	asks   bool     // it asks, and is answered y
	prints []string // expressions that what it prints matches
	after  string   // commands: what the world does next, or what must be so then
}

// posts is Zenduty's, with the new key.
const posts = "zenduty-bridge send --key-file second.key "

var operating = []step{
	{begins: "umask 077"},
	{
		begins: "zenduty-bridge doctor --config bridge.yaml\nzenduty-bridge serve",
		prints: []string{`fsync`, `no bridge`},
	},
	{
		begins: "zenduty-bridge doctor --config bridge.yaml\nzenduty-bridge status",
		prints: []string{`a canary of source zenduty was answered after .* and was in the stream`, `takes webhooks`, `stream +ZENDUTY`},
		after:  `test -z "$(zenduty-bridge tail --since 1h --no-follow)" # no consumer has seen anything`,
	},
	{begins: "echo 'the new signing key'", after: "until " + posts + "--event incident; do sleep 0.2; done"},
	{begins: "zenduty-bridge status", prints: []string{`key second, last used \d`, `key first`}},
	{
		begins: "cat >bridge.yaml",
		after: `echo 'the signing key from Zenduty' >old.key
			while zenduty-bridge send --key-file old.key; do sleep 0.2; done
			` + posts + `
			mkdir new && cp "$(command -v zenduty-bridge)" new/`,
	},
	{
		begins: "kill $!\nwait $!\nzenduty-bridge spool verify\ncp -a data data.backup\ninstall",
		prints: []string{`(?m)^pending +0 `, `(?m)^whole: every block fits its checksum`, `(?m)^zenduty-bridge `},
		after:  "cmp new/zenduty-bridge /usr/local/bin/zenduty-bridge && test -d data.backup/spool",
	},
	{
		begins: "zenduty-bridge status\nzenduty-bridge doctor",
		prints: []string{`takes webhooks`, `0 pending`, `a canary of source zenduty was answered`},
		after: posts + `--event incident --title 'Disk full'
			number=$(zenduty-bridge tail --since 1h --no-follow --json | grep 'Disk full' | grep -o '"incident_number": *[0-9]*' | grep -o '[0-9]*$' | head -n 1)
			number_is_there() { zenduty-bridge trace "$number" --json | grep -c '"id"' | grep -qx 3; }
			number_is_there`,
	},
	{begins: "zenduty-bridge trace 4711", prints: []string{`key second`, `(?s)triggered.*acknowledged.*resolved`, `ZENDUTY`}},
	{begins: "zenduty-bridge tail", prints: []string{`(?s)triggered.*acknowledged.*resolved`}},
	{
		begins: "zenduty-bridge replay --incident 4711 --dry-run", asks: true,
		prints: []string{`(?m)^Publish 3 webhooks again\?`, `3 `},
		after: `(zenduty-bridge replay --since 1h --rate 1 --yes &
			id=
			until test -n "$id"; do id=$(zenduty-bridge replay --list --json | grep -B 20 '"running"' | grep -o '"id": *"[^"]*"' | cut -d '"' -f 4 | tail -n 1) || true; done
			zenduty-bridge replay --stop "$id"
			! wait $!)
			id=$(zenduty-bridge replay --list | grep stopped | cut -d ' ' -f 1)`,
	},
	{begins: "zenduty-bridge replay --list", prints: []string{`stopped`, `(?m)^replay \w+ done: published 7 of 7 webhooks`}},
	{
		begins: "zenduty-bridge quarantine list",
		before: `limit_messages 16384
			` + posts + `--title "$(printf '%20000s' long)"
			echo '["no incident"]' | ` + posts + `--file -
			until zenduty-bridge status | grep '2 quarantined'; do sleep 0.1; done
			quarantined() { zenduty-bridge quarantine list --json --kind $1 | grep -o '"id": *"[^"]*"' | cut -d '"' -f 4; }
			id=$(quarantined refused)`,
		prints: []string{`refused`, `unkeyable`, `(?m) {20}long`},
	},
	{
		begins: "zenduty-bridge quarantine retry --all",
		before: `limit_messages -1`,
		prints: []string{`stream`},
		after:  `test -z "$(quarantined refused)"; id=$(quarantined unkeyable)`,
	},
	{
		begins: "zenduty-bridge quarantine drop ID", asks: true,
		prints: []string{`Drop 1 webhook for good\?`, `dropped 1 webhook`},
		after: `zenduty-bridge status | grep '0 quarantined'
			kill -KILL $!
			! wait $!
			for manifest in data/spool/MANIFEST-*; do : >$manifest; done
			! zenduty-bridge serve --config bridge.yaml 2>refused.log
			grep 'spool is damaged.*run zenduty-bridge spool verify' refused.log`,
	},
	{
		begins: "zenduty-bridge spool verify", fails: true,
		prints: []string{`A bridge cannot open it`, `(?m)^  zenduty-bridge spool salvage --replace --data-dir data$`},
	},
	{
		begins: "zenduty-bridge spool salvage --replace\n",
		prints: []string{`(?m)^copied from data/spool\.damaged-\S+ to data/spool$`, `(?m)^lost: 0$`, `The bridge can be started`},
		after:  "number_is_there",
	},
	{
		begins: "kill $!\nwait $!\nmkdir -p other\n",
		prints: []string{`(?m)^copied from other/data/spool\.damaged-\S+ to other/data/spool$`, `(?m)^lost: 0$`},
		after:  posts + "\nnumber_is_there",
	},
	{
		begins: "kill $!\nwait $!\nmv other/data other/data.lost\n",
		prints: []string{`(?m)^whole: `},
		after:  posts + "\n! number_is_there # it came after the backup",
	},
}

// script is all steps as one for bash, each behind a line that tells which it is.
func script(t *testing.T, blocks []string) string {
	t.Helper()
	test, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{
		"ip link set lo up", "mount -t tmpfs tmpfs /usr/local/bin", "install " + bridgeBinary + " /usr/local/bin/zenduty-bridge",
		"limit_messages() { " + limitEnv + "=$1 " + test + "; }",
	}
	if len(blocks) != len(operating) {
		t.Fatalf("the chapter has %d blocks of commands, the test has %d", len(blocks), len(operating))
	}
	yours := strings.NewReplacer(" 4711", ` "$number"`, " ID", ` "$id"`)
	for i, s := range operating {
		if !strings.HasPrefix(blocks[i], s.begins) {
			t.Fatalf("block %d of the chapter begins not with %q:\n%s", i, s.begins, blocks[i])
		}
		block := yours.Replace(blocks[i])
		if s.fails {
			block = "! " + block
		}
		if s.asks {
			block = "{\n" + block + "} <<<y"
		}
		lines = append(lines, s.before, fmt.Sprintf("echo %s%d", stepLine, i), block, "echo "+stepLine, s.after)
	}
	return strings.Join(lines, "\n")
}

const stepLine = "@@ step "

// TestReadmeOperating does what the README's chapter of operations says, command after
// command as one shell session, so that each is as it stands there, and prints what it is
// there for. A network of its own has the default ports free, and ends with all that was
// started in it; programs are installed in a directory that nobody else sees.
func TestReadmeOperating(t *testing.T) {
	t.Parallel() // mostly waits
	for _, program := range []string{"bash", "unshare", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			unavailable(t, program+" is not here (Debian's packages are bash, util-linux and iproute2)")
		}
	}
	commands := script(t, fenced(chapter(t, "Operating it"), "sh"))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	unshare := []string{"--net", "--pid", "--mount", "--fork", "--kill-child"}
	if os.Geteuid() != 0 {
		unshare = append(unshare, "--map-root-user")
	}
	cmd := exec.CommandContext(ctx, "unshare", append(unshare, "bash", "-euo", "pipefail", "-c", commands)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH=/usr/local/bin:"+os.Getenv("PATH"), "ZENDUTY_SIGNING_KEY=", "NATS_URL=")
	cmd.WaitDelay = time.Second // what is left in the background has the pipe open
	out, err := cmd.CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(cmd.Dir, "serve.log"))
		t.Fatalf("%v\n%s\nserve.log:\n%s", err, out, log)
	}
	for i, s := range operating {
		_, printed, _ := strings.Cut(string(out), fmt.Sprintf("%s%d\n", stepLine, i))
		printed, _, _ = strings.Cut(printed, stepLine)
		for _, want := range s.prints {
			if !regexp.MustCompile(want).MatchString(printed) {
				t.Errorf("no %q in what was printed by\n%s:\n%s", want, s.begins, printed)
			}
		}
	}
}

// limitEnv has this program limit the size of the stream's messages, and end: for the
// scenario that has a network of its own.
const limitEnv = "ZENDUTY_BRIDGE_TEST_MAX_MSG_SIZE"

func limitMessages(size int32) error {
	nc, err := nats.Connect(nats.DefaultURL)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	stream, err := js.Stream(context.Background(), "ZENDUTY")
	if err != nil {
		return err
	}
	config := stream.CachedInfo().Config
	config.MaxMsgSize = size
	_, err = js.UpdateStream(context.Background(), config)
	return err
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

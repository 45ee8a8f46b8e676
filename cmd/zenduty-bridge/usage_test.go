package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is said to wrong usage: what is wrong, where, and what to do.
func TestWrongUsage(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"empty", "key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.TrimPrefix(name, "empty")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ line, want string }{
		{"sned", `unknown command sned, did you mean "send"? (see zenduty-bridge --help)`},
		{"nonsense", `unknown command nonsense (see zenduty-bridge --help)`},
		{"spool verfy", `unknown command verfy, did you mean "verify"? (see zenduty-bridge spool --help)`},
		{"--json", `unknown flag --json (see zenduty-bridge --help)`},

		{"serve --lisen :80", `unknown flag --lisen, did you mean "--listen"? (see zenduty-bridge serve --help)`},
		{"serve extra", `unexpected argument extra (see zenduty-bridge serve --help)`},
		{"serve", `sources: no signing key: set ZENDUTY_SIGNING_KEY (or ZENDUTY_SIGNING_KEY_FILE, or sources.<name>.keys in the configuration file) to the webhook's signing key from Zenduty`},
		{"serve --config nope", `nope: cannot be read: no such file or directory; --config or ZENDUTY_BRIDGE_CONFIG names this file`},
		{"demo --kepe", `unknown flag --kepe, did you mean "--keep"? (see zenduty-bridge demo --help)`},

		{"send", `no signing key: set ZENDUTY_SIGNING_KEY or --key-file to the key of the source, or give --unsigned if it asks for none`},
		{"send --key", `--key: a value is missing (see zenduty-bridge send --help)`},
		{"send --key a --key-file key", `--key and --key-file can't be used together (see zenduty-bridge send --help)`},
		{"send --key-file nope", `signing key (--key-file or ZENDUTY_SIGNING_KEY_FILE): open nope: no such file or directory`},
		{"send --key-file empty", `signing key (--key-file or ZENDUTY_SIGNING_KEY_FILE): empty is empty`},
		{"send --count 0", `--count must be at least 1`},
		{"send --count many", `--count: expected a valid 64 bit int but got "many" (see zenduty-bridge send --help)`},
		{"send --rate=-1", `--rate must be 0 (as fast as it goes) or more`},
		{"send --concurrency 0", `--concurrency must be at least 1`},
		{"send --timeout 5", `--timeout: expected duration but got "5": time: missing unit in duration "5" (see zenduty-bridge send --help)`},
		{"send --timeout 0s", `--timeout must be above 0`},
		{"send --event=", `--event must not be empty`},
		{"send --file key --event triggered", `--file and --event: the bytes of a file are sent as they are; give one of the two`},
		{"send --unsigned --file nope", `--file: open nope: no such file or directory`},
		{"send --unsigned --file empty", `--file: empty is empty`},
		{"send --unsigned --file -", `--file -: standard input is empty`},
		{"send --unsigned --url localhost:8080", `--url localhost:8080: not the URL of a source: give one such as http://127.0.0.1:8080/webhooks/zenduty`},

		{"tail --count", `--count: a value is missing (see zenduty-bridge tail --help)`},
		{"tail --count=-1", `--count must not be negative`},
		{"tail --event", `--event: a value is missing (see zenduty-bridge tail --help)`},
		{"tail --since yesterday", `--since: must be a duration above 0 with its unit, such as 90m or 24h, or a time as in RFC 3339, such as 2026-01-31T08:00:00Z (see zenduty-bridge tail --help)`},
		{"tail --no-follow", `--no-follow needs --since: without it there is nothing but what comes`},
		{"tail --json --pretty", `--json and --pretty can't be used together (see zenduty-bridge tail --help)`},
		{"tail --nats-creds nope", `--nats-creds or NATS_CREDS: nats.credentials_file: cannot be read: no such file or directory`},

		{"spool salvage", `missing flags: --replace or --to=DIR (see zenduty-bridge spool salvage --help)`},
		{"healthcheck --admin localhost:8081", `--admin localhost:8081: not where a bridge's admin API is: give a URL such as http://127.0.0.1:8081`},
		{"healthcheck --timeout 0s", `--timeout must be above 0`},
		{"completion", `expected "<shell>" (see zenduty-bridge completion --help)`},
		{"completion tcsh", `<shell> must be one of "bash","zsh","fish" but got "tcsh" (see zenduty-bridge completion --help)`},
		{"version 1", `unexpected argument 1 (see zenduty-bridge version --help)`},
	} {
		t.Run(c.line, func(t *testing.T) { checkFails(t, c.line, exitUsage, c.want) })
	}
}

// What is said when nothing was wrong with the words.
func TestFailures(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct{ line, want string }{
		{"healthcheck --admin http://127.0.0.1:1", `no bridge answers: Get "http://127.0.0.1:1/readyz": dial tcp 127.0.0.1:1: connect: connection refused (start it, or say with --admin or ZENDUTY_BRIDGE_ADMIN where its admin_listen is)`},
		{"tail --nats-url nats://127.0.0.1:1", `no NATS answers at nats://127.0.0.1:1: nats: no servers available for connection (start the bridge, or say with --nats-url or NATS_URL where its NATS is)`},
		{"spool verify --data-dir nope", `verify spool nope/spool: stat nope/spool: no such file or directory (--data-dir or ZENDUTY_BRIDGE_DATA_DIR names the bridge's data directory)`},
		{"spool salvage --data-dir nope --replace", `salvage spool nope/spool: stat nope/spool: no such file or directory (--data-dir or ZENDUTY_BRIDGE_DATA_DIR names the bridge's data directory)`},
		{"spool salvage --data-dir nope --to x", `salvage spool nope/spool to x: stat nope/spool: no such file or directory (--data-dir or ZENDUTY_BRIDGE_DATA_DIR names the bridge's data directory)`},
	} {
		t.Run(c.line, func(t *testing.T) { checkFails(t, c.line, exitFailed, c.want) })
	}
}

// checkFails runs a command line in an empty environment. All that it writes is one
// message, on standard error.
func checkFails(t *testing.T, line string, code int, want string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := &program{
		ctx: t.Context(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		getenv: func(string) (string, bool) { return "", false },
	}
	if got := p.main(strings.Fields(line)); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	if diff := cmp.Diff("zenduty-bridge: "+want+"\n", stderr.String()); diff != "" {
		t.Error(diff)
	}
	if stdout.Len() > 0 {
		t.Errorf("on standard output: %s", &stdout)
	}
}

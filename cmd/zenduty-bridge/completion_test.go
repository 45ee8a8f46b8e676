package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestComplete(t *testing.T) {
	for _, c := range []struct {
		name  string
		words []string
		want  []string // first words of the lines
	}{
		{"nothing", nil, []string{"serve", "demo", "send", "tail", "status"}},
		{"a command begun", []string{"se"}, []string{"serve", "send"}},
		{"a command of a command", []string{"spool", ""}, []string{"verify", "salvage"}},
		{"nothing more", []string{"version", ""}, nil},
		{"a hidden command", []string{"__"}, nil},
		{"flags", []string{"spool", "verify", "-"}, []string{"--help", "--config", "--data-dir", "--json"}},
		{"flags but what is given", []string{"spool", "verify", "--json", "--data-dir=x", "--"}, []string{"--help", "--config"}},
		{"a flag that may be repeated", []string{"tail", "--event", "x", "--ev"}, []string{"--event"}},
		{"no flags behind --", []string{"spool", "verify", "--", "-"}, nil},
		{"a known value", []string{"serve", "--log-level", "d"}, []string{"debug"}},
		{"a known value, bash", []string{"serve", "--log-level", "=", "d"}, []string{"debug"}},
		{"known values, bash", []string{"serve", "--log-format", "="}, []string{"auto", "text", "json"}},
		{"a known value, in one word", []string{"serve", "--log-level=d"}, []string{"--log-level=debug"}},
		{"a truth", []string{"serve", "--admin-pprof", ""}, []string{"true", "false"}},
		{"a value nobody knows", []string{"send", "--title", ""}, nil},
		{"an argument", []string{"completion", ""}, []string{"bash", "zsh", "fish"}},
		{"no more arguments", []string{"completion", "bash", ""}, nil},
		{"a file", []string{"send", "--file", "x"}, []string{":file"}},
		{"a directory", []string{"serve", "--data-dir", ""}, []string{":dir"}},
		{"a directory, in one word", []string{"serve", "--data-dir=d"}, []string{":dir"}},
		{"behind a value", []string{"serve", "--data-dir", "spool", "--nats-su"}, []string{"--nats-subject"}},
		{"given by an alias", []string{"tail", "--nats-stream-name", "serve", "--st"}, nil},
		{"behind a flag nobody knows", []string{"send", "--nope", "--ur"}, []string{"--url"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, line := range complete(newTestParser(t).Model.Node, c.words) {
				word, _, _ := strings.Cut(line, "\t")
				got = append(got, word)
			}
			if c.words == nil { // there will be more commands
				got = got[:min(len(got), len(c.want))]
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCompletionsSayWhatTheyMean(t *testing.T) {
	want := []string{"--key\tSigning key", "--key-file\tFile with the signing key ($ZENDUTY_SIGNING_KEY_FILE)"}
	if diff := cmp.Diff(want, complete(newTestParser(t).Model.Node, []string{"send", "--k"})); diff != "" {
		t.Error(diff)
	}
}

// Bash and fish tell what they would offer.
func TestCompletionInAShell(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"webhook.json", "webhooks/of today/x"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const bash = `source <(zenduty-bridge completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_zenduty_bridge
printf '%s\n' "${COMPREPLY[@]}"`
	const fish = `zenduty-bridge completion fish | source
complete -C "$argv"`
	for _, c := range []struct {
		words string
		want  string
	}{
		{"zenduty-bridge ser", "serve"},
		{"zenduty-bridge spool v", "verify"},
		{"zenduty-bridge spool verify --j", "--json"},
		{"zenduty-bridge send --file webhook.", "webhook.json"},
		{"zenduty-bridge serve --log-level w", "warn"},
		{"zenduty-bridge version x", ""},
	} {
		t.Run(c.words, func(t *testing.T) {
			args := append([]string{"--norc", "-c", bash, "bash"}, strings.Fields(c.words)...)
			if got := runShell(t, dir, "bash", args...); got != c.want {
				t.Errorf("bash offers %q, not %q", got, c.want)
			}
			got, _, _ := strings.Cut(runShell(t, dir, "fish", "--no-config", "-c", fish, c.words), "\t")
			if got != c.want {
				t.Errorf("fish offers %q, not %q", got, c.want)
			}
		})
	}
}

// runShell runs one, or skips the test where there is none, which a continuous
// integration may not.
func runShell(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	path := findShell(t, name)
	command := exec.Command(path, args...)
	command.Dir = dir
	command.Stderr = t.Output()
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

func findShell(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
	return path
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newSend is a sendCommand as the command line makes it without flags.
func newSend() sendCommand {
	return sendCommand{URL: defaultURL, Count: 1, Concurrency: 1, Timeout: time.Second}
}

func TestSendCheck(t *testing.T) {
	event, empty := "triggered", ""
	for want, change := range map[string]func(*sendCommand){
		"":              func(*sendCommand) {},
		"--count":       func(c *sendCommand) { c.Count = 0 },
		"--rate":        func(c *sendCommand) { c.Rate = -1 },
		"--concurrency": func(c *sendCommand) { c.Concurrency = 0 },
		"--timeout":     func(c *sendCommand) { c.Timeout = 0 },
		"--event must":  func(c *sendCommand) { c.Event = &empty },
		"--file and --event: ": func(c *sendCommand) {
			c.File, c.Event = "x", &event
		},
		"--file and --service: ": func(c *sendCommand) { c.File, c.Service = "x", "s" },
		"--file and --title: ":   func(c *sendCommand) { c.File, c.Title = "x", "t" },
	} {
		t.Run(want, func(t *testing.T) {
			c := newSend()
			change(&c)
			err := c.check()
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestSigningKey(t *testing.T) {
	dir := t.TempDir()
	file, blank := filepath.Join(dir, "key"), filepath.Join(dir, "blank")
	for path, text := range map[string]string{file: "of the file\r\n", blank: "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name            string
		flag, fileFlag  string
		variable, inEnv string // the key, and the file's name
		want, problem   string
	}{
		{name: "flag", flag: "k", want: "k"},
		{name: "file without its line end", fileFlag: file, want: "of the file"},
		{name: "variable", variable: "v", want: "v"},
		{name: "variable of the file", inEnv: file, want: "of the file"},
		{name: "flag over variables", flag: "k", variable: "v", inEnv: file, want: "k"},
		{name: "file over variable", fileFlag: file, variable: "v", want: "of the file"},
		{name: "none", problem: "set ZENDUTY_SIGNING_KEY"},
		{name: "both variables", variable: "v", inEnv: file, problem: "unset one"},
		{name: "no such file", fileFlag: filepath.Join(dir, "none"), problem: "no such file"},
		{name: "blank file", fileFlag: blank, problem: "is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			getenv := func(name string) (string, bool) {
				text := map[string]string{"ZENDUTY_SIGNING_KEY": c.variable, "ZENDUTY_SIGNING_KEY_FILE": c.inEnv}[name]
				return text, text != ""
			}
			command := sendCommand{Key: c.flag, KeyFile: c.fileFlag}
			got, err := command.signingKey(getenv)
			if got != c.want || (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestSendReadBody(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte("of the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file, title, stdin string
		want                     string // empty: samples
		fails                    bool
	}{
		{name: "piped in", stdin: "piped", want: "piped"},
		{name: "nothing piped in"},
		{name: "piped in beside a sample's title", stdin: "piped", title: "t"},
		{name: "file", file: file, stdin: "piped", want: "of the file"},
		{name: "dash", file: "-", stdin: "piped", want: "piped"},
		{name: "dash and nothing", file: "-", fails: true},
		{name: "no such file", file: file + "x", fails: true},
		{name: "empty file", file: os.DevNull, fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			command := sendCommand{File: c.file, Title: c.title}
			body, err := command.readBody(&program{ctx: t.Context(), stdin: strings.NewReader(c.stdin)})
			if string(body) != c.want || (body == nil) != (c.want == "") || (err != nil) != c.fails {
				t.Errorf("%q, %v", body, err)
			}
			if c.fails && exitCode(err) != exitUsage {
				t.Errorf("%v is not an error of usage", err)
			}
		})
	}
}

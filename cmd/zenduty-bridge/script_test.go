package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/tidwall/gjson"
)

// The scripts run this test's binary as zenduty-bridge.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"zenduty-bridge": main})
}

func TestScripts(t *testing.T) {
	// Under nohup the processes that scripts start would ignore SIGHUP, as this one does.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Values[processesKey{}] = processes{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": cmdExits, "serve": cmdServe, "start": cmdStart, "signal": cmdSignal, "finish": cmdFinish,
			"lines": cmdLines, "json": cmdJSON, "empty": cmdEmpty,
			"awaits": cmdAwaits, "awaits-output": cmdAwaitsOutput, "keep-json": cmdKeepJSON,
			"delivered": cmdDelivered, "replayed": cmdReplayed, "diagnoses": cmdDiagnoses,
		},
	})
}

// patience is how long anything in a script may take.
const patience = 30 * time.Second

// processes are a script's in the background, by name.
type processes map[string]*process

type processesKey struct{}

type process struct {
	cmd            *exec.Cmd
	stdout, stderr transcript
	done           chan struct{} // closed when it has ended
}

// transcript is what a process has written so far.
type transcript struct {
	mu   sync.Mutex
	text []byte
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	return len(p), nil
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// await polls until found does, or else fails with what was awaited.
func await(fatalf func(string, ...any), found func() bool, what string, args ...any) {
	for deadline := time.Now().Add(patience); !found(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			fatalf("timed out waiting for "+what, args...)
		}
	}
}

// exits CODE PROGRAM ARGS...: the program ends with that exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want || neg {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// announced is what serve's log says of its addresses.
const announced = `(?s)"taking webhooks","listen":"(?P<LISTEN>[^"]+)".*"publishing to NATS".*"url":"(?P<NATS>[^"]+)".*"metrics":"(?P<ADMIN>http://[^/"]+)/metrics"`

// serve NAME ARGS...: zenduty-bridge serve on free ports, in the background. It
// sets $LISTEN, $NATS and $ADMIN to where it is reached.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	serve := []string{args[0], announced, "zenduty-bridge", "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--nats-listen", "127.0.0.1:0", "--spool-ballast-bytes", "4MiB"}
	cmdStart(ts, neg, append(serve, args[1:]...))
}

// start NAME REGEXP PROGRAM ARGS...: starts the program in the background and
// waits until it has written what the expression matches. Named groups become
// variables.
func cmdStart(ts *testscript.TestScript, _ bool, args []string) {
	name, pattern := args[0], regexp.MustCompile(args[1])
	p := startProcess(ts, args[2:])
	ts.Value(processesKey{}).(processes)[name] = p
	var match []string
	await(ts.Fatalf, func() bool {
		match = pattern.FindStringSubmatch(p.stderr.String() + p.stdout.String())
		return match != nil || p.ended()
	}, "%s", pattern)
	if match == nil {
		ts.Fatalf("%s ended:\n%s%s", name, &p.stdout, &p.stderr)
	}
	for i, group := range pattern.SubexpNames() {
		if group != "" {
			ts.Setenv(group, match[i])
		}
	}
}

func startProcess(ts *testscript.TestScript, args []string) *process {
	p := &process{cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	p.cmd.Dir = ts.MkAbs(".")
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "ZENDUTY_SIGNING_KEY", "NATS_URL"} {
		if value := ts.Getenv(name); value != "" {
			p.cmd.Env = append(p.cmd.Env, name+"="+value)
		}
	}
	ts.Check(p.cmd.Start())
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit code is looked at by finish
	}()
	ts.Defer(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.done
		ts.Logf("%s wrote:\n%s%s", p.cmd, &p.stdout, &p.stderr)
	})
	return p
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func findProcess(ts *testscript.TestScript, name string) *process {
	p, ok := ts.Value(processesKey{}).(processes)[name]
	if !ok {
		ts.Fatalf("no process %s", name)
	}
	return p
}

// signal NAME INT|TERM|HUP|KILL: to a process that may have ended.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": os.Kill}
	if err := findProcess(ts, args[0]).cmd.Process.Signal(signals[args[1]]); !errors.Is(err, os.ErrProcessDone) {
		ts.Check(err)
	}
}

// finish NAME CODE: waits until the process ends with that exit code. Its output
// is then in the files NAME.stdout and NAME.stderr.
func cmdFinish(ts *testscript.TestScript, _ bool, args []string) {
	name, p := args[0], findProcess(ts, args[0])
	await(ts.Fatalf, p.ended, "the end of %s", name)
	ts.Check(os.WriteFile(ts.MkAbs(name+".stdout"), []byte(p.stdout.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(name+".stderr"), []byte(p.stderr.String()), 0o600))
	if got := strconv.Itoa(p.cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("%s: exit code %s, want %s:\n%s%s", name, got, args[1], &p.stdout, &p.stderr)
	}
}

// lines FILE N: the file (or stdout) has N lines.
func cmdLines(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if got := strconv.Itoa(strings.Count(text, "\n")); got != args[1] {
		ts.Fatalf("%s has %s lines, want %s:\n%s", args[0], got, args[1], text)
	}
}

// json FILE PATH VALUE...: every line of the file (or stdout), or if there is one
// VALUE the whole of it, is JSON, and has under the path (as of gjson) the value.
func cmdJSON(ts *testscript.TestScript, _ bool, args []string) {
	docs := []string{ts.ReadFile(args[0])}
	if values := args[2:]; len(values) > 1 {
		docs = strings.Split(strings.TrimSuffix(docs[0], "\n"), "\n")
		if len(docs) != len(values) {
			ts.Fatalf("%d lines, want %d", len(docs), len(values))
		}
	}
	for i, doc := range docs {
		if !gjson.Valid(doc) {
			ts.Fatalf("not JSON: %s", doc)
		}
		if got := gjson.Get(doc, args[1]+"|@ugly").String(); got != args[2+i] {
			ts.Fatalf("%s of line %d = %q, want %q", args[1], i+1, got, args[2+i])
		}
	}
}

// awaits REGEXP PROGRAM ARGS...: runs the program until it prints what the expression
// matches and exits with 0.
func cmdAwaits(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	await(ts.Fatalf, func() bool {
		return ts.Exec(args[1], args[2:]...) == nil && pattern.MatchString(ts.ReadFile("stdout"))
	}, "%s", pattern)
}

// awaits-output NAME REGEXP: waits until a process in the background has written what
// the expression matches.
func cmdAwaitsOutput(ts *testscript.TestScript, _ bool, args []string) {
	p, pattern := findProcess(ts, args[0]), regexp.MustCompile(args[1])
	await(ts.Fatalf, func() bool { return pattern.MatchString(p.stderr.String() + p.stdout.String()) }, "%s", pattern)
}

// keep-json VARIABLE PATH: keeps what the JSON in stdout has under the path.
func cmdKeepJSON(ts *testscript.TestScript, _ bool, args []string) {
	value := gjson.Get(ts.ReadFile("stdout"), args[1])
	if !value.Exists() {
		ts.Fatalf("no %s", args[1])
	}
	ts.Setenv(args[0], value.String())
}

// empty DIR: the directory is there, and nothing is in it.
func cmdEmpty(ts *testscript.TestScript, _ bool, args []string) {
	found, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, f := range found {
		ts.Fatalf("left behind: %s", filepath.Join(args[0], f.Name()))
	}
}

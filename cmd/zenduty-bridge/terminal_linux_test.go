package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
)

// openTerminal opens a pseudo-terminal: what a program sees, and the person's side.
func openTerminal(t *testing.T) (programs, persons *os.File) {
	t.Helper()
	persons, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { persons.Close() })
	if err := unix.IoctlSetPointerInt(int(persons.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(persons.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	programs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { programs.Close() })
	return programs, persons
}

// screen is what has been written to a terminal. The copying ends with the terminal.
func screen(persons *os.File) *transcript {
	var seen transcript
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := persons.Read(buffer)
			_, _ = seen.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	return &seen
}

func TestColorsOnATerminal(t *testing.T) {
	terminal, _ := openTerminal(t)
	for _, c := range []struct {
		name      string
		env       map[string]string
		forbidden bool
		want      palette
	}{
		{"a terminal", map[string]string{"TERM": "xterm"}, false, true},
		{"NO_COLOR", map[string]string{"NO_COLOR": "1"}, false, false},
		{"NO_COLOR set to nothing, which is not set", map[string]string{"NO_COLOR": ""}, false, true},
		{"--no-color", nil, true, false},
		{"a terminal that cannot", map[string]string{"TERM": "dumb"}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &program{getenv: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }}
			if got := p.colorsFor(terminal, c.forbidden); got != c.want {
				t.Errorf("coloured: %t", got)
			}
		})
	}
}

// The whole program colours what it writes to a terminal, unless NO_COLOR is set.
func TestDemoOnATerminal(t *testing.T) {
	for _, setting := range []string{"NO_COLOR=", "NO_COLOR=1"} {
		t.Run(setting, func(t *testing.T) {
			terminal, persons := openTerminal(t)
			seen := screen(persons)
			demo := exec.Command("zenduty-bridge", "demo")
			demo.Env = append(os.Environ(), "TERM=xterm", setting)
			demo.Stdout, demo.Stderr = terminal, t.Output()
			if err := demo.Run(); err != nil {
				t.Fatal(err)
			}
			await(t.Fatalf, func() bool { return strings.Contains(seen.String(), "Nothing of it is left behind") }, "the demo's end")
			if got, want := strings.Contains(seen.String(), "\x1b["), setting == "NO_COLOR="; got != want {
				t.Errorf("coloured: %t\n%s", got, seen)
			}
		})
	}
}

// What a person types in a shell is completed by Tab and runs.
func TestTabInAShell(t *testing.T) {
	for _, c := range []struct {
		shell []string
		load  string
	}{
		{[]string{"bash", "--norc", "-i"}, "source <(zenduty-bridge completion bash)"},
		{[]string{"zsh", "-f", "-i"}, "autoload -U compinit; compinit -u -D; source <(zenduty-bridge completion zsh)"},
	} {
		t.Run(c.shell[0], func(t *testing.T) {
			terminal, persons := openTerminal(t)
			seen := screen(persons)
			shell := exec.Command(findShell(t, c.shell[0]), c.shell[1:]...)
			shell.Env = append(os.Environ(), "TERM=xterm", "PS1=> ", "HISTFILE=", "HOME="+t.TempDir())
			shell.Stdin, shell.Stdout, shell.Stderr = terminal, terminal, terminal
			shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := shell.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = shell.Process.Kill()
				_ = shell.Wait() // killed
			})
			typed := func(keys, awaited string) {
				t.Helper()
				if _, err := persons.WriteString(keys); err != nil {
					t.Fatal(err)
				}
				await(t.Fatalf, func() bool { return strings.Contains(seen.String(), awaited) }, "%q on %q", awaited, seen)
			}
			typed(c.load+"; echo lo''aded\n", "loaded\r\n")
			typed("zenduty-bridge ver\t\n", "zenduty-bridge devel")
			typed("zenduty-bridge spool verify --data-di\t", "--data-dir")
			typed("nowhere --js\t\n", "nowhere/spool")
			typed("zenduty-bridge completion \t\t", "fish")
		})
	}
}

// On a terminal a replay shows a bar, with what it waits for, which is gone at the end.
func TestReplayProgressOnATerminal(t *testing.T) {
	terminal, persons := openTerminal(t)
	seen := screen(persons)
	s := newReplayProgress(&program{stderr: terminal})
	running := bridge.Replay{ID: "3v0k9q2a", Webhooks: 60, Published: 12}
	shows := func(text string) {
		t.Helper()
		await(t.Fatalf, func() bool {
			s.show(running)
			return strings.Contains(seen.String(), text)
		}, "%q", text)
	}
	shows("publishing")
	shows("12/60")
	running.TooLarge, running.Error = 3, "there is no connection to NATS\x1b[31m"
	shows("waiting: there is no connection to NATS")
	shows("15/60")
	s.end()
	await(t.Fatalf, func() bool { return strings.HasSuffix(strings.TrimRight(seen.String(), " "), "\r") }, "%s", "an empty line")
	if strings.Contains(seen.String(), "\x1b[31m") {
		t.Errorf("an error's own colours: %q", seen)
	}
}

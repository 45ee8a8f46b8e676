package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	shellBlock  = regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$")
	codeSpan    = regexp.MustCompile("`([^`]+)`")
	redirection = regexp.MustCompile(` [0-9]?>>?[^\s;]+`)
	// Calls of the program, also in a container, and what a pod of it is to do.
	calls = []*regexp.Regexp{
		regexp.MustCompile(`(?m)(?:^|\|)\s*(?:(?:until|while|!|sudo|env|[A-Z_]+=\S*|\$\([^)]*\)) +)*zenduty-bridge +([^|;&\n#]+)`),
		regexp.MustCompile(`(?m)(?: -- | bridge )/zenduty-bridge +([^|;&\n#]+)`),
		regexp.MustCompile(`(?m)compose run --rm bridge +([^|;&\n#]+)`),
	}
	podArgs = regexp.MustCompile(`(?m)^ *args: \[(.*)\]$`)
)

// commandLines are the arguments of the program wherever a text calls it.
func commandLines(text string) (lines []string) {
	code := shellBlock.FindAllStringSubmatch(text, -1)
	code = append(code, codeSpan.FindAllStringSubmatch(shellBlock.ReplaceAllString(text, ""), -1)...)
	for _, block := range code {
		commands := redirection.ReplaceAllString(strings.ReplaceAll(block[1], "\\\n", " "), "")
		for _, call := range calls {
			for _, match := range call.FindAllStringSubmatch(commands, -1) {
				lines = append(lines, match[1])
			}
		}
	}
	for _, match := range podArgs.FindAllStringSubmatch(text, -1) {
		lines = append(lines, strings.ReplaceAll(match[1], ",", ""))
	}
	return lines
}

// The commands in the README and the runbook are the program's, with flags and arguments
// that it takes.
func TestDocumentedCommands(t *testing.T) {
	for path, least := range map[string]int{"../../README.md": 40, "../../deployments/prometheus/RUNBOOK.md": 30} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := commandLines(string(text))
		if len(lines) < least {
			t.Errorf("%s: only %d command lines are found: %q", path, len(lines), lines)
		}
		for _, line := range lines {
			if err := understood(t, line); err != nil {
				t.Errorf("%s: zenduty-bridge %s: %v", path, line, err)
			}
		}
	}
}

// understood is nil for a command line that the program takes.
func understood(t *testing.T, line string) error {
	t.Helper()
	helps := false
	parser, err := (&program{stdout: io.Discard, stderr: io.Discard}).newParser(func(int) { helps = true })
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(strings.NewReplacer(`"`, "", "'", "").Replace(line))
	if _, err = parser.Parse(args); helps || args[0] == "<command>" {
		return nil
	}
	return err
}

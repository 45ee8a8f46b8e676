package main

import (
	"encoding/csv"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Every command's help has an example of the command, and every example in any
// help is a command line that the program understands.
func TestExamples(t *testing.T) {
	for _, command := range newTestParser(t).Model.Leaves(true) {
		t.Run(command.FullPath(), func(t *testing.T) {
			shown := false
			for _, line := range examples(t, command.Detail) {
				parsed, err := newTestParser(t).Parse(line)
				if err != nil {
					t.Errorf("%q: %v", line, err)
					continue
				}
				shown = shown || parsed.Selected().FullPath() == command.FullPath()
			}
			if !shown {
				t.Errorf("no example of this command in its help:\n%s", command.Detail)
			}
		})
	}
}

func newTestParser(t *testing.T) *kong.Kong {
	t.Helper()
	parser, err := (&program{stdout: io.Discard, stderr: io.Discard}).newParser(func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

// exampleLine is an indented line that calls the program, from there to where
// another program is called.
var exampleLine = regexp.MustCompile(`(?m)^    (?:.*[ (])?zenduty-bridge( [^|&;)>\n]*|$)`)

// examples are the arguments of the command lines in a help text. Of the shell's
// grammar they may use double quotes around a word, and what joins commands.
func examples(t *testing.T, help string) [][]string {
	t.Helper()
	var lines [][]string
	for _, match := range exampleLine.FindAllStringSubmatch(help, -1) {
		words := csv.NewReader(strings.NewReader(strings.TrimSpace(match[1])))
		words.Comma = ' '
		line, err := words.Read()
		if err != nil {
			t.Fatalf("%s: %v", match[0], err)
		}
		lines = append(lines, line)
	}
	return lines
}

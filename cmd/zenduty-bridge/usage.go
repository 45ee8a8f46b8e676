package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// misused says what is wrong with a command line, and where its help is. If the
// line is only not at its end yet, the help is shown at once.
func (p *program) misused(err error) error {
	const program = "zenduty-bridge"
	var parse *kong.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	node := cmp.Or(parse.Context.Selected(), parse.Context.Model.Node)
	if parse.Context.Error == nil && !node.Leaf() {
		parse.Context.Stdout = p.stderr
		_ = parse.Context.PrintUsage(false) // the error is told either way
		fmt.Fprintln(p.stderr)
		return errors.New("give a command, one of those above")
	}
	path := strings.TrimPrefix(strings.TrimPrefix(node.Path(), program), " ")
	return fmt.Errorf("%s (see %s --help)", plain(err.Error(), node), strings.TrimSpace(program+" "+path))
}

// plain turns some of kong's messages into words of this program's user.
func plain(message string, node *kong.Node) string {
	if rest, found := strings.CutPrefix(message, "unexpected argument "); found && !node.Leaf() {
		return "unknown command " + rest
	}
	flag, problem, _ := strings.Cut(message, ": ")
	if strings.Contains(problem, `got "EOL"`) || strings.HasPrefix(problem, "missing value") {
		return flag + ": a value is missing"
	}
	return message
}

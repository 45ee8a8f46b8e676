package main

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCommand prints what teaches a shell to complete command lines.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// The scripts know nothing of commands and flags: they ask completeCommand.
//
//go:embed completions
var completions embed.FS

// Run prints the shell's script.
func (c *completionCommand) Run(p *program) error {
	script, err := completions.ReadFile("completions/" + c.Shell)
	if err != nil {
		return fmt.Errorf("completion for %s: %w", c.Shell, err)
	}
	_, err = p.stdout.Write(script)
	return err
}

// Help is kong's HelpProvider.
func (*completionCommand) Help() string {
	return `Prints a script for the shell, which then completes commands, flags and their values when Tab is pressed. The first line is for ~/.bashrc, the second for ~/.zshrc, after compinit.

Examples:

    source <(zenduty-bridge completion bash)
    source <(zenduty-bridge completion zsh)
    zenduty-bridge completion fish > ~/.config/fish/completions/zenduty-bridge.fish`
}

// completeCommand is what the scripts ask: what may stand in place of the last of
// the words after the program's name?
type completeCommand struct {
	Words []string `arg:"" optional:""`
}

// Run prints a line for each: the word, and after a tab what it means. Where it
// is a file or a directory, that is for the shell to complete: the only line is
// then ":file" or ":dir".
func (c *completeCommand) Run(p *program, parsed *kong.Context) error {
	for _, candidate := range complete(parsed.Model.Node, c.Words) {
		if _, err := fmt.Fprintln(p.stdout, candidate); err != nil {
			return err
		}
	}
	return nil
}

// complete returns the lines that completeCommand prints. Words before the last
// that the program would not understand are no reason not to help with it.
func complete(root *kong.Node, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	l := commandLine{node: root}
	for _, word := range words[:len(words)-1] {
		l.take(word)
	}
	return l.candidates(words[len(words)-1])
}

// commandLine is what is known of a command line from its beginning.
type commandLine struct {
	node       *kong.Node // the command so far
	given      []*kong.Flag
	awaited    *kong.Flag // whose value comes next; nil if none
	positional int        // arguments of node so far
	noFlags    bool       // there was a --
}

// take goes on by a whole word.
func (l *commandLine) take(word string) {
	switch awaited := l.awaited; {
	case word == "=" && awaited != nil: // bash makes three words of --flag=value
	case awaited != nil:
		l.awaited = nil
	case word == "--":
		l.noFlags = true
	case strings.HasPrefix(word, "-") && !l.noFlags:
		name, _, valued := strings.Cut(word, "=")
		flag := l.flag(name)
		l.given = append(l.given, flag)
		if flag != nil && !flag.IsBool() && !valued {
			l.awaited = flag
		}
	default:
		if child := l.child(word); child != nil {
			l.node, l.positional = child, 0
		} else {
			l.positional++
		}
	}
}

// candidates are what may stand in place of a word that is perhaps not whole.
func (l *commandLine) candidates(word string) []string {
	name, value, valued := strings.Cut(word, "=")
	switch {
	case l.awaited != nil && word == "=":
		return values(l.awaited.Value, "", "")
	case l.awaited != nil:
		return values(l.awaited.Value, "", word)
	case l.noFlags || !strings.HasPrefix(word, "-"):
		return l.commands(word)
	case valued && l.flag(name) != nil:
		return values(l.flag(name).Value, name+"=", value)
	}
	return l.flags(word)
}

// commands are the commands and arguments that begin with prefix.
func (l *commandLine) commands(prefix string) []string {
	var lines []string
	for _, child := range l.node.Children {
		if !child.Hidden && strings.HasPrefix(child.Name, prefix) {
			lines = append(lines, describe(child.Name, child.Help))
		}
	}
	if l.positional < len(l.node.Positional) {
		lines = append(lines, values(l.node.Positional[l.positional], "", prefix)...)
	}
	return lines
}

// flags are those that begin with prefix, but for what is given already and can be
// given only once.
func (l *commandLine) flags(prefix string) []string {
	var lines []string
	for _, flag := range slices.Concat(l.node.AllFlags(true)...) {
		name := "--" + flag.Name
		if strings.HasPrefix(name, prefix) && (flag.IsCumulative() || !slices.Contains(l.given, flag)) {
			lines = append(lines, describe(name, flag.Help))
		}
	}
	return lines
}

// flag finds a flag by how it is written; nil if there is none.
func (l *commandLine) flag(written string) *kong.Flag {
	for _, flag := range slices.Concat(l.node.AllFlags(false)...) {
		if written == "--"+flag.Name || flag.Short != 0 && written == "-"+string(flag.Short) ||
			slices.ContainsFunc(flag.Aliases, func(alias string) bool { return written == "--"+alias }) {
			return flag
		}
	}
	return nil
}

func (l *commandLine) child(name string) *kong.Node {
	i := slices.IndexFunc(l.node.Children, func(n *kong.Node) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return l.node.Children[i]
}

// values are those of a flag or an argument that begin with prefix, each written
// after lead. Which there are is said by its tag enum or, where others are allowed
// too, complete; that it is a file or a directory, by its placeholder.
func values(v *kong.Value, lead, prefix string) []string {
	known := v.Enum
	if known == "" {
		known = v.Tag.Get("complete")
	}
	switch v.Tag.PlaceHolder {
	case "FILE":
		return []string{":file"}
	case "DIR":
		return []string{":dir"}
	case "BOOL":
		known = "true,false"
	}
	var lines []string
	for value := range strings.SplitSeq(known, ",") {
		if value != "" && strings.HasPrefix(value, prefix) {
			lines = append(lines, lead+value)
		}
	}
	return lines
}

// describe is a candidate's line, with the first sentence of its help.
func describe(word, help string) string {
	sentence, _, _ := strings.Cut(help, ". ")
	if sentence == "" {
		return word
	}
	return word + "\t" + strings.TrimSuffix(sentence, ".")
}

package main

import (
	"strings"
	"unicode"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// palette colours text for a terminal (ECMA-48, SGR), or leaves it alone.
type palette bool

const (
	bold    = "1"
	dim     = "2"
	red     = "31;1"
	green   = "32;1"
	yellow  = "33;1"
	magenta = "35;1"
	cyan    = "36;1"
)

func (p palette) paint(color, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// event paints text in the colour of an event type.
func (p palette) event(eventType, text string) string {
	switch eventType {
	case zenduty.EventTriggered:
		return p.paint(red, text)
	case zenduty.EventAcknowledged:
		return p.paint(yellow, text)
	case zenduty.EventResolved:
		return p.paint(green, text)
	case quarantineEvent:
		return p.paint(magenta, text)
	}
	return p.paint(cyan, text)
}

// colorsFor tells whether text for w should be coloured: w is a terminal that can,
// and neither --no-color nor NO_COLOR (https://no-color.org) forbids it.
func (p *program) colorsFor(w any, forbidden bool) palette {
	off, _ := p.getenv("NO_COLOR")
	term, _ := p.getenv("TERM")
	return palette(!forbidden && off == "" && term != "dumb" && isTerminal(w))
}

// maxShown is how many characters of a text that a sender chose are shown in a line.
const maxShown = 160

// printable makes one harmless line of a text: what a terminal would obey is shown as
// U+FFFD.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// visible is printable for a text that a sender chose: what is too long is cut.
func visible(text string) string {
	text = printable(text)
	if runes := []rune(text); len(runes) > maxShown {
		return string(runes[:maxShown-1]) + "…"
	}
	return text
}

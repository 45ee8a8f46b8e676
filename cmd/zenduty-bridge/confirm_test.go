package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestConfirm(t *testing.T) {
	for answer, want := range map[string]error{
		"y\n": nil, " Yes \n": nil, "y": nil,
		"n\n": errNotConfirmed, "\n": errNotConfirmed, "": errNotConfirmed, "yesterday\n": errNotConfirmed,
	} {
		p := &program{ctx: t.Context(), stdin: strings.NewReader(answer), stderr: io.Discard}
		if err := p.confirm("Really?"); err != want {
			t.Errorf("%q: %v, want %v", answer, err, want)
		}
	}
}

// Ctrl-C leaves the question, and a yes that comes after it counts no more.
func TestConfirmInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	silent, keyboard := io.Pipe()
	defer keyboard.Close()
	var asked bytes.Buffer
	p := &program{ctx: ctx, stdin: silent, stderr: &asked}
	answered := make(chan error, 1)
	go func() { answered <- p.confirm("Really?") }()
	interrupt()
	if err := <-answered; !errors.Is(err, errInterrupted) || asked.String() != "Really? [y/N] \n" {
		t.Errorf("%v after %q", err, &asked)
	}
	late := &program{ctx: ctx, stdin: strings.NewReader("y\n"), stderr: io.Discard}
	if err := late.confirm("Really?"); !errors.Is(err, errInterrupted) {
		t.Error(err)
	}
}

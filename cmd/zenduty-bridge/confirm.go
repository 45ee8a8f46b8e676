package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

var (
	errNotConfirmed = errors.New("nothing was done: answer y, or give --yes")
	errInterrupted  = errors.New("interrupted: nothing was done")
)

// confirm asks on standard error and reads the answer from standard input. An interrupt
// is an answer, too.
func (p *program) confirm(question string) error {
	fmt.Fprintf(p.stderr, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // who is interrupted leaves it behind
		line, _ := bufio.NewReader(p.stdin).ReadString('\n') // no answer is no
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case line := <-answer:
		if line != "y" && line != "yes" {
			return errNotConfirmed
		}
	case <-p.ctx.Done():
		fmt.Fprintln(p.stderr)
	}
	if p.ctx.Err() != nil {
		return errInterrupted
	}
	return nil
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

var errNotConfirmed = errors.New("nothing was done: answer y, or give --yes")

// confirm asks on standard error and reads the answer from standard input.
func (p *program) confirm(question string) error {
	fmt.Fprintf(p.stderr, "%s [y/N] ", question)
	line, _ := bufio.NewReader(p.stdin).ReadString('\n') // no answer is no
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errNotConfirmed
}

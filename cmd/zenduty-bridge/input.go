package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// errSilent says that nothing came from a pipe that nobody said to read.
var errSilent = errors.New("standard input is a pipe from which nothing comes: give --file - to wait for it, or --event to send a sample")

// piped tells whether r may hold what a caller piped in or redirected: not a
// terminal and not /dev/null.
func piped(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return r != nil
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice == 0
}

// readInput reads all of r. It gives up with ctx's error when ctx ends, and with
// errSilent if after patience (0: for ever) there was neither a byte nor the end.
// A reader that was given up on stays in use.
func readInput(ctx context.Context, r io.Reader, patience time.Duration) ([]byte, error) {
	var data []byte
	var err error
	begun, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		buffered := bufio.NewReader(r)
		_, _ = buffered.Peek(1) // its error comes again
		close(begun)
		data, err = io.ReadAll(buffered)
	}()
	var silent <-chan time.Time
	if patience > 0 {
		silent = time.After(patience)
	}
	for {
		select {
		case <-ended:
			if err != nil {
				return nil, fmt.Errorf("read standard input: %w", err)
			}
			return data, nil
		case <-begun:
			begun, silent = nil, nil
		case <-silent:
			return nil, usageError{errSilent}
		case <-ctx.Done():
			return nil, fmt.Errorf("read standard input: %w", ctx.Err())
		}
	}
}

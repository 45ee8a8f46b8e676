package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// openPipe is a pipe whose other end stays open.
func openPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(); _ = r.Close() })
	return r, w
}

func TestPiped(t *testing.T) {
	pipe, _ := openPipe(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	closed, err := os.Open(os.DevNull)
	if err := errors.Join(err, closed.Close()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from io.Reader
		want bool
	}{
		"nothing": {nil, false}, "/dev/null": {null, false}, "closed": {closed, false},
		"pipe": {pipe, true}, "file": {file, true}, "reader": {strings.NewReader(""), true},
	} {
		if got := piped(c.from); got != c.want {
			t.Errorf("%s: piped = %v, want %v", name, got, c.want)
		}
	}
}

func TestReadInput(t *testing.T) {
	data, err := readInput(t.Context(), strings.NewReader("all of it"), time.Hour)
	if string(data) != "all of it" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	data, err = readInput(t.Context(), strings.NewReader(""), time.Hour)
	if len(data) > 0 || err != nil {
		t.Errorf("of nothing: %q, %v", data, err)
	}
}

// A pipe that somebody left open must not hold the program for ever.
func TestReadInputGivesUpOnSilence(t *testing.T) {
	pipe, _ := openPipe(t)
	_, err := readInput(t.Context(), pipe, time.Millisecond)
	if !errors.Is(err, errSilent) || exitCode(err) != exitUsage {
		t.Errorf("err = %v", err)
	}
}

// Patience is for the first byte: what has begun is read to its end.
func TestReadInputWaitsForTheEnd(t *testing.T) {
	pipe, end := openPipe(t)
	if _, err := end.WriteString("slow"); err != nil {
		t.Fatal(err)
	}
	const patience = 500 * time.Millisecond // for this test's own goroutine to be run
	time.AfterFunc(patience+patience/2, func() { _, _ = end.WriteString("ly"); _ = end.Close() })
	data, err := readInput(t.Context(), pipe, patience)
	if string(data) != "slowly" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}

func TestReadInputEndsWithItsContext(t *testing.T) {
	pipe, _ := openPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := readInput(ctx, pipe, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

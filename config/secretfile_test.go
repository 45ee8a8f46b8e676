package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestReadSecret(t *testing.T) {
	tests := []struct {
		name, text, want string
		wantErr          error
	}{
		{name: "line end", text: "k\n", want: "k"},
		{name: "line ends of Windows", text: "k\r\n\r\n", want: "k"},
		{name: "white space belongs to it", text: " k \n", want: " k "},
		{name: "lines belong to it", text: "a\nb\n", want: "a\nb"},
		{name: "longest", text: strings.Repeat("k", maxSecretBytes), want: strings.Repeat("k", maxSecretBytes)},
		{name: "too long", text: strings.Repeat("k", maxSecretBytes+1), wantErr: errLongFile},
		{name: "empty", text: "", wantErr: errEmptyFile},
		{name: "blank", text: " \t\r\n", wantErr: errEmptyFile},
		{name: "UTF-16", text: "k\x00e\x00", wantErr: errNoText},
		{name: "Latin-1", text: "k\xe4", wantErr: errNoText},
		{name: "byte order mark", text: "\ufeffk", wantErr: errNoText},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := readSecret(write(t, "secret", test.text))
			if !errors.Is(err, test.wantErr) || got.Reveal() != test.want {
				t.Errorf("got %d bytes, %v, want %d, %v", len(got.Reveal()), err, len(test.want), test.wantErr)
			}
		})
	}
}

// What comes through a pipe is waited for, but not for ever: neither for its beginning nor
// for its end.
func TestPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		if f, err := os.OpenFile(pipe, os.O_WRONLY, 0); err == nil { // when somebody reads
			_, _ = f.WriteString("k\n")
			_ = f.Close()
		}
	}()
	if secret, err := readSecret(pipe); err != nil || secret.Reveal() != "k" {
		t.Errorf("%q, %v", secret.Reveal(), err)
	}
	defer func(before time.Duration) { pipeWait = before }(pipeWait)
	pipeWait = 50 * time.Millisecond
	if _, err := readSecret(pipe); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody writes: %v", err)
	}
	open, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if _, err := readSecret(pipe); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it stays open: %v", err)
	}
	if err := checkFile(pipe); !errors.Is(err, errPipe) {
		t.Errorf("a file that is read again: %v", err)
	}
}

func TestUnreadableFile(t *testing.T) {
	for path, want := range map[string]error{"none/S3cret$": fs.ErrNotExist, t.TempDir(): errDirectory} {
		for _, err := range []error{checkFile(path), func() error { _, err := readSecret(path); return err }()} {
			if !errors.Is(err, want) || strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %v without the path", err, want)
			}
		}
	}
}

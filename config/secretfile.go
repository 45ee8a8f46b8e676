package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// maxSecretBytes bounds a file that holds a secret; a larger one is some other file.
const maxSecretBytes = 64 << 10

var (
	errEmptyFile = errors.New("names an empty file")
	errDirectory = errors.New("names a directory, not a file")
	errLongFile  = errors.New("names a file that is too large to be a secret (over 64 KiB)")
	errPipe      = errors.New("names a pipe, where a file is needed that can be read again")
	errNoText    = errors.New("names a file that is not UTF-8 text without a byte order mark")
)

// pipeWait bounds the time in which a pipe has to give all that comes through it: who
// reads again and again must not wait for ever. Tests shorten it.
var pipeWait = 10 * time.Second

// readFile reads at most limit bytes of a file, and one more if there are more.
// Its errors leave the path out: it may be a secret put in the wrong setting.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // which of a pipe would wait for a writer
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close() // only read from: there is nothing to lose
	info, err := f.Stat()
	if err != nil {
		return nil, unreadable(err)
	}
	if info.IsDir() {
		return nil, errDirectory
	}
	pipe := info.Mode()&fs.ModeNamedPipe != 0
	if pipe {
		if err := f.SetReadDeadline(time.Now().Add(pipeWait)); err != nil {
			return nil, unreadable(err)
		}
	}
	for {
		data, err := io.ReadAll(io.LimitReader(f, limit+1))
		if err != nil {
			return nil, unreadable(err)
		}
		if len(data) > 0 || !pipe {
			return data, nil
		}
		time.Sleep(10 * time.Millisecond) // nobody writes to it yet
	}
}

func unreadable(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// readSecret returns the text of a file less the line ends after it.
func readSecret(path string) (Secret, error) {
	data, err := readFile(path, maxSecretBytes)
	switch {
	case err != nil:
		return Secret{}, err
	case len(data) > maxSecretBytes:
		return Secret{}, errLongFile
	case len(bytes.TrimSpace(data)) == 0:
		return Secret{}, errEmptyFile
	case !utf8.Valid(data) || bytes.ContainsRune(data, 0) || bytes.HasPrefix(data, []byte("\ufeff")):
		return Secret{}, errNoText
	}
	return NewSecret(trimLineEnds(string(data))), nil
}

func trimLineEnds(text string) string { return strings.TrimRight(text, "\r\n") }

// checkFile says whether a file that another package will read can be read.
func checkFile(path string) error {
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		return errPipe
	}
	data, err := readFile(path, maxFileBytes)
	if err == nil && len(data) == 0 {
		return errEmptyFile
	}
	return err
}

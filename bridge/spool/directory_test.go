package spool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	childEnv    = "SPOOL_TEST_CHILD_DIR"
	childOpened = "opened"
)

// TestMain is also the child process that some tests start: it opens the spool in
// the directory that the environment names and appends records, telling of each
// that is acknowledged, until its input ends or it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := child(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child(dir string) error {
	s, err := Open(dir, Options{Logger: quiet})
	if err != nil {
		return err
	}
	fmt.Println(childOpened)
	stop := make(chan struct{})
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		close(stop)
	}()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return s.Close()
		default:
		}
		a, err := s.Append(context.Background(), record(n, crashBody(n)))
		if err != nil {
			return err
		}
		fmt.Println(a.Seq)
	}
}

// startChild starts the child process and waits until it has the directory.
func startChild(t *testing.T, dir string) (cmd *exec.Cmd, said *bufio.Scanner, stop func()) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	said = bufio.NewScanner(out)
	if !said.Scan() || said.Text() != childOpened {
		t.Fatalf("child said %q", said.Text())
	}
	return cmd, said, func() { _ = in.Close() }
}

func TestSecondProcessIsLockedOut(t *testing.T) {
	dir := t.TempDir()
	cmd, said, stop := startChild(t, dir)
	_, err := Open(dir, Options{Logger: quiet})
	if !errors.Is(err, ErrLocked) {
		t.Errorf("Open: %v", err)
	}
	for _, words := range []string{dir, "in use by another process"} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("the error %q does not say %q", err, words)
		}
	}
	stop()
	for said.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("child: %v", err)
	}
	openSpool(t, dir, Options{Logger: quiet})
}

// TestKilledProcess kills the child among its Appends: every acknowledged record
// is there, and the directory is free.
func TestKilledProcess(t *testing.T) {
	for _, after := range []int{1, 50, 200} {
		t.Run(fmt.Sprintf("after %d records", after), func(t *testing.T) {
			dir := t.TempDir()
			cmd, said, _ := startChild(t, dir)
			acknowledged := 0
			for said.Scan() {
				if acknowledged++; acknowledged == after {
					if err := cmd.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
			_ = cmd.Wait()
			s := openSpool(t, dir, Options{Logger: quiet})
			if got := len(pending(t, s)); got < acknowledged {
				t.Errorf("%d records, %d were acknowledged", got, acknowledged)
			}
			checkContiguous(t, s)
			checkWhole(t, s)
		})
	}
}

func TestSecondOpenInOneProcess(t *testing.T) {
	for _, where := range []string{"memory", "disk"} {
		t.Run(where, func(t *testing.T) {
			dir, opts := testDir, memOptions()
			if where == "disk" {
				dir, opts.FS = t.TempDir(), vfs.Default
			}
			s := openSpool(t, dir, opts)
			if _, err := Open(dir, opts); !errors.Is(err, ErrLocked) {
				t.Errorf("Open: %v", err)
			}
			add(t, s, record(1, 10)) // the first is none the worse
		})
	}
}

// TestDirectoryThatCannotBeUsed: another process is not blamed for it.
func TestDirectoryThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(t.TempDir(), "LOCK")
	if err := os.Mkdir(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), filepath.Dir(lock)} {
		_, err := Open(dir, Options{Logger: quiet})
		if err == nil || errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
			t.Errorf("Open of %s: %v", dir, err)
		}
	}
}

func TestDirectoryIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	openSpool(t, dir, Options{Logger: quiet})
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o700 {
		t.Errorf("mode %o, want 700: webhooks may hold secrets", mode)
	}
}

package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zenduty-bridge/zenduty-bridge/config"
)

// What is seen is decided on when two looks in a row have seen the same, and once.
func TestLooksTwice(t *testing.T) {
	good := reading{cfg: config.Default()}
	half, bad := reading{err: errors.New("half written")}, reading{err: errors.New("bad")}
	for name, test := range map[string]struct {
		looks   []reading
		refused float64
	}{
		"nothing changes":               {[]reading{good, good, good}, 0},
		"while it is written":           {[]reading{half, good, good}, 0},
		"while it is written, twice":    {[]reading{half, good, half, good}, 0},
		"while it is written, and bad":  {[]reading{half, bad, good}, 0},
		"it is bad":                     {[]reading{half, bad, bad}, 1},
		"it stays bad":                  {[]reading{bad, bad, bad, bad}, 1},
		"it is bad in one way, another": {[]reading{bad, bad, half, half, half}, 2},
	} {
		var log bytes.Buffer
		s := &service{log: slog.New(slog.NewTextHandler(&log, nil)), reloads: newReloadMetrics(prometheus.NewRegistry())}
		looks := test.looks
		r := newReloader(s, nil, func() reading {
			next := looks[0]
			looks = looks[1:]
			return next
		}, good)
		for range test.looks {
			r.look()
		}
		if got := testutil.ToFloat64(r.metrics.refused); got != test.refused || strings.Count(log.String(), "configuration refused") != int(test.refused) {
			t.Errorf("%s: %v times refused, want %v\n%s", name, got, test.refused, &log)
		}
	}
}

// A pipe that a new configuration names ends the looks, until it is named no more.
func TestLooksAtNoPipe(t *testing.T) {
	file, pipe := config.File{Path: filepath.Join(t.TempDir(), "file")}, config.File{Path: filepath.Join(t.TempDir(), "pipe")}
	if err := errors.Join(os.WriteFile(file.Path, nil, 0o600), syscall.Mkfifo(pipe.Path, 0o600)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r := newReloader(&service{log: slog.New(slog.NewTextHandler(&log, nil))}, nil, nil, reading{files: []config.File{file}})
	for _, step := range []struct {
		files     []config.File
		watchable bool
	}{{[]config.File{file}, true}, {[]config.File{file, pipe}, false}, {[]config.File{file, pipe}, false}, {[]config.File{file}, true}, {[]config.File{pipe}, false}, {nil, false}} {
		r.seen.files = step.files
		if got := r.watchable(); got != step.watchable {
			t.Errorf("%v: watchable %v", step.files, got)
		}
	}
	if told := strings.Count(log.String(), "on SIGHUP only"); told != 2 {
		t.Errorf("told %d times, want 2:\n%s", told, &log)
	}
}

// Each thing that is wrong is a line of its own.
func TestEveryFaultIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := &service{log: slog.New(slog.NewTextHandler(&log, nil)), reloads: newReloadMetrics(prometheus.NewRegistry())}
	r := newReloader(s, nil, nil, reading{})
	r.decide(reading{err: errors.Join(errors.New("one"), errors.New("two"))}, "SIGHUP")
	for _, want := range []string{`cause=SIGHUP error=one` + "\n", `cause=SIGHUP error=two` + "\n"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in\n%s", want, &log)
		}
	}
	if testutil.ToFloat64(r.metrics.successful) != 0 {
		t.Error("counted as a success")
	}
}

package health

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

func disk(dir string) Disk {
	return Disk{Dir: dir, Ballast: 4 << 20, AnswerDeadline: 2500 * time.Millisecond}
}

// complete: whoever reads a finding knows what to do, unless there is nothing to do.
func complete(t *testing.T, f publisher.Finding) {
	t.Helper()
	if well := f.Severity == publisher.SeverityOK; f.Check == "" || f.What == "" || (f.Why == "") != well || (f.Remedy == "") != well {
		t.Errorf("incomplete: %+v", f)
	}
}

func TestDiskSpace(t *testing.T) {
	d := disk("data") // with a ballast of 4 MiB
	const mib = 1 << 20
	for _, c := range []struct {
		free, total int64
		err         error
		want        publisher.Severity
	}{
		{free: 100 * mib, total: 200 * mib, want: publisher.SeverityOK},
		{free: 15 * mib, total: 200 * mib, want: publisher.SeverityWarning},
		{free: 3 * mib, total: 200 * mib, want: publisher.SeverityError},
		{free: 15 * mib, total: 15 * mib, want: publisher.SeverityError},
		{err: os.ErrPermission, want: publisher.SeverityError},
	} {
		f := d.judgeSpace(c.free, c.total, c.err)
		complete(t, f)
		if f.Severity != c.want || f.Check != "disk_free" {
			t.Errorf("%+v: %+v", c, f)
		}
	}
}

// A directory that serve has yet to make is where it will be.
func TestDiskIsLookedAt(t *testing.T) {
	d := disk(filepath.Join(t.TempDir(), "to", "come"))
	if free, err := d.Free(); err != nil || free <= 0 {
		t.Error(free, err)
	}
	for _, f := range d.Check() {
		complete(t, f)
	}
}

func TestFsyncIsMeasured(t *testing.T) {
	dir := t.TempDir()
	f := disk(filepath.Join(dir, "to", "come")).CheckSync(t.Context())
	complete(t, f)
	if f.Severity == publisher.SeverityError || !strings.Contains(f.What, "an fsync in") {
		t.Errorf("%+v", f)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFsyncIsJudged(t *testing.T) {
	for _, c := range []struct {
		took []time.Duration
		err  error
		want publisher.Severity
	}{
		{took: []time.Duration{time.Millisecond}, want: publisher.SeverityOK},
		{took: []time.Duration{300 * time.Millisecond, time.Millisecond}, want: publisher.SeverityWarning},
		{took: []time.Duration{1300 * time.Millisecond, time.Millisecond}, want: publisher.SeverityError},
		{err: errors.New("read-only file system"), want: publisher.SeverityError},
	} {
		f := disk("data").judgeSync(c.took, c.err)
		complete(t, f)
		if f.Severity != c.want {
			t.Errorf("%v, %v: %+v", c.took, c.err, f)
		}
	}
}

func TestDirectoryThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := disk(file).CheckSync(t.Context())
	complete(t, f)
	if f.Severity != publisher.SeverityError || !strings.Contains(f.What, "cannot write to "+file) {
		t.Errorf("%+v", f)
	}
}

func TestDiskKind(t *testing.T) {
	for kind, want := range map[string]publisher.Severity{
		"": publisher.SeverityOK, "tmpfs": publisher.SeverityError, "overlay": publisher.SeverityWarning, "nfs": publisher.SeverityWarning,
	} {
		f := disk("data").judgeKind(kind)
		complete(t, f)
		if f.Severity != want || !strings.Contains(f.What, kind) {
			t.Errorf("%s: %+v", kind, f)
		}
	}
}

func TestClock(t *testing.T) { complete(t, CheckClock()) }

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 64 << 20: "64 MiB", 8 << 30: "8 GiB", 5 << 50: "5120 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

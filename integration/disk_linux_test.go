package integration

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// mountMemory mounts a file system of so many MiB in memory for the scenario.
func mountMemory(t *testing.T, mebibytes int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mebibytes))
	if errors.Is(err, syscall.EPERM) {
		unavailable(t, "mounting a small file system takes root")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, dir) })
	return dir
}

func unmount(t *testing.T, dir string) {
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Errorf("unmount %s: %v", dir, err)
	}
}

// large is an incident of webhooks of 200 kB, to fill a disk: random, or the store
// would compress them.
func large(t *testing.T, incident string) []*event {
	t.Helper()
	var events []*event
	random := make([]byte, 100_000)
	for number, kind := range kinds {
		_, _ = rand.Read(random) // never fails
		body := generated(t, kind, incident, "storage", hex.EncodeToString(random), false)
		events = append(events, &event{kind: kind, service: "storage", incident: incident, number: number, body: body})
	}
	return events
}

// fill posts large webhooks until one is refused, and checks how.
func fill(t *testing.T, url, name string) (l load) {
	t.Helper()
	for n := range 1000 {
		l = append(l, large(t, fmt.Sprintf("%s-%d", name, n)))
		for _, e := range l[n] {
			a := exchange(client, url, e.body)
			if a.code == http.StatusOK {
				e.id = a.ID
				continue
			}
			if a.code != http.StatusServiceUnavailable || a.retryAfter == "" {
				t.Errorf("a full disk is answered with %d, Retry-After %q, %v", a.code, a.retryAfter, a.err)
			}
			t.Logf("refused after %d webhooks of 200 kB", 3*n+e.number)
			return l
		}
	}
	t.Fatal("the disk does not fill")
	return nil
}

func (b *bridgeProcess) ready() bool {
	status, _ := b.get("/readyz")
	return status == http.StatusOK
}

// The disk fills while NATS is away: 503 and not ready. NATS comes back and takes
// what there is: webhooks are taken again, and nobody had to do anything.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		disk    int // MiB
		ballast string
	}{
		{"least ballast", 24, "4MiB"},
		{"smallest disk", 16, "4MiB"}, // four times the ballast
		{"larger", 128, "24MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) { tryDiskFull(t, tc.disk, tc.ballast) })
	}
}

func tryDiskFull(t *testing.T, disk int, ballast string) {
	dir := mountMemory(t, disk)
	n := startNATS(t)
	b := startBridgeAt(t, dir, append([]string{"--nats-url", n.url(), "--spool-ballast-bytes", ballast}, quick...)...)
	tr := startTraffic(t, b.url)
	var l load
	for round := range rounds(3, 1) {
		awaitMore(t, n, 20)
		n.kill()
		l = append(l, fill(t, b.url, fmt.Sprintf("large-%d", round))...)
		eventually(t, 10*time.Second, "not ready", func() bool { return !b.ready() })
		n.restart(t)
		eventually(t, time.Minute, "ready again", b.ready)
		tr.await(100)
	}
	refused := tr.count(http.StatusServiceUnavailable)
	t.Logf("%d webhooks of the load were refused with 503", refused)
	l = append(l, tr.stop()...)
	b.awaitDelivered()
	auditClean(t, n.url(), l)
	if all := len(tr.answers); all != tr.count(http.StatusOK)+refused {
		t.Errorf("of %d answers %d were neither 200 nor 503", all, all-tr.count(http.StatusOK)-refused)
	}
}

// Another program takes the last of the disk, the ballast's space too: a bridge that has
// to write before it can go on ends all the same when it is told to, and loses nothing.
func TestStoppedOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := mountMemory(t, 24)
	n := startNATS(t)
	b := startBridgeAt(t, filepath.Join(dir, "data"), append([]string{"--nats-url", n.url(), "--spool-ballast-bytes", "4MiB"}, quick...)...)
	awaitMore(t, n, 0)
	n.kill()
	l := fill(t, b.url, "large")
	eventually(t, 10*time.Second, "not ready", func() bool { return !b.ready() })
	other := filepath.Join(dir, "other")
	for full := false; !full; {
		full = fillUp(t, other)
	}
	n.restart(t)
	for range 100 { // of what the relay frees meanwhile
		fillUp(t, other)
		time.Sleep(10 * time.Millisecond)
	}
	if err := b.stop(); err != nil {
		t.Log(err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	b = b.again(t)
	b.awaitDelivered()
	auditClean(t, n.url(), l)
}

// fillUp appends to a file as long as its disk has room, and reports whether that is over.
func fillUp(t *testing.T, path string) (full bool) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	return errors.Is(err, syscall.ENOSPC)
}

// freezable is a file system on a disk of its own whose writes can be stopped.
type freezable struct {
	t   *testing.T
	dir string
}

func mountFreezable(t *testing.T) freezable {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20)); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			unavailable(t, fmt.Sprintf("%v, which takes root and a loop device: %v %s", command, err, out))
		}
	}
	t.Cleanup(func() { unmount(t, dir) })
	return freezable{t, dir}
}

// freeze lets every write and fsync wait until thaw.
func (f freezable) freeze() { f.run("-f") }

func (f freezable) thaw() { f.run("-u") }

func (f freezable) run(flag string) {
	f.t.Helper()
	if out, err := exec.Command("fsfreeze", flag, f.dir).CombinedOutput(); err != nil {
		f.t.Fatalf("fsfreeze %s: %v %s", flag, err, out)
	}
}

// The disk stalls for longer than Zenduty waits: every webhook is refused before
// that, and taken again when the disk goes on.
func TestDiskStalls(t *testing.T) {
	disk := mountFreezable(t)
	n := startNATS(t)
	b := startBridgeAt(t, disk.dir, append([]string{"--nats-url", n.url()}, quick...)...)
	tr := startTraffic(t, b.url)
	tr.await(100)
	disk.freeze()
	t.Cleanup(func() { _ = exec.Command("fsfreeze", "-u", disk.dir).Run() }) // a frozen process cannot be killed
	time.Sleep(spell(6 * time.Second))
	disk.thaw()
	tr.await(100)
	l := tr.stop()
	refused := tr.count(http.StatusServiceUnavailable)
	t.Logf("%d webhooks were refused with 503", refused)
	if refused < trafficSenders || tr.count(0) > 0 {
		t.Errorf("%d were refused with 503, want one of each sender; %d had no answer within 3 s, want none", refused, tr.count(0))
	}
	tr.each(func(a answer) {
		if a.code == http.StatusServiceUnavailable && a.retryAfter == "" {
			t.Error("503 without Retry-After")
		}
	})
	b.awaitDelivered()
	auditClean(t, n.url(), l)
}

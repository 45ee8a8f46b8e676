package spool

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// beside is the names of what is in the directory above a spool, but for the spool.
func beside(t *testing.T, on vfs.FS, dir string) []string {
	t.Helper()
	names, err := on.List(on.PathDir(dir))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool { return name == on.PathBase(dir) })
}

// filesIn is the files of a directory on the machine's disk, but for the lock.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for path := range strings.SplitSeq(strings.Join(glob(t, filepath.Join(dir, "*")), "\n"), "\n") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = string(data)
	}
	delete(files, "LOCK")
	return files
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What is salvaged takes the spool's place with its owner and mode, and the damaged one
// is kept as it was.
func TestSalvageInPlace(t *testing.T) {
	killed, _ := makeSpecimens(t)
	killed.damage(t, "*.log", flipped(0.5))
	want := filesIn(t, killed.dir)
	if err := os.Chmod(killed.dir, 0o750); err != nil {
		t.Fatal(err)
	}
	uid := os.Getuid()
	if uid == 0 {
		uid = 65532
		for _, path := range append(glob(t, filepath.Join(killed.dir, "*")), killed.dir) {
			if err := os.Lchown(path, uid, uid); err != nil {
				t.Fatal(err)
			}
		}
	}
	left := killed.dir + salvagingSuffix // by a try that was cut off
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "000001.log"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}

	kept, result, err := SalvageInPlace(killed.dir, nil)
	if err != nil || len(result.Faults) == 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	diff(t, "beside the spool", []string{filepath.Base(kept)}, beside(t, vfs.Default, killed.dir))
	if !strings.HasPrefix(kept, killed.dir+".damaged-2") || !maps.Equal(want, filesIn(t, kept)) {
		t.Errorf("what is kept as %s is not what was damaged", kept)
	}
	for _, path := range append(glob(t, filepath.Join(killed.dir, "*")), killed.dir) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if owner := int(info.Sys().(*syscall.Stat_t).Uid); owner != uid {
			t.Errorf("%s belongs to %d, want %d", path, owner, uid)
		}
		if path == killed.dir && info.Mode().Perm() != 0o750 {
			t.Errorf("its mode is %o", info.Mode().Perm())
		}
	}
	s := openSpool(t, killed.dir, diskOptions())
	diff(t, "pending", result.Copied.Pending, s.Stats().Pending)
	diff(t, "quarantined", result.Copied.Quarantined, s.Stats().Quarantined)
}

// fullSpool is one on a disk of which power cuts and faults can be had.
func fullSpool(t *testing.T) (mem *vfs.MemFS, records []Ref) {
	t.Helper()
	mem = vfs.NewCrashableMem()
	opts := memOptions()
	opts.FS = mem
	s := openSpool(t, testDir, opts)
	records = addMany(t, s, 0, 10, 300)
	closeSpool(t, s)
	return mem, records
}

// holdsAll wants a spool that opens with all its records, wherever it was left.
func holdsAll(t *testing.T, when string, left vfs.FS, want []Ref) {
	t.Helper()
	opts := memOptions()
	opts.FS = left
	s, err := Open(testDir, opts)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	diff(t, when+": pending", want, pending(t, s))
	closeSpool(t, s)
}

// A power cut at any moment leaves a spool that opens, the old one or the new.
func TestPowerCutWhileSalvagingInPlace(t *testing.T) {
	between := 0
	for _, unsynced := range []int{0, 50} {
		for at := int64(1); ; at++ {
			mem, want := fullSpool(t)
			cut := &powerCut{mem: mem, at: at, promise: &promises{}}
			cut.config = vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rand.New(rand.NewPCG(uint64(at), 7))}
			if _, _, err := SalvageInPlace(testDir, errorfs.Wrap(mem, errorfs.InjectorFunc(cut.before))); err != nil {
				t.Fatal(err)
			}
			if cut.left == nil {
				break
			}
			if !exists(cut.left, testDir) {
				between++
			}
			holdsAll(t, fmt.Sprintf("power cut before operation %d", at), cut.left, want)
		}
	}
	if between == 0 {
		t.Error("no cut came between the two renames")
	}
}

// A fault at any step is an error, or of no consequence; the spool opens, and nothing
// lies about that the next try does not take away.
func TestFaultWhileSalvagingInPlace(t *testing.T) {
	failed := 0
	for at := int64(1); ; at++ {
		mem, want := fullSpool(t)
		var count, met atomic.Int64
		faulty := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			fatal := strings.HasSuffix(op.Path, ".log") // Pebble may end the process, which is as a power cut
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && !fatal && count.Add(1) == at {
				met.Add(1)
				return syscall.EIO
			}
			return nil
		}))
		var err error
		returned(t, fmt.Sprintf("SalvageInPlace with fault %d", at), func() { _, _, err = SalvageInPlace(testDir, faulty) })
		if met.Load() == 0 {
			break
		}
		if err != nil {
			failed++
			if !strings.Contains(err.Error(), testDir) || !strings.Contains(err.Error(), syscall.EIO.Error()) {
				t.Errorf("fault %d: error without directory or cause: %v", at, err)
			}
		}
		ended := vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}
		holdsAll(t, fmt.Sprintf("fault %d", at), mem.CrashClone(ended), want)
		left := mem.CrashClone(ended)
		if _, _, err := SalvageInPlace(testDir, left); err != nil {
			t.Errorf("again after fault %d: %v", at, err)
		}
		for _, name := range beside(t, left, testDir) {
			if !strings.Contains(name, ".damaged-") {
				t.Errorf("fault %d left %s", at, name)
			}
		}
		holdsAll(t, fmt.Sprintf("again after fault %d", at), left, want)
	}
	if failed < 20 {
		t.Errorf("only %d faults stopped it", failed)
	}
}

// A spool that is open is refused, and its copy is not begun.
func TestSalvageInPlaceOfAnOpenSpool(t *testing.T) {
	opts := memOptions()
	openSpool(t, testDir, opts)
	if _, _, err := SalvageInPlace(testDir, opts.FS); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
	diff(t, "beside the spool", []string{}, beside(t, opts.FS, testDir))
}

// forgetfulFS writes tables with a bit changed, below a directory.
type forgetfulFS struct {
	vfs.FS
	below string
}

func (fs forgetfulFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err == nil && strings.HasPrefix(name, fs.below) && strings.HasSuffix(name, ".sst") {
		return forgetfulFile{f}, nil
	}
	return f, err
}

type forgetfulFile struct{ vfs.File }

func (f forgetfulFile) Write(p []byte) (int, error) {
	p = bytes.Clone(p)
	p[len(p)/2] ^= 4
	return f.File.Write(p)
}

// A copy that does not read as it was written does not take the spool's place.
func TestSalvageInPlaceOnADiskThatForgets(t *testing.T) {
	mem, want := fullSpool(t)
	_, _, err := SalvageInPlace(testDir, forgetfulFS{mem, testDir + salvagingSuffix})
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "not to be trusted") {
		t.Errorf("%v", err)
	}
	diff(t, "beside the spool", []string{}, beside(t, mem, testDir))
	holdsAll(t, "afterwards", mem, want)
}

//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// machine is what the figures are true of.
type machine struct {
	Date       string  `json:"date"`
	Commit     string  `json:"commit"`
	Go         string  `json:"go"`
	OS         string  `json:"os"`
	CPU        string  `json:"cpu"`
	Cores      int     `json:"cores"`
	MemoryGB   float64 `json:"memory_gb"`
	FileSystem string  `json:"file_system"` // of the data
	FsyncMS    float64 `json:"fsync_ms"`    // median, of 4 KiB appended
	Load       string  `json:"load"`        // of the last minutes, before the run
}

func describe(dir, module string) (m machine, err error) {
	m = machine{
		Date: time.Now().UTC().Format(time.RFC3339), Commit: commit(module), Go: runtime.Version(),
		OS:  runtime.GOOS + "/" + runtime.GOARCH + " " + firstOf("/proc/sys/kernel/osrelease", ""),
		CPU: firstOf("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Load: firstOf("/proc/loadavg", ""),
	}
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return m, err
	}
	m.MemoryGB = float64(info.Totalram) * float64(info.Unit) / 1e9
	if m.FileSystem, err = fileSystem(dir); err != nil {
		return m, err
	}
	m.FsyncMS, err = fsyncLatency(dir)
	return m, err
}

func (m machine) String() string {
	return fmt.Sprintf("%s, commit %s, %s\n%s, %d cores, %.0f GB, %s; load before: %s\ndata on %s, an fsync takes %.2f ms\n",
		m.Date, m.Commit, m.Go, m.CPU, m.Cores, m.MemoryGB, m.OS, m.Load, m.FileSystem, m.FsyncMS)
}

func commit(module string) string {
	git := func(args ...string) string {
		out, _ := exec.Command("git", append([]string{"-C", module}, args...)...).Output() // no git, no answer
		return strings.TrimSpace(string(out))
	}
	switch id := git("rev-parse", "--short=12", "HEAD"); {
	case id == "":
		return "unknown"
	case git("status", "--porcelain") != "":
		return id + " with changes"
	default:
		return id
	}
}

// firstOf is a file's first line, or the value of the first that begins with name.
func firstOf(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			return string(bytes.TrimLeft(bytes.TrimSpace(rest), ": \t"))
		}
	}
	return "unknown"
}

// fileSystems by the magic numbers of statfs(2).
var fileSystems = map[uint32]string{
	0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x2fc12fc1: "zfs",
	0x794c7630: "overlayfs", 0x6969: "nfs", 0xf2f52010: "f2fs", tmpfs: "tmpfs",
}

const tmpfs = 0x01021994

func fileSystem(dir string) (string, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return "", fmt.Errorf("file system of %s: %w", dir, err)
	}
	if name, ok := fileSystems[uint32(s.Type)]; ok {
		return name, nil
	}
	return fmt.Sprintf("type %#x", s.Type), nil
}

// fit tells why this machine cannot run the benchmark.
func (b *bench) fit() error {
	if b.machine.FileSystem == "tmpfs" && !b.quick {
		return fmt.Errorf("%s is in memory (tmpfs), where an fsync costs nothing: name a directory on a disk with --dir", b.dir)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	if need := uint64(2*b.scale.connections + b.scale.slow + 200); files.Cur < need {
		return fmt.Errorf("%d files may be open, %d are needed: raise it with ulimit -n %d", files.Cur, need, need)
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(b.dir, &s); err != nil {
		return err
	}
	// Spool and stream hold the same, and more is taken than the records alone.
	free, need := int64(s.Bavail)*s.Bsize, int64(b.scale.records)*2*2*1500+1<<30
	if free < need {
		return fmt.Errorf("%s has %d MB free, %d MB are needed: name another directory with --dir", b.dir, free>>20, need>>20)
	}
	return nil
}

// fsyncLatency is the median time to append 4 KiB and have it on the disk.
func fsyncLatency(dir string) (ms float64, err error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	var took []time.Duration
	for range 101 {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2].Seconds() * 1000, nil
}

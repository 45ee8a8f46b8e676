//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server under measurement. It dies with the benchmark.
type process struct {
	cmd   *exec.Cmd
	log   string        // file that has what it said
	ended chan struct{} // closed when it has
	err   error         // of its end, once ended is closed
}

// start runs a program in the run's directory.
func (b *bench) start(name string, args ...string) (*process, error) {
	log, err := os.CreateTemp(b.dir, filepath.Base(name)+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, log, log
	cmd.Env = append(os.Environ(), "ZENDUTY_SIGNING_KEY="+signingKey)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // an interrupt is for the benchmark alone
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log.Name(), ended: make(chan struct{})}
	b.processes = append(b.processes, p)
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// fault adds to an error what the process said last.
func (p *process) fault(err error) error {
	log, _ := os.ReadFile(p.log) // without it the error is still true
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return fmt.Errorf("%s: %w; it said last:\n%s", filepath.Base(p.cmd.Path), err, strings.Join(lines[max(0, len(lines)-10):], "\n"))
}

// kill ends it as a crash would. It may have ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// stop asks it to end, and waits.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return p.fault(err)
	}
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		return p.fault(errors.New("has not ended 30 s after SIGTERM"))
	}
	if p.err != nil {
		return p.fault(p.err)
	}
	return nil
}

// hang stops it where it stands: connections stay, and nobody answers.
func (p *process) hang() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// await waits for a condition that p brings about.
func (p *process) await(ctx context.Context, what string, within time.Duration, condition func() bool) error {
	for deadline := time.Now().Add(within); !condition(); {
		select {
		case <-time.After(time.Millisecond):
		case <-p.ended:
			return p.fault(fmt.Errorf("ended before it was %s: %w", what, p.err))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if time.Now().After(deadline) {
			return p.fault(fmt.Errorf("not %s within %v", what, within))
		}
	}
	return nil
}

// memory is what it has in memory now, and the most it ever had.
func (p *process) memory() (now, peak float64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range bytes.Lines(status) {
		for name, value := range map[string]*float64{"VmRSS:": &now, "VmHWM:": &peak} {
			if text, ok := bytes.CutPrefix(line, []byte(name)); ok {
				kB, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
				if err != nil {
					return 0, 0, err
				}
				*value = kB * 1024 / 1e6
			}
		}
	}
	return now, peak, nil
}

// cpu is the processor time that it has used.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // behind the name, which may hold spaces
	fields := strings.Fields(rest)
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime, proc_pid_stat(5)
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100, nil // USER_HZ is 100 on every architecture of Go's
}

// natsServer is a nats-server of its own.
type natsServer struct {
	*process
	address, store string
}

func (n *natsServer) url() string { return "nats://" + n.address }

// startNATS runs a nats-server with its defaults and an empty store.
func (b *bench) startNATS(ctx context.Context) (*natsServer, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	store, err := os.MkdirTemp(b.dir, "nats-")
	if err != nil {
		return nil, err
	}
	return b.startNATSAt(ctx, address, store)
}

func (b *bench) startNATSAt(ctx context.Context, address, store string) (*natsServer, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	p, err := b.start(b.natsBinary, "-js", "-sd", store, "-a", host, "-p", port)
	if err != nil {
		return nil, err
	}
	return &natsServer{p, address, store}, p.await(ctx, "ready", 20*time.Second, listening(address))
}

func listening(address string) func() bool {
	return func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
}

// bridge is a running zenduty-bridge serve.
type bridge struct {
	*process
	address, admin string
	data           string
	readyAfter     time.Duration // from exec to /readyz 200
}

// startBridge runs a bridge on a data directory, with its defaults, and waits until
// it is ready.
func (b *bench) startBridge(ctx context.Context, natsURL, data string) (*bridge, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	p, err := b.start(b.bridgeBinary, "serve", "--listen", address, "--admin-listen", admin, "--data-dir", data,
		"--nats-url", natsURL, "--spool-max-bytes", strconv.Itoa(max(8<<30, b.scale.records*2000)))
	if err != nil {
		return nil, err
	}
	err = p.await(ctx, "ready", time.Minute, func() bool { return isReady("http://" + admin + "/readyz") })
	return &bridge{p, address, admin, data, time.Since(began)}, err
}

func isReady(url string) bool {
	response, err := http.Get(url)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// newData makes a directory for one bridge's data.
func (b *bench) newData() (string, error) { return os.MkdirTemp(b.dir, "data-") }

// clear ends all that runs, removes its files and lets the disk write what it
// still has to, so that nothing is left for the next scenario to pay.
func (b *bench) clear() error {
	for _, p := range b.processes {
		p.kill()
	}
	b.processes = nil
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(b.dir, e.Name())))
	}
	syscall.Sync()
	return err
}

// freeAddress is a loopback address whose port was free a moment ago, below those
// that systems give to outgoing connections.
func freeAddress() (string, error) {
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		if l, err := net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port found on 127.0.0.1 between 10000 and 30000")
}

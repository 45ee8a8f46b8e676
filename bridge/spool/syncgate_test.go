package spool

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// syncGate counts the fsyncs of the write-ahead log, and can hold them up.
type syncGate struct {
	fs    vfs.FS
	slow  time.Duration // each takes that long; set before use
	count atomic.Int64

	mu   sync.Mutex
	open chan struct{} // closed when syncs may pass
	err  error         // what they then come back with
	held atomic.Int64
}

func newSyncGate(under vfs.FS) *syncGate {
	g := &syncGate{open: make(chan struct{})}
	close(g.open)
	g.fs = errorfs.Wrap(under, errorfs.InjectorFunc(g.before))
	return g
}

func isLogSync(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		return strings.HasSuffix(op.Path, ".log")
	}
	return false
}

func (g *syncGate) before(op errorfs.Op) error {
	if !isLogSync(op) {
		return nil
	}
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	g.held.Add(1)
	<-open
	g.held.Add(-1)
	time.Sleep(g.slow)
	g.count.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *syncGate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *syncGate) release() { g.releaseWith(nil) }

// releaseWith lets what is held, and what comes, go on to err.
func (g *syncGate) releaseWith(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
	close(g.open)
}

// awaitHeld waits until an fsync stands before the closed gate.
func (g *syncGate) awaitHeld(t testing.TB) {
	t.Helper()
	eventually(t, "an fsync is held up", func() bool { return g.held.Load() > 0 })
}

package spool

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// corruption is what the store has found damaged while it was open.
type corruption struct {
	mu    sync.Mutex
	files map[string]bool
}

// note is whether the file is a new one, and any whether there is one.
func (c *corruption) note(file string) (isNew bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[file] {
		return false
	}
	if c.files == nil {
		c.files = map[string]bool{}
	}
	c.files[file] = true
	return true
}

func (c *corruption) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.files) > 0
}

// corruptionFound is told of every block that does not fit its checksum, by
// whoever reads it. What is in the other blocks goes on being served.
func (s *Spool) corruptionFound(info pebble.DataCorruptionInfo) {
	if s.broken.note(info.Path) {
		s.opts.Logger.Error("spool: a file is damaged; what is in its other parts is served, stop the bridge to see to it",
			"file", info.Path, "error", info.Details, "remedy", remedy(s.opts.FS, s.dir))
	}
}

// stalled: writes wait for compactions. Those that meet a damaged block never
// end, so the wait would not either.
func (s *Spool) stalled(info pebble.WriteStallBeginInfo) {
	if s.broken.any() {
		s.setFault("writes wait for a compaction that a damaged file prevents (" + info.Reason + "): " + remedy(s.opts.FS, s.dir))
	}
}

// logCreated notes a new log before records can be in it.
func (s *Spool) logCreated(info pebble.WALCreateInfo) {
	if info.Err != nil {
		return
	}
	if err := s.ledger.note(logLine(uint64(info.FileNum))); err != nil {
		s.fail(err.Error())
	}
}

package spool

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// corruption is what the store has found damaged while it was open.
type corruption struct {
	mu    sync.Mutex
	files map[string]bool
	stall chan struct{} // closed when writes no longer wait; of the store's events alone
}

// note tells whether the file is a new one.
func (c *corruption) note(file string) (isNew bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files == nil {
		c.files = map[string]bool{}
	}
	isNew = !c.files[file]
	c.files[file] = true
	return isNew
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

// stallPatience is how long writes may wait for flushes and compactions before the
// spool fails if files are damaged. A burst of writes waits for seconds.
const stallPatience = 30 * time.Second

// stalled: writes wait from now on. If that is for a compaction that meets a
// damaged block, which never ends, they would wait for ever: the spool fails. The
// goroutine ends with the stall, or with that.
func (s *Spool) stalled(info pebble.WriteStallBeginInfo) {
	ended := make(chan struct{})
	s.broken.stall = ended
	go func() {
		look := time.NewTicker(stallPatience)
		defer look.Stop()
		for {
			select {
			case <-ended:
				return
			case <-s.failed:
				return
			case <-look.C:
				if s.broken.any() {
					s.setFault("writes wait for a compaction that a damaged file prevents (" + info.Reason + "): " + remedy(s.opts.FS, s.dir))
				}
			}
		}
	}()
}

func (s *Spool) stallEnded() { close(s.broken.stall) }

// logCreated notes a new log before records can be in it.
func (s *Spool) logCreated(info pebble.WALCreateInfo) {
	if info.Err != nil {
		return
	}
	if err := s.ledger.AddLog(uint64(info.FileNum)); err != nil {
		s.fail(err.Error())
	}
}

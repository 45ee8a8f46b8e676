package main

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// What keeps a command from a spool is told with what to do about it.
func TestSpoolHints(t *testing.T) {
	for cause, want := range map[error]string{
		spool.ErrLocked: "stop the bridge",
		fs.ErrNotExist:  "--data-dir",
		syscall.EROFS:   "copy the data directory to another disk",
		syscall.EBUSY:   "use --to",
	} {
		if err := hint(fmt.Errorf("verify: %w", cause)); !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

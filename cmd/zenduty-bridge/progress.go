package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// minProgress is from how many webhooks a progress bar is worth its line.
const minProgress = 100

// newProgress returns what to call after each of total webhooks, and at the end.
// It shows a bar if w is a terminal and there is something to wait for.
func newProgress(w io.Writer, total int) (step, done func()) {
	if total < minProgress || !isTerminal(w) {
		return func() {}, func() {}
	}
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription("sending"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("webhooks"),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	// A bar that cannot be drawn is no reason to stop sending.
	return func() { _ = bar.Add(1) }, func() { _ = bar.Finish() }
}

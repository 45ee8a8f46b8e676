package bridge

import (
	"context"
	"fmt"
)

// operation is work of an operator's on what only the relay's goroutine touches.
type operation struct {
	do   func(*relay) error
	done chan error // capacity 1
}

// operate has the goroutine of Run do something between two of its steps, and
// returns its error, or ctx's when that ended first: then it is not done, unless it
// had begun. While the relay looks into the stream it takes no operations.
func (b *Bridge) operate(ctx context.Context, do func(*relay) error) error {
	op := operation{do: do, done: make(chan error, 1)}
	select {
	case b.operations <- op:
	case <-ctx.Done():
		return fmt.Errorf("the relay is busy, and nothing was done (zenduty-bridge status tells what it waits for; try again after that): %w", context.Cause(ctx))
	}
	select {
	case err := <-op.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the relay has begun and has not come to the end, as when the disk hangs (look whether it was done, or try again): %w", context.Cause(ctx))
	}
}

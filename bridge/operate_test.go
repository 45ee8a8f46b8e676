package bridge

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What an operator asks of the relay is done by its goroutine, and its error is told.
func TestOperate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, vfs.NewMem())
		defer s.Close()
		b := New(s, newBroker(), Options{Logger: quiet})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx, nil) }()

		accept(t, b, body("a", 1))
		synctest.Wait()
		records := -1
		sentinel := errors.New("so it goes")
		err := b.operate(ctx, func(r *relay) error {
			records = r.lanes.records
			return sentinel
		})
		if err != sentinel || records != 0 {
			t.Errorf("%v with %d records loaded", err, records)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Nobody waits longer for the relay than they said.
func TestOperateWithoutRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, vfs.NewMem())
		defer s.Close()
		b := New(s, newBroker(), Options{Logger: quiet})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := b.operate(ctx, func(*relay) error { return errors.New("done all the same") })
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "try again after that") {
			t.Error(err)
		}
	})
}

// What has begun goes on, and is not said to be undone.
func TestOperateThatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := traceBridge(t, newBroker())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := b.operate(ctx, func(*relay) error { time.Sleep(time.Minute); return nil })
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "look whether it was done") {
			t.Error(err)
		}
	})
}

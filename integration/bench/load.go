//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// load is webhooks posted in a closed loop: each connection sends its next when the
// last was answered. It shows how much a server takes, not how long it takes.
type load struct {
	clients  []*client
	answered []counter // by connection
	stopping atomic.Bool
	senders  sync.WaitGroup
	failed   chan struct{} // closed at the first error
	fail     sync.Once
	err      error // of the first that failed, once failed is closed
}

// counter has a cache line of its own, so that the connections do not slow each
// other by counting.
type counter struct {
	atomic.Int64
	_ [56]byte
}

// incidentsAtOnce is how many incidents each connection has under way.
const incidentsAtOnce = 8

// startLoad begins to post to address; stop ends it.
func (b *bench) startLoad(address string) (*load, error) {
	l := &load{answered: make([]counter, b.scale.connections), failed: make(chan struct{})}
	for range b.scale.connections {
		c, err := dial(address, b.samples)
		if err != nil {
			l.hangUp()
			return nil, err
		}
		l.clients = append(l.clients, c)
	}
	for i, c := range l.clients {
		l.senders.Go(func() { l.send(c, &l.answered[i]) })
	}
	return l, nil
}

func (l *load) send(c *client, answered *counter) {
	for s := newSequence(incidentsAtOnce); !l.stopping.Load(); answered.Add(1) {
		if err := c.post(s.next()); err != nil {
			l.fail.Do(func() {
				l.err = err
				l.stopping.Store(true)
				close(l.failed)
			})
			return
		}
	}
}

// count is how many were answered so far.
func (l *load) count() (n int64) {
	for i := range l.answered {
		n += l.answered[i].Load()
	}
	return n
}

// wait lets it run for d.
func (l *load) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-l.failed:
		return fmt.Errorf("load: %w", l.err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// rate is how many were answered a second during the next d.
func (l *load) rate(ctx context.Context, d time.Duration) (perSecond float64, err error) {
	began, before := time.Now(), l.count()
	if err := l.wait(ctx, d); err != nil {
		return 0, err
	}
	return float64(l.count()-before) / time.Since(began).Seconds(), nil
}

// await waits until n were answered.
func (l *load) await(ctx context.Context, n int64) error {
	for l.count() < n {
		if err := l.wait(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// answerWithin bounds the wait for the last answers: Zenduty waits for 3 s.
const answerWithin = 5 * time.Second

// stop ends it and returns how many were answered in all: every one that was sent.
func (l *load) stop() (total int64, err error) {
	l.stopping.Store(true)
	for _, c := range l.clients {
		_ = c.conn.SetReadDeadline(time.Now().Add(answerWithin)) // a connection that has failed says so itself
	}
	l.senders.Wait()
	l.hangUp()
	if l.err != nil {
		return 0, fmt.Errorf("load: %w", l.err)
	}
	return l.count(), nil
}

func (l *load) hangUp() {
	for _, c := range l.clients {
		_ = c.conn.Close()
	}
}

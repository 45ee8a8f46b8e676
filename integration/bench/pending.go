//go:build linux

package main

import (
	"context"
	"path/filepath"
	"time"
)

// pending takes webhooks while NATS is gone until very many are held, and looks
// what they cost: the rate of taking more, the disk, the memory, a start. Then NATS
// comes, and they are drained.
func (b *bench) pending(ctx context.Context) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	data, err := b.newData()
	if err != nil {
		return err
	}
	nats := "nats://" + address
	bridge, err := b.startBridge(ctx, nats, data)
	if err != nil {
		return err
	}
	held, err := b.fill(ctx, bridge)
	if err != nil {
		return bridge.fault(err)
	}
	_, peak, err := bridge.memory()
	if err != nil {
		return err
	}
	b.record("memory, many pending", "MB", peak)
	if bridge, err = b.restarts(ctx, bridge, nats); err != nil {
		return err
	}
	if err := b.drain(ctx, bridge, address, held); err != nil {
		return bridge.fault(err)
	}
	return nil
}

// fill takes webhooks until the scale's number is held, then some more.
func (b *bench) fill(ctx context.Context, bridge *bridge) (held int64, err error) {
	l, err := b.startLoad(bridge.address)
	if err != nil {
		return 0, err
	}
	if err := b.recordRate(ctx, l, "growth, none held"); err != nil {
		return 0, err
	}
	if err := l.await(ctx, int64(b.scale.records)); err != nil {
		return 0, err
	}
	if held, err = l.stop(); err != nil {
		return 0, err
	}
	if err := b.recordDisk(ctx, bridge, held); err != nil {
		return 0, err
	}
	if l, err = b.startLoad(bridge.address); err != nil {
		return 0, err
	}
	if err := b.recordRate(ctx, l, "growth, many held"); err != nil {
		return 0, err
	}
	more, err := l.stop()
	return held + more, err
}

func (b *bench) recordRate(ctx context.Context, l *load, name string) error {
	if err := l.wait(ctx, b.scale.warm); err != nil {
		return err
	}
	rate, err := l.rate(ctx, b.scale.load)
	b.record(name, "webhooks/s", rate)
	return err
}

// recordDisk waits until the spool has done its tidying.
func (b *bench) recordDisk(ctx context.Context, bridge *bridge, held int64) error {
	spool := filepath.Join(bridge.data, "spool")
	use, err := diskUse(spool)
	for range 30 {
		if err != nil {
			return err
		}
		if err := b.rest(ctx, b.scale.warm); err != nil {
			return err
		}
		before := use
		if use, err = diskUse(spool); use == before {
			break
		}
	}
	bodies := 0
	for _, s := range b.samples {
		bodies += len(s.body)
	}
	b.record("disk, of the bodies' size", "×", float64(use)*float64(len(b.samples))/float64(int64(bodies)*held))
	return err
}

// restarts starts a bridge with many pending after it was stopped, and after it
// was killed.
func (b *bench) restarts(ctx context.Context, old *bridge, nats string) (*bridge, error) {
	if err := old.stop(); err != nil {
		return nil, err
	}
	after, err := b.startBridge(ctx, nats, old.data)
	if err != nil {
		return nil, err
	}
	b.record("start, after a stop", "s", after.readyAfter.Seconds())
	after.kill()
	if after, err = b.startBridge(ctx, nats, old.data); err != nil {
		return nil, err
	}
	b.record("start, after a kill", "s", after.readyAfter.Seconds())
	return after, nil
}

// drain starts NATS and measures from the first message in the stream to the last.
func (b *bench) drain(ctx context.Context, bridge *bridge, address string, held int64) error {
	store, err := b.newData()
	if err != nil {
		return err
	}
	n, err := b.startNATSAt(ctx, address, store)
	if err != nil {
		return err
	}
	r, err := n.reader()
	if err != nil {
		return err
	}
	defer r.close()
	began := time.Now()
	state, err := r.await(ctx, held)
	if err != nil {
		return err
	}
	b.record("drain", "messages/s", perSecond(state))
	b.record("drain, until the first", "s", state.FirstTime.Sub(began).Seconds())
	_, peak, err := bridge.memory()
	if err != nil {
		return err
	}
	b.record("memory, draining", "MB", peak)
	return r.audit(ctx, held, inOrder())
}

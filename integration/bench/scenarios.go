//go:build linux

package main

import (
	"context"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

// scenario is one thing that is measured.
type scenario struct {
	name  string
	about string   // what else it measures; --only finds it by that too
	needs []string // its references, measured in the same rounds before it
	every int      // in every such round, beginning with the first; the long ones less often
	run   func(*bench, context.Context) error
}

var scenarios = []scenario{
	{name: "bare", every: 1, run: (*bench).bare},
	{name: "accept", about: "memory", needs: []string{"bare"}, every: 1, run: (*bench).accept},
	{name: "endtoend", about: "e2e", needs: []string{"bare"}, every: 1, run: (*bench).endToEnd},
	{name: "latency", every: 2, run: (*bench).latency},
	{name: "publisher", every: 3, run: (*bench).publisher},
	{name: "pending", about: "growth disk start memory drain", needs: []string{"publisher"}, every: 3, run: (*bench).pending},
	{name: "recovery", every: 5, run: (*bench).recovery},
	{name: "flood", about: "memory latency", every: 5, run: (*bench).flood},
}

// bare is the reference of accept and endToEnd.
func (b *bench) bare(ctx context.Context) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	server, err := b.start(b.self, "bare", address)
	if err != nil {
		return err
	}
	if err := server.await(ctx, "listening", 10*time.Second, listening(address)); err != nil {
		return err
	}
	l, err := b.startLoad(address)
	if err != nil {
		return err
	}
	return b.measure(ctx, l, server, "bare")
}

// measure warms up, measures the rate and what it costs in processor time, and
// ends the load.
func (b *bench) measure(ctx context.Context, l *load, server *process, name string) error {
	if err := l.wait(ctx, b.scale.warm); err != nil {
		return server.fault(err)
	}
	before, err := server.cpu()
	if err != nil {
		return err
	}
	count, own := l.count(), ownCPU()
	rate, err := l.rate(ctx, b.scale.load)
	if err != nil {
		return server.fault(err)
	}
	n, own := float64(l.count()-count), ownCPU()-own
	after, err := server.cpu()
	if err != nil {
		return err
	}
	b.record(name, "webhooks/s", rate)
	b.record(name+", processor time of the server", "µs/webhook", float64((after-before).Microseconds())/n)
	b.record(name+", processor time of the generator", "µs/webhook", float64(own.Microseconds())/n)
	_, err = l.stop()
	return err
}

// ownCPU is the processor time that the benchmark itself has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail with these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pair starts a nats-server and a bridge on it, and waits for the stream.
func (b *bench) pair(ctx context.Context) (*natsServer, *bridge, *reader, error) {
	n, err := b.startNATS(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	data, err := b.newData()
	if err != nil {
		return nil, nil, nil, err
	}
	bridge, err := b.startBridge(ctx, n.url(), data)
	if err != nil {
		return nil, nil, nil, err
	}
	r, err := n.reader()
	if err != nil {
		return nil, nil, nil, err
	}
	_, err = r.stream(ctx)
	return n, bridge, r, err
}

// accept is what the bridge takes while NATS hangs: every answer after its fsync,
// and nothing relayed.
func (b *bench) accept(ctx context.Context) error {
	n, bridge, r, err := b.pair(ctx)
	if err != nil {
		return err
	}
	r.close()
	if err := b.rest(ctx, b.scale.warm); err != nil {
		return err
	}
	idle, _, err := bridge.memory()
	if err != nil {
		return err
	}
	b.record("memory, idle", "MB", idle)
	if err := n.hang(); err != nil {
		return err
	}
	l, err := b.startLoad(bridge.address)
	if err != nil {
		return err
	}
	if err := b.measure(ctx, l, bridge.process, "accept"); err != nil {
		return err
	}
	_, peak, err := bridge.memory()
	b.record("memory, accepting", "MB", peak)
	return err
}

// rest lets the machine do nothing for d.
func (b *bench) rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// endToEnd is what goes through the bridge into the stream: the clock stops when
// the stream has the last webhook that was answered.
func (b *bench) endToEnd(ctx context.Context) error {
	_, bridge, r, err := b.pair(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	warm, _, err := b.through(ctx, bridge, r, 0, b.scale.warm)
	if err != nil {
		return bridge.fault(err)
	}
	n, took, err := b.through(ctx, bridge, r, warm, b.scale.load)
	if err != nil {
		return bridge.fault(err)
	}
	b.record("end to end", "webhooks/s", float64(n)/took.Seconds())
	_, peak, err := bridge.memory()
	if err != nil {
		return err
	}
	b.record("memory, end to end", "MB", peak)
	return r.audit(ctx, warm+n, inOrder())
}

// through posts for d and waits until all is in the stream, which had before.
func (b *bench) through(ctx context.Context, bridge *bridge, r *reader, before int64, d time.Duration) (n int64, took time.Duration, err error) {
	began := time.Now()
	l, err := b.startLoad(bridge.address)
	if err != nil {
		return 0, 0, err
	}
	if err := l.wait(ctx, d); err != nil {
		return 0, 0, err
	}
	if n, err = l.stop(); err != nil {
		return 0, 0, err
	}
	state, err := r.await(ctx, before+n)
	return n, state.LastTime.Sub(began), err
}

// latency is how long an answer takes at a steady rate: with NATS up, from the
// moment on that it hangs, and from the moment on that it is gone.
func (b *bench) latency(ctx context.Context) error {
	n, bridge, r, err := b.pair(ctx)
	if err != nil {
		return err
	}
	r.close()
	a := b.startAttack(bridge.address)
	if _, err := a.during(ctx, b.scale.warm); err != nil {
		return bridge.fault(err)
	}
	phases := []struct {
		name  string
		begin func() error
		lasts time.Duration
		span  span
	}{
		{name: "latency, NATS up", begin: func() error { return nil }, lasts: b.scale.steady},
		{name: "latency, NATS hung", begin: n.hang, lasts: b.scale.hung},
		{name: "latency, NATS gone", begin: func() error { n.kill(); return nil }, lasts: b.scale.steady},
	}
	for i := range phases {
		if err := phases[i].begin(); err != nil {
			return err
		}
		if phases[i].span, err = a.during(ctx, phases[i].lasts); err != nil {
			return bridge.fault(err)
		}
	}
	if _, err := a.stop(); err != nil {
		return bridge.fault(err)
	}
	for _, phase := range phases {
		b.recordLatency(a, phase.span, phase.name)
	}
	return nil
}

// publisher is the reference of the drain.
func (b *bench) publisher(ctx context.Context) error {
	if err := b.publishAll(ctx, "publisher, without headers", false); err != nil {
		return err
	}
	if err := b.clear(); err != nil {
		return err
	}
	return b.publishAll(ctx, "publisher", true)
}

func (b *bench) publishAll(ctx context.Context, name string, headers bool) error {
	n, err := b.startNATS(ctx)
	if err != nil {
		return err
	}
	if err := b.makeStream(ctx, n); err != nil {
		return err
	}
	client, err := b.start(b.self, "publish", n.url(), b.module, strconv.Itoa(b.scale.published), strconv.FormatBool(headers))
	if err != nil {
		return err
	}
	r, err := n.reader()
	if err != nil {
		return err
	}
	defer r.close()
	<-client.ended
	if client.err != nil {
		return client.fault(client.err)
	}
	state, err := r.await(ctx, int64(b.scale.published))
	if err != nil {
		return err
	}
	b.record(name, "messages/s", perSecond(state))
	return nil
}

// recovery is how long an answer takes while the bridge drains what it took in an
// outage, against before.
func (b *bench) recovery(ctx context.Context) error {
	n, bridge, r, err := b.pair(ctx)
	if err != nil {
		return err
	}
	r.close()
	a := b.startAttack(bridge.address)
	if _, err := a.during(ctx, b.scale.warm); err != nil {
		return bridge.fault(err)
	}
	before, err := a.during(ctx, b.scale.steady)
	if err != nil {
		return bridge.fault(err)
	}
	n.kill()
	answered, _ := a.count()
	if err := a.await(ctx, answered+int64(b.scale.outage)); err != nil {
		return bridge.fault(err)
	}
	draining, err := b.drainBacklog(ctx, a, n, answered)
	if err != nil {
		return bridge.fault(err)
	}
	total, err := a.stop()
	if err != nil {
		return bridge.fault(err)
	}
	b.recordLatency(a, before, "recovery, before")
	b.recordLatency(a, draining, "recovery, draining")
	b.record("recovery, time to drain", "s", draining.to.Sub(draining.from).Seconds())
	return b.auditAll(ctx, n, total, asAnswered(a.byID()))
}

// drainBacklog starts NATS again, which went when so many were answered. It returns
// the time in which what came in the outage went into the stream.
func (b *bench) drainBacklog(ctx context.Context, a *attack, n *natsServer, answered int64) (s span, err error) {
	if _, err := b.startNATSAt(ctx, n.address, n.store); err != nil {
		return s, err
	}
	r, err := n.reader()
	if err != nil {
		return s, err
	}
	defer r.close()
	backlog, err := a.count()
	if err != nil {
		return s, err
	}
	if _, err := r.await(ctx, answered+1); err != nil {
		return s, err
	}
	s.from = time.Now()
	_, err = r.await(ctx, backlog)
	s.to = time.Now()
	return s, err
}

func (b *bench) auditAll(ctx context.Context, n *natsServer, total int64, follow func(nats.Header) error) error {
	r, err := n.reader()
	if err != nil {
		return err
	}
	defer r.close()
	if _, err := r.await(ctx, total); err != nil {
		return err
	}
	return r.audit(ctx, total, follow)
}

// diskUse is the space that a directory's files take on the disk, in bytes, but
// for the spool's ballast.
func diskUse(dir string) (bytes int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if os.IsNotExist(err) || e.Name() == "BALLAST" {
			continue // a compaction was faster
		}
		if err != nil {
			return 0, err
		}
		bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
	}
	return bytes, nil
}

//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	floodRate = 50              // good webhooks a second, each on a connection of its own
	floodRamp = 5 * time.Second // in which the slow connections are opened, and then again and again
)

// flood is how long a good webhook takes while the same address holds connections open
// by slow headers, and posts as many wrong signatures as it can: first as fast as they
// are answered, then without a look at the answers, as many as the loopback carries.
func (b *bench) flood(ctx context.Context) error {
	if err := b.floodBy(ctx, "flood that waits", 256, (*flooding).forge); err != nil {
		return err
	}
	if err := b.clear(); err != nil {
		return err
	}
	return b.floodBy(ctx, "flood", 16, (*flooding).forgeAndLeave)
}

func (b *bench) floodBy(ctx context.Context, name string, senders int, forge func(*flooding) error) error {
	_, bridge, r, err := b.pair(ctx)
	if err != nil {
		return err
	}
	r.close()
	f := &flooding{address: bridge.address, forgery: forgery(bridge.address, b.samples[0])}
	f.start(b.scale.slow, senders, forge)
	defer func() { _ = f.stop() }() // again, where nothing has failed
	err = bridge.await(ctx, "flooded", 30*time.Second, func() bool { return f.slow.Load() >= int64(b.scale.slow*9/10) })
	if err != nil {
		return err
	}
	a := b.startAttackAt(bridge.address, floodRate, false)
	before := f.bad.Load()
	s, err := a.during(ctx, b.scale.flood)
	if err != nil && !errors.Is(err, errRefused) { // which is counted
		return bridge.fault(err)
	}
	bad := float64(f.bad.Load()-before) / s.to.Sub(s.from).Seconds()
	if _, err := a.stop(); err != nil && !errors.Is(err, errRefused) {
		return bridge.fault(err)
	}
	if err := f.stop(); err != nil {
		return bridge.fault(err)
	}
	b.recordLatency(a, s, name+", good webhooks")
	b.record(name+", good webhooks refused", "", float64(a.refused))
	b.record(name+", wrong signatures", "requests/s", bad)
	b.record(name+", slow connections closed after", "s", f.longest().Seconds())
	_, peak, err := bridge.memory()
	b.record("memory, "+name, "MB", peak)
	return err
}

// flooding is one address's attack.
type flooding struct {
	address string
	forgery []byte

	slow, bad atomic.Int64 // slow connections that are open, and wrong signatures posted
	stopping  atomic.Bool
	senders   sync.WaitGroup

	mu   sync.Mutex
	life time.Duration // the longest of a slow connection
	err  error
}

func (f *flooding) start(slow, senders int, forge func(*flooding) error) {
	for i := range slow {
		f.senders.Go(func() {
			time.Sleep(floodRamp * time.Duration(i) / time.Duration(slow))
			for !f.stopping.Load() {
				f.note(f.drip())
			}
		})
	}
	for range senders {
		f.senders.Go(func() { f.note(0, forge(f)) })
	}
}

// stop opens nothing new, and waits until all slow connections are closed.
func (f *flooding) stop() error {
	f.stopping.Store(true)
	f.senders.Wait()
	return f.err
}

func (f *flooding) note(life time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.life, f.err = max(f.life, life), errors.Join(f.err, err)
	if err != nil {
		f.stopping.Store(true)
	}
}

func (f *flooding) longest() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.life
}

// drip sends a byte of a header a second until the connection is closed.
func (f *flooding) drip() (life time.Duration, err error) {
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	f.slow.Add(1)
	defer f.slow.Add(-1)
	began, answer := time.Now(), make([]byte, 64)
	for text := "POST /webhooks/zenduty HTTP/1.1\r\nX-Slow: "; ; text = "y" {
		_, _ = conn.Write([]byte(text)) // Read tells of the end
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return 0, err
		}
		_, err := conn.Read(answer)
		life = time.Since(began)
		if !errors.Is(err, os.ErrDeadlineExceeded) || life > time.Minute {
			return life, nil
		}
	}
}

// forgery is a whole request, of which nothing but the signature is wrong.
func forgery(address string, s sample) []byte {
	r := newRequest(address, s)
	copy(r.text[r.signature:], strings.Repeat("A", signatureSize-1)+"=")
	return r.text
}

// forge posts it again and again, each time when the answer before it has come.
func (f *flooding) forge() error {
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	answer := make([]byte, 4096)
	for !f.stopping.Load() {
		if _, err := conn.Write(f.forgery); err != nil {
			return err
		}
		n, err := conn.Read(answer) // it comes in one piece
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 4")) {
			return fmt.Errorf("a wrong signature is answered with %.100q", answer[:n])
		}
		f.bad.Add(1)
	}
	return nil
}

// forgeAndLeave posts it again and again, each time on a connection that it closes at
// once. Only what the bridge's end of the loopback cannot take in keeps it waiting.
func (f *flooding) forgeAndLeave() error {
	for !f.stopping.Load() {
		conn, err := net.Dial("tcp", f.address)
		if err != nil {
			return err
		}
		_, err = conn.Write(f.forgery)
		if err := errors.Join(err, conn.Close()); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) { // it made way
			return err
		}
		f.bad.Add(1)
	}
	return nil
}

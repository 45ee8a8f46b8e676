package ingress

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// connections are those that a server has open, and the listener they come from.
type connections struct {
	mu       sync.Mutex
	listener *net.TCPListener // nil while none is open
	open     map[*conn]struct{}

	refusing atomic.Bool // no handshake begins: what waits to be accepted has an end
}

func (cs *connections) setListener(l *net.TCPListener) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.listener = l
}

func (cs *connections) add(c *net.TCPConn) *conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	tracked := &conn{TCPConn: c, connections: cs, since: time.Now()}
	cs.open[tracked] = struct{}{}
	return tracked
}

func (cs *connections) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, c)
}

// dismiss says farewell on those that have been quiet for so long, once no more can
// come, and reports whether all are gone.
func (cs *connections) dismiss(quietFor time.Duration) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.listener != nil {
		return false
	}
	now := time.Now()
	for c := range cs.open {
		c.dismiss(now, quietFor)
	}
	return len(cs.open) == 0
}

// phase is what a connection is about.
type phase int

const (
	quiet     phase = iota // nothing of a request has come
	busy                   // a request has begun, if only by its first byte
	dismissed              // told that no request will be read any more
)

// conn is a connection of which it is known whether a request has begun on it.
// net/http tells that only once it has read the whole header, and by then can no
// longer be kept from closing it.
type conn struct {
	*net.TCPConn
	connections *connections

	mu    sync.Mutex
	phase phase
	since time.Time // of the phase
}

// turn is false once the connection is dismissed.
func (c *conn) turn(to phase) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == dismissed {
		return false
	}
	if c.phase != to {
		c.phase, c.since = to, time.Now()
	}
	return true
}

// Read keeps from the server what comes after the farewell, and so reads on until
// the sender closes: an end with bytes unread would be a reset, which may destroy
// the farewell before the sender has read it (RFC 9112, section 9.6).
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := c.TCPConn.Read(p)
		if n == 0 || c.turn(busy) {
			return n, err
		}
	}
}

// dismiss says farewell if the connection has been quiet for so long, and cuts it if
// it was dismissed and the other end does not close.
func (c *conn) dismiss(now time.Time, quietFor time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lasted := now.Sub(c.since)
	switch {
	case c.phase == quiet && lasted >= quietFor && !unread(c.TCPConn):
		c.phase, c.since = dismissed, now
		_ = c.SetWriteDeadline(now.Add(lingering))
		_, _ = c.Write(farewell(now)) // the sender may be gone
		_ = c.CloseWrite()
	case c.phase == dismissed && lasted >= lingering:
		_ = c.TCPConn.Close() // which ends Read, and so the server closes it as well
	}
}

func (c *conn) Close() error {
	c.connections.remove(c)
	return c.TCPConn.Close()
}

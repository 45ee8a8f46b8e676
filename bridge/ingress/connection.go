package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// connections are those that a server has open, and the listener they come from.
type connections struct {
	maxHeader int64         // net/http's limits, for the reason of an end
	idleFor   time.Duration // between two requests
	perParty  int           // how many an address may have; 0 is no limit
	closed    *prometheus.CounterVec

	mu       sync.Mutex
	listener *net.TCPListener // nil while none is open
	open     map[*conn]struct{}
	all      order
	byParty  map[netip.Prefix]*order

	refusing atomic.Bool // no handshake begins: what waits to be accepted has an end
}

func (cs *connections) setListener(l *net.TCPListener) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.listener = l
}

// add takes a connection in, for which another may have to make way. It is closed, and
// the result nil, if none can.
func (cs *connections) add(c *net.TCPConn) *conn {
	tracked := &conn{TCPConn: c, connections: cs, since: time.Now()}
	if peer, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		tracked.party = party(peer.AddrPort().Addr())
	}
	cs.mu.Lock()
	evicted, refused, ok := cs.makeRoom(tracked.party)
	if ok {
		cs.enter(tracked)
	}
	cs.mu.Unlock()
	for _, e := range evicted {
		cs.closed.WithLabelValues(e.reason).Inc()
		_ = e.TCPConn.Close() // which ends its Read, and so the server closes it as well
	}
	if !ok {
		cs.closed.WithLabelValues(refused).Inc()
		_ = c.Close()
		return nil
	}
	return tracked
}

func (cs *connections) remove(c *conn) {
	cs.mu.Lock()
	left := cs.leave(c)
	cs.mu.Unlock()
	if !left {
		return
	}
	if reason := c.end(); reason != "" {
		cs.closed.WithLabelValues(reason).Inc()
	}
}

func (cs *connections) count() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.open)
}

// dismiss says farewell on those that have been quiet for so long, once no more can
// come, and reports whether all are gone but those that see to that themselves.
func (cs *connections) dismiss(quietFor time.Duration) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.listener != nil {
		return false
	}
	now, left := time.Now(), 0
	for c := range cs.open {
		if c.dismiss(now, quietFor) {
			left++
		}
	}
	return left == 0
}

// phase is what a connection is about.
type phase int

const (
	quiet       phase = iota // nothing of a request has come
	busy                     // a request has begun, if only by its first byte
	dismissed                // told that no request will be read any more
	multiplexed              // with HTTP/2, whose requests and farewell are net/http's
)

// conn is a connection of which it is known whether a request has begun on it.
// net/http tells that only once it has read the whole header, and by then can no
// longer be kept from closing it.
type conn struct {
	*net.TCPConn
	connections *connections
	party       netip.Prefix

	// The account of connections has these, under its lock.
	places    [2]place // among all, and among those of the party
	known     bool     // an authentic webhook has come on it
	answering int      // such webhooks that are not answered yet
	reason    string   // why it made way

	mu     sync.Mutex
	phase  phase
	since  time.Time // of the phase
	tls    *tls.Conn // that HTTP/1.1 is carried by; nil without TLS
	header struct {
		bytes   int64 // that have come
		whole   bool  // or refused: net/http reads it no further
		handled bool  // it has reached the handler
		late    bool  // it has not come in time
	}
	answered bool // once at least
	streams  *streams
}

// streams are the requests of a connection with HTTP/2, for which net/http has a limit
// between two of them, and none for the first one's header.
type streams struct {
	first    *time.Timer // ends the connection; stopped by the first request
	underWay int
	since    time.Time // when there were none any more
}

type connKey struct{}

// withConn lets a request know its connection.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if tracked, _ := tracked(c); tracked != nil {
		return context.WithValue(ctx, connKey{}, tracked)
	}
	return ctx
}

// connOf is nil for a request that has come by other ways, as in a test.
func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

// connState tells a connection what net/http knows of it.
func connState(c net.Conn, state http.ConnState) {
	tracked, http2 := tracked(c)
	switch {
	case tracked == nil || state == http.StateNew || state == http.StateClosed:
	case http2: // Shutdown finds it from here on
		tracked.turn(multiplexed)
	case state == http.StateIdle:
		tracked.turn(quiet)
		tracked.idle()
	case state == http.StateActive: // perhaps by what had come with the request before it
		tracked.turn(busy)
		tracked.headed()
	}
}

// idle: a request has been answered, and the next may come.
func (c *conn) idle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = true
	c.header.bytes, c.header.whole, c.header.handled = 0, false, false
}

// headed: net/http has read a header, or has given it up.
func (c *conn) headed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header.whole = true
}

// multiplex: what comes next is HTTP/2, and its first header within so long.
func (c *conn) multiplex(within time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams = &streams{first: time.AfterFunc(within, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.header.handled { // it has come at the last moment
			c.header.late = true
			_ = c.TCPConn.Close() // which ends Read, and so the server closes it as well
		}
	})}
}

// handled: a request has reached a handler, which is through with it when the result is
// called.
func (c *conn) handled() (through func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header.handled = true
	if c.streams == nil {
		return func() {}
	}
	c.streams.first.Stop()
	c.streams.underWay++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.streams.underWay--
		c.streams.since = time.Now()
	}
}

// note takes account of a Read, or of a handshake.
func (c *conn) note(n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.header.whole { // it is of a body, or ended by net/http because the answer is written
		return
	}
	c.header.bytes += int64(n)
	c.header.late = c.header.late || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// end is why the server has closed a connection, if it was for one of its limits.
func (c *conn) end() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams; s != nil {
		s.first.Stop()
		if !c.header.late && s.underWay == 0 && !s.since.IsZero() && time.Since(s.since) >= c.connections.idleFor {
			return "idle_timeout"
		}
	}
	switch {
	case c.phase == dismissed || c.phase == multiplexed && !c.header.late:
		return ""
	case c.header.late && c.answered && c.header.bytes == 0:
		return "idle_timeout"
	case c.header.late:
		return "header_timeout"
	case !c.header.whole || c.header.handled:
		return ""
	case c.header.bytes >= c.connections.maxHeader:
		return "header_too_large"
	}
	return "bad_header"
}

// endings are what closed connections are counted by.
var endings = []string{"evicted", "evicted_address", "refused", "header_timeout", "idle_timeout", "header_too_large", "bad_header"}

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
func (c *conn) Read(p []byte) (int, error) { return c.read(c.TCPConn, p) }

func (c *conn) read(from io.Reader, p []byte) (int, error) {
	for {
		n, err := from.Read(p)
		c.note(n, err)
		if n == 0 || c.turn(busy) {
			return n, err
		}
	}
}

// dismiss says farewell if the connection has been quiet for so long, and cuts it if
// it was dismissed and the other end does not close. It reports whether the connection
// is to be waited for.
func (c *conn) dismiss(now time.Time, quietFor time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	lasted := now.Sub(c.since)
	switch {
	case c.phase == quiet && lasted >= quietFor && !unread(c.TCPConn):
		c.phase, c.since = dismissed, now
		go sayFarewell(c.TCPConn, c.tls) // it may have to wait, and here everybody would
	case c.phase == dismissed && lasted >= lingering:
		_ = c.TCPConn.Close() // which ends Read, and so the server closes it as well
	}
	return c.phase != multiplexed
}

// sayFarewell: the sender may be gone. It ends at the latest when the connection is cut.
func sayFarewell(c *net.TCPConn, secured *tls.Conn) {
	now := time.Now()
	_ = c.SetWriteDeadline(now.Add(lingering))
	if secured != nil {
		_, _ = secured.Write(farewell(now))
		_ = secured.CloseWrite()
	} else {
		_, _ = c.Write(farewell(now))
	}
	_ = c.CloseWrite()
}

func (c *conn) Close() error {
	c.connections.remove(c)
	return c.TCPConn.Close()
}

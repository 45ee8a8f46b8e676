package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// net/http would make the TLS handshake by itself, but only on a connection of which it
// then cannot be known whether a request has begun. So it is made here, and net/http gets
// connections that are through with it: those with HTTP/1.1 like plain ones, those with
// HTTP/2 as they are. An HTTP/2 connection has no need to be dismissed: its farewell
// (GOAWAY, RFC 9113, section 6.8) names the last request that was taken, and its sender
// knows by that what to send again elsewhere. http.Server.Shutdown says it.

// http2 bounds what one HTTP/2 connection may ask for. Header and body are bounded as in
// HTTP/1.1. Streams that are opened and reset in a row count as long as their handlers
// run: beyond four times the limit net/http ends the connection (CVE-2023-44487).
func (s *Server) http2() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams: 100, // the least that RFC 9113, section 6.5.2, recommends
		// net/http makes room for a frame when it has no more of it than its length, keeps
		// what has come of bodies that nobody reads yet, and both for each connection.
		MaxReadFrameSize:              16 << 10, // RFC 9113's least and initial value
		MaxReceiveBufferPerStream:     64 << 10,
		MaxReceiveBufferPerConnection: 256 << 10,
		WriteByteTimeout:              s.http.WriteTimeout,
	}
}

// answerTime is how long an answer waits for the room that an HTTP/2 sender gives it
// (RFC 9113, section 5.2). It has some hundred bytes, for which every sender has room.
const answerTime = time.Second

const (
	protocolHTTP1 = "http/1.1"
	protocolHTTP2 = "h2"
)

// secureListener gives connections whose TLS handshake is done.
type secureListener struct {
	*listener
	config *tls.Config
	within time.Duration // a handshake may take so long
	logger *slog.Logger

	begin  sync.Once
	ready  chan ready
	open   context.Context // ends with Close
	closed context.CancelFunc
}

// ready is what Accept returns.
type ready struct {
	conn net.Conn
	err  error
}

func (s *Server) secure(l *listener) *secureListener {
	open, closed := context.WithCancel(context.Background())
	return &secureListener{
		listener: l, config: s.opts.TLS, within: s.opts.HeaderTimeout, logger: s.opts.Logger,
		ready: make(chan ready), open: open, closed: closed,
	}
}

func (l *secureListener) Accept() (net.Conn, error) {
	l.begin.Do(func() { go l.accept() })
	select {
	case r := <-l.ready:
		return r.conn, r.err
	case <-l.open.Done():
		return nil, net.ErrClosed
	}
}

// Close ends the handshakes that are under way, as nobody is there to take their
// connections any more.
func (l *secureListener) Close() error {
	l.closed()
	return l.listener.Close()
}

// accept begins a handshake on each connection, so that a slow one holds up no other,
// until no more can come. The last error is Accept's when all have come to their end.
func (l *secureListener) accept() {
	var handshakes sync.WaitGroup
	for {
		c, err := l.listener.Accept()
		if err == nil {
			begun := c.(*conn)
			begun.turn(busy) // there is no farewell to be said yet
			handshakes.Go(func() { l.handshake(begun) })
			continue
		}
		last := errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed)
		if last {
			l.connections.setListener(nil)
			handshakes.Wait()
		}
		if !l.give(ready{err: err}) || last {
			return
		}
	}
}

// give is false if nobody takes it any more.
func (l *secureListener) give(r ready) bool {
	select {
	case l.ready <- r:
		return true
	case <-l.open.Done():
		return false
	}
}

// handshake gives c when it is done, and closes it if that fails.
func (l *secureListener) handshake(c *conn) {
	_ = c.SetDeadline(time.Now().Add(l.within)) // a connection that cannot has come to its end
	t := tls.Server(socket{c}, l.config)
	var given net.Conn
	err := t.HandshakeContext(l.open)
	if err == nil {
		_ = c.SetDeadline(time.Time{})
		switch t.ConnectionState().NegotiatedProtocol {
		case protocolHTTP2:
			c.multiplex(l.within)
			given = t
		case protocolHTTP1, "":
			given = c.secured(t)
		} // else the handshake was all there was to it (RFC 8737)
	} else {
		c.note(0, err)
		l.logger.Debug("TLS handshake failed", "remote", c.RemoteAddr().String(), "error", err)
		answerPlain(err)
	}
	if given == nil || !l.give(ready{conn: given}) {
		_ = t.Close() // and by it c
	}
}

// answerPlain tells who speaks HTTP without TLS what is wrong, in what they understand.
func answerPlain(err error) {
	var record tls.RecordHeaderError
	if !errors.As(err, &record) || record.Conn == nil || !slices.Contains([]string{"POST ", "GET /", "HEAD ", "PUT /", "OPTIO"}, string(record.RecordHeader[:])) {
		return
	}
	_, _ = io.WriteString(record.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\nthis port speaks HTTPS\n")
}

// socket is the TCP connection below TLS. Its bytes say nothing of requests.
type socket struct{ tracked *conn }

func (s socket) Read(p []byte) (int, error)         { return s.tracked.TCPConn.Read(p) }
func (s socket) Write(p []byte) (int, error)        { return s.tracked.TCPConn.Write(p) }
func (s socket) Close() error                       { return s.tracked.Close() }
func (s socket) LocalAddr() net.Addr                { return s.tracked.LocalAddr() }
func (s socket) RemoteAddr() net.Addr               { return s.tracked.RemoteAddr() }
func (s socket) SetDeadline(t time.Time) error      { return s.tracked.SetDeadline(t) }
func (s socket) SetReadDeadline(t time.Time) error  { return s.tracked.SetReadDeadline(t) }
func (s socket) SetWriteDeadline(t time.Time) error { return s.tracked.SetWriteDeadline(t) }

// secureConn is a connection under TLS that carries HTTP/1.1.
type secureConn struct {
	*tls.Conn
	tracked *conn
}

// secured makes c one on which a request may begin.
func (c *conn) secured(t *tls.Conn) secureConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tls, c.phase, c.since = t, quiet, time.Now()
	return secureConn{Conn: t, tracked: c}
}

// Read is as conn's.
func (c secureConn) Read(p []byte) (int, error) { return c.tracked.read(c.Conn, p) }

// tracked is what is known of a connection that net/http has.
func tracked(c net.Conn) (_ *conn, multiplexed bool) {
	switch c := c.(type) {
	case *conn:
		return c, false
	case secureConn:
		return c.tracked, false
	case *tls.Conn:
		return c.NetConn().(socket).tracked, true
	}
	return nil, false
}

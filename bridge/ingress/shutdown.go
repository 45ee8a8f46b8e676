package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// http.Server's own Shutdown is not enough: the kernel resets the connections that
// it has established and nobody has accepted when their listener is closed, and
// net/http throws away a request that it reads while it stops, and closes an idle
// connection whose next request is there and not read. So it is called only when
// no connection is left.

const (
	// settling is how long a handshake may take that began as the last, and the
	// first request after it.
	settling = 250 * time.Millisecond
	// lingering is how long a dismissed connection's other end has to close;
	// net/http takes as long.
	lingering = 500 * time.Millisecond
)

// Listen listens on a TCP address, host:port, for Serve. It is net.Listen, but for
// Multipath TCP, whose sockets cannot refuse handshakes as Shutdown does (EOPNOTSUPP).
func Listen(address string) (*net.TCPListener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// Serve answers requests of l until Shutdown; its error is then
// http.ErrServerClosed.
func (s *Server) Serve(l *net.TCPListener) error {
	s.connections.setListener(l)
	defer s.connections.setListener(nil)
	plain := &listener{TCPListener: l, connections: &s.connections}
	if s.opts.TLS != nil {
		return s.http.Serve(s.secure(plain))
	}
	return s.http.Serve(plain)
}

// Shutdown ends the server so that no request is left without an answer. For the
// lame duck's time it works on, but each answer is its connection's last, so that
// senders turn elsewhere. Then it lets no further connection begin, and closes those
// that stay quiet. It returns when all are closed, or with ctx's error.
//
// A request can cross the end of a quiet connection, which HTTP/1.1 has no means to
// announce. It is not taken, and answered with 408. HTTP/2 announces it by GOAWAY: with
// the first answer of the lame duck's time, or when the others are closed.
func (s *Server) Shutdown(ctx context.Context, lameDuck time.Duration) error {
	s.stopping.Store(true)
	s.failures.stop()
	settle := min(lameDuck, settling)
	select {
	case <-ctx.Done():
	case <-time.After(lameDuck - settle):
	}
	if err := s.connections.refuse(settle); err != nil {
		s.opts.Logger.Debug("connections that begin at the last moment may be reset", "error", err)
	}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for ctx.Err() == nil && !s.connections.dismiss(settle) {
		select {
		case <-ctx.Done():
		case <-poll.C:
		}
	}
	return s.http.Shutdown(ctx)
}

// closeIfStopping makes an answer its connection's last. It is called right before
// the answer is written: a request may have begun long before the signal.
func (s *Server) closeIfStopping(h http.Header) {
	if s.stopping.Load() {
		h.Set("Connection", "close")
	}
}

// listener keeps account of the connections that it accepts.
type listener struct {
	*net.TCPListener
	connections *connections
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.accept()
		if err != nil {
			return nil, err
		}
		if tracked := l.connections.add(c); tracked != nil {
			return tracked, nil
		}
	}
}

func (l *listener) accept() (*net.TCPConn, error) {
	c, err := l.AcceptTCP()
	if errors.Is(err, os.ErrDeadlineExceeded) && l.connections.refusing.Load() {
		// A deadline that is over hides what still waits, which is to be accepted.
		_ = l.SetDeadline(time.Now().Add(settling / 10))
		c, err = l.AcceptTCP()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, http.ErrServerClosed
	}
	return c, err
}

// refuse lets no further handshake begin, and those that have begun come to their end
// for so long.
func (cs *connections) refuse(settle time.Duration) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.listener == nil {
		return nil
	}
	err := refuseHandshakes(cs.listener)
	cs.refusing.Store(err == nil)
	return errors.Join(err, cs.listener.SetDeadline(time.Now().Add(settle)))
}

// farewell is what a quiet connection is closed with. A sender that has written a
// request meanwhile takes it for the answer, and may repeat the request on another
// connection (RFC 9110, section 15.5.9); one that has not discards it.
func farewell(now time.Time) []byte {
	const status = http.StatusRequestTimeout
	body, _ := json.Marshal(problem{ // texts and a number are never refused
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: "closing: no request was read, send it again on another connection",
	})
	answer := http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Close: true,
		Header:        http.Header{"Content-Type": {"application/problem+json"}, "Date": {now.UTC().Format(http.TimeFormat)}},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
	var b bytes.Buffer
	_ = answer.Write(&b) // nor does a buffer
	return b.Bytes()
}

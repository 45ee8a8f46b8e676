package ingress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// stoppable is a server on a free port that its test stops.
type stoppable struct {
	*Server
	t        *testing.T
	accepter *accepter
	listener *net.TCPListener
	served   chan error  // what Serve returned
	secure   *tls.Config // nil without TLS
}

// newStoppable returns one that does not serve yet.
func newStoppable(t *testing.T, secure *tls.Config) *stoppable {
	t.Helper()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	a := &accepter{}
	sources := map[string]*Source{"zenduty": {Verifier: verifier(t, zenduty.ModeAuto, zenduty.Key{Name: "default", Secret: secret})}}
	return &stoppable{
		Server: New(a, sources, Options{Logger: slog.New(slog.DiscardHandler), TLS: secure}),
		t:      t, accepter: a, listener: l, served: make(chan error, 1), secure: secure,
	}
}

func startStoppable(t *testing.T, secure *tls.Config) *stoppable {
	t.Helper()
	s := newStoppable(t, secure)
	s.start()
	return s
}

func (s *stoppable) start() { go func() { s.served <- s.Serve(s.listener) }() }

// stop begins Shutdown; the end waits for it.
func (s *stoppable) stop(lameDuck time.Duration) (end func()) {
	stopped := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	go func() { stopped <- s.Shutdown(ctx, lameDuck) }()
	return func() {
		s.t.Helper()
		defer cancel()
		if err := <-stopped; err != nil {
			s.t.Errorf("Shutdown: %v", err)
		}
		if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
			s.t.Errorf("Serve: %v", err)
		}
	}
}

// awaitClosed waits until the port is closed.
func (s *stoppable) awaitClosed() {
	s.t.Helper()
	for {
		c, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			return
		}
		c.Close()
	}
}

// awaitQuiet waits until the server knows all its connections to be between two
// requests. What came before that, and is less than Peek waits for, net/http has read
// with the request before and does not tell of.
func (s *stoppable) awaitQuiet() {
	for allQuiet := false; !allQuiet; time.Sleep(time.Millisecond) {
		s.connections.mu.Lock()
		allQuiet = true
		for c := range s.connections.open {
			c.mu.Lock()
			allQuiet = allQuiet && c.phase == quiet
			c.mu.Unlock()
		}
		s.connections.mu.Unlock()
	}
}

// sender is a connection that a test looks at byte by byte.
type sender struct {
	net.Conn
	t      *testing.T
	reader *bufio.Reader
}

func (s *stoppable) dial() *sender {
	s.t.Helper()
	c, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	if s.secure != nil {
		t := tls.Client(c, trusting(s.secure))
		if err := t.Handshake(); err != nil {
			s.t.Fatal(err)
		}
		c = t
	}
	return &sender{Conn: c, t: s.t, reader: bufio.NewReader(c)}
}

// plainAndSecure runs a test of HTTP/1.1 without TLS and with it.
func plainAndSecure(t *testing.T, test func(t *testing.T, secure *tls.Config)) {
	for name, secure := range map[string]*tls.Config{"plain": nil, "TLS": serverTLS(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, secure)
		})
	}
}

// signedPost is a whole request, of a webhook that is like no other.
func signedPost(number int) string {
	return signedText(fmt.Sprintf(`{"payload": {"event_type": "triggered", "incident": {"unique_id": "%d"}}}`, number))
}

func signedText(body string) string {
	return fmt.Sprintf("POST /webhooks/zenduty HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s",
		zenduty.SignatureHeader, zenduty.Sign(secret, []byte(body)), len(body), body)
}

func (c *sender) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Errorf("send: %v", err)
	}
}

// expect reads an answer: its status, and whether it is the connection's last.
func (c *sender) expect(status int, last bool) {
	c.t.Helper()
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.t.Fatalf("no answer, want %d: %v", status, err)
	}
	text, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || response.StatusCode != status || response.Close != last {
		c.t.Errorf("%d, last %v: %s, %v; want %d, last %v", response.StatusCode, response.Close, text, err, status, last)
	}
}

// expectEnd: the connection ends in order, and is not reset.
func (c *sender) expectEnd() {
	c.t.Helper()
	if _, err := c.reader.ReadByte(); !errors.Is(err, io.EOF) {
		c.t.Errorf("the connection ends with %v, want its orderly end", err)
	}
}

// During the lame duck's time old connections and new ones get their answers, each
// of which is its connection's last.
func TestLameDuck(t *testing.T) { plainAndSecure(t, testLameDuck) }

func testLameDuck(t *testing.T, secure *tls.Config) {
	s := startStoppable(t, secure)
	old := s.dial()
	old.send(signedPost(1))
	old.expect(http.StatusOK, false)
	end := s.stop(2 * time.Second)
	for !s.stopping.Load() {
		time.Sleep(time.Millisecond)
	}
	old.send(signedPost(2))
	old.expect(http.StatusOK, true)
	old.expectEnd()
	for status, request := range map[int]string{
		http.StatusOK:               signedPost(3),
		http.StatusUnauthorized:     "POST /webhooks/zenduty HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		http.StatusNotFound:         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		http.StatusMethodNotAllowed: "GET /webhooks/zenduty HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		fresh := s.dial()
		fresh.send(request)
		fresh.expect(status, true)
		fresh.expectEnd()
	}
	began := time.Now()
	end()
	if time.Since(began) < time.Second {
		t.Error("the lame duck's time was cut short")
	}
	if c, err := net.Dial("tcp", s.listener.Addr().String()); err == nil {
		c.Close()
		t.Error("connections are accepted after the end")
	}
}

// A connection that stays quiet is closed with 408, be it new or between two
// requests. A request that crosses that is not taken and not reset.
func TestQuietConnectionIsDismissed(t *testing.T) {
	plainAndSecure(t, testQuietConnectionIsDismissed)
}

func testQuietConnectionIsDismissed(t *testing.T, secure *tls.Config) {
	s := startStoppable(t, secure)
	unused, idle, crossing := s.dial(), s.dial(), s.dial()
	for i, c := range []*sender{idle, crossing} {
		c.send(signedPost(i))
		c.expect(http.StatusOK, false)
	}
	end := s.stop(time.Millisecond)
	if _, err := crossing.reader.Peek(1); err != nil { // it is dismissed
		t.Fatal(err)
	}
	crossing.send(signedPost(2))
	for _, c := range []*sender{unused, idle, crossing} {
		c.expect(http.StatusRequestTimeout, true)
		c.expectEnd()
	}
	crossing.send(signedPost(3)) // it is read, and what it says does not count
	for _, c := range []*sender{unused, idle, crossing} {
		c.Close()
	}
	end()
	if len(s.accepter.taken) != 2 {
		t.Errorf("%d webhooks taken, want the 2 from before", len(s.accepter.taken))
	}
}

// The other end need not close: the connection is cut.
func TestDismissedConnectionIsCut(t *testing.T) { plainAndSecure(t, testDismissedConnectionIsCut) }

func testDismissedConnectionIsCut(t *testing.T, secure *tls.Config) {
	s := startStoppable(t, secure)
	c := s.dial()
	c.send(signedPost(1))
	c.expect(http.StatusOK, false)
	end := s.stop(0)
	c.expect(http.StatusRequestTimeout, true)
	began := time.Now()
	end()
	if took := time.Since(began); took < lingering/2 || took > 10*time.Second {
		t.Errorf("cut after %v, want %v", took, lingering)
	}
}

// What has begun is answered, even if it has come no further than its first byte
// when the port is closed.
func TestBegunRequestsAreAnswered(t *testing.T) { plainAndSecure(t, testBegunRequestsAreAnswered) }

func testBegunRequestsAreAnswered(t *testing.T, secure *tls.Config) {
	s := startStoppable(t, secure)
	idle := s.dial()
	idle.send(signedPost(0))
	idle.expect(http.StatusOK, false)
	s.awaitQuiet()
	senders := []*sender{idle, s.dial(), s.dial()}
	lengths := []int{1, 30, strings.Index(signedPost(0), "\r\n\r\n") + 10} // of the first byte, of the header, of the body
	for i, length := range lengths {
		senders[i].send(signedPost(1 + i)[:length])
	}
	end := s.stop(300 * time.Millisecond) // within which the parts have come
	s.awaitClosed()
	for i, length := range lengths {
		senders[i].send(signedPost(1 + i)[length:])
		senders[i].expect(http.StatusOK, true)
		senders[i].expectEnd()
	}
	end()
	if len(s.accepter.taken) != 4 {
		t.Errorf("%d webhooks taken, want 4", len(s.accepter.taken))
	}
}

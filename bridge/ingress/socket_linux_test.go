package ingress

import (
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// A handshake does not begin, nor fails, until the port is closed; what was
// established before goes on.
func TestRefuseHandshakes(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		t.Run(address, func(t *testing.T) {
			l, err := Listen(address)
			if errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Skip("no IPv6 here")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			before, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer before.Close()
			if err := refuseHandshakes(l); err != nil {
				t.Fatal(err)
			}
			var failed net.Error
			if c, err := net.DialTimeout("tcp", l.Addr().String(), 200*time.Millisecond); !errors.As(err, &failed) || !failed.Timeout() {
				t.Errorf("a new connection: %v, %v, want no answer", c, err)
			}
			accepted, err := l.AcceptTCP()
			if err != nil {
				t.Fatal(err)
			}
			defer accepted.Close()
			for _, way := range []struct{ from, to net.Conn }{{before, accepted}, {accepted, before}} {
				if _, err := way.from.Write([]byte("x")); err != nil {
					t.Error(err)
				}
				if _, err := io.ReadFull(way.to, make([]byte, 1)); err != nil {
					t.Error(err)
				}
			}
			l.Close()
			if c, err := net.Dial("tcp", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("after the end: %v, %v, want a refusal", c, err)
			}
		})
	}
}

func TestUnread(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sender, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	c, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if unread(c) {
		t.Error("nothing was sent, and something is unread")
	}
	if _, err := sender.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !unread(c); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what was sent does not count as unread")
		}
	}
	if _, err := c.Read(make([]byte, 1)); err != nil || unread(c) {
		t.Errorf("all is read, and something unread; %v", err)
	}
}

// Connections that the kernel has established and nobody has accepted are not reset.
func TestQueuedConnectionsAreAnswered(t *testing.T) {
	s := newStoppable(t, nil)
	var senders []*sender
	for i := range 50 {
		c := s.dial()
		c.send(signedPost(i))
		senders = append(senders, c)
	}
	s.connections.setListener(s.listener)
	if err := s.connections.refuse(0); err != nil { // at once, as a busy machine may have it
		t.Fatal(err)
	}
	s.start()
	for _, c := range senders {
		c.expect(http.StatusOK, false)
	}
	if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

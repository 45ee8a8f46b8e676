package integration

import (
	"net"
	"sync"
	"testing"
)

// proxy is the network between the bridge and NATS. It carries bytes both ways
// until it is told otherwise; whatever it does, nobody is told that a connection
// is gone.
type proxy struct {
	target   string
	listener net.Listener

	mu     sync.Mutex
	state  linkState
	change chan struct{} // closed when state changes
}

// linkState is what the proxy does with what comes in.
type linkState int

const (
	carries linkState = iota
	// holds keeps what comes, and delivers it when the network carries again: TCP
	// sends again what was dropped, also after the sender has given up.
	holds
	// drops swallows what comes, for good: connections from before stay dead.
	drops
	// mute swallows only what the server says: requests arrive, answers do not.
	mute
	// deaf swallows only what the client says: messages arrive, their
	// acknowledgements do not.
	deaf
)

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: target, listener: l, change: make(chan struct{})}
	go p.accept()
	t.Cleanup(func() {
		p.set(carries)
		l.Close()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) set(state linkState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
	close(p.change)
	p.change = make(chan struct{})
}

func (p *proxy) look() (linkState, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state, p.change
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.connect(client)
	}
}

func (p *proxy) connect(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil { // as if the server's port were asked itself
		client.Close()
		return
	}
	go p.carry(server, client, false)
	p.carry(client, server, true)
}

// carry takes bytes from src to dst. Once something was swallowed, nothing more
// can come through: a stream of bytes has no gaps.
func (p *proxy) carry(dst, src net.Conn, fromServer bool) {
	buffer, dead := make([]byte, 64<<10), false
	for {
		n, err := src.Read(buffer)
		dead = dead || p.swallows(fromServer)
		if !dead {
			_, _ = dst.Write(buffer[:n]) // its end is told by the other direction
		}
		if err != nil {
			break
		}
	}
	p.swallows(fromServer) // the end of a connection is held as its bytes are
	if !dead {
		src.Close()
		dst.Close()
	}
}

// swallows tells whether what has come is lost; it returns when the network has
// decided.
func (p *proxy) swallows(fromServer bool) bool {
	for {
		state, change := p.look()
		switch state {
		case holds:
			<-change
		case drops:
			return true
		case mute:
			return fromServer
		case deaf:
			return !fromServer
		default:
			return false
		}
	}
}

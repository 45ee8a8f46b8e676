package admin

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// maxConnections is far above what operators, probes and Prometheus have open, and far
// below the files that webhooks need.
const maxConnections = 128

// maxHeaderBytes bounds a request's header, give or take net/http's 4 KiB of slack.
const maxHeaderBytes = 16 << 10

// connections are those that are open. When there are too many, the one makes way whose
// last request began or ended the longest ago, rather than the new one: so nobody who
// opens them for nothing keeps a probe out, by which the bridge would be taken for dead.
type connections struct {
	mu     sync.Mutex
	order  list.List // of net.Conn, in that order
	places map[net.Conn]*list.Element
}

// note is http.Server's ConnState.
func (cs *connections) note(c net.Conn, state http.ConnState) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	place, open := cs.places[c]
	switch {
	case state == http.StateNew:
		cs.places[c] = cs.order.PushBack(c)
		if cs.order.Len() > maxConnections {
			oldest := cs.order.Front().Value.(net.Conn)
			cs.remove(oldest)
			go oldest.Close() // under TLS it says so first, for which it may have to wait
		}
	case !open: // it has made way
	case state == http.StateClosed:
		cs.remove(c)
	default:
		cs.order.MoveToBack(place)
	}
}

func (cs *connections) remove(c net.Conn) {
	cs.order.Remove(cs.places[c])
	delete(cs.places, c)
}

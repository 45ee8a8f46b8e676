package ingress

import (
	"container/list"
	"net/netip"
)

// When there are as many connections as may be, a new one is not refused: another makes
// way for it. So those who hold connections open for nothing keep nobody else out.

// order is that in which connections make way: strangers first, on which no authentic
// webhook has come, the oldest first; then the others, the one first whose last webhook
// is the longest ago. It holds all connections, or those of one party.
type order struct {
	limit            int    // 0 is none
	reason           string // of those that made way
	strangers, known list.List
}

func (o *order) full() bool { return o.limit > 0 && o.strangers.Len()+o.known.Len() >= o.limit }

// next is the connection that makes way; nil if every one has a webhook that is being
// answered.
func (o *order) next() *conn {
	if oldest := o.strangers.Front(); oldest != nil {
		return oldest.Value.(*conn)
	}
	for e := o.known.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*conn); c.answering == 0 {
			return c
		}
	}
	return nil
}

// place is a connection's in an order.
type place struct {
	order   *order
	element *list.Element
}

// makeRoom returns those that make way for one more connection of a party. ok is false
// if it has to be refused, for the reason then. cs.mu is held.
func (cs *connections) makeRoom(who netip.Prefix) (evicted []*conn, refused string, ok bool) {
	for _, o := range []*order{cs.byParty[who], &cs.all} {
		if o == nil || !o.full() {
			continue
		}
		c := o.next()
		if c == nil {
			return evicted, "refused", false
		}
		c.reason = o.reason
		cs.leave(c)
		evicted = append(evicted, c)
	}
	return evicted, "", true
}

// enter puts a connection into its orders. cs.mu is held.
func (cs *connections) enter(c *conn) {
	cs.open[c] = struct{}{}
	c.places[0] = place{&cs.all, cs.all.strangers.PushBack(c)}
	if cs.perParty == 0 {
		return
	}
	own := cs.byParty[c.party]
	if own == nil {
		own = &order{limit: cs.perParty, reason: "evicted_address"}
		cs.byParty[c.party] = own
	}
	c.places[1] = place{own, own.strangers.PushBack(c)}
}

// leave takes a connection out of its orders; false if it was out already. cs.mu is
// held.
func (cs *connections) leave(c *conn) bool {
	if _, open := cs.open[c]; !open {
		return false
	}
	delete(cs.open, c)
	for _, p := range c.places {
		if p.order != nil {
			p.order.strangers.Remove(p.element) // each list removes but its own
			p.order.known.Remove(p.element)
		}
	}
	if own := c.places[1].order; own != nil && own.strangers.Len()+own.known.Len() == 0 {
		delete(cs.byParty, c.party)
	}
	return true
}

// vouch notes that an authentic webhook has come on c and is being answered, until
// answered is called. c may be nil.
func (cs *connections) vouch(c *conn) {
	if c == nil {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.answering++
	if _, open := cs.open[c]; !open {
		return
	}
	for i := range c.places {
		p := &c.places[i]
		switch {
		case p.order == nil:
		case c.known:
			p.order.known.MoveToBack(p.element)
		default:
			p.order.strangers.Remove(p.element)
			p.element = p.order.known.PushBack(c)
		}
	}
	c.known = true
}

func (cs *connections) answered(c *conn) {
	if c == nil {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.answering--
}

package ingress

import (
	"net/http"
	"net/netip"
	"strings"
)

// forwardedHeader is where proxies say whom they have a request from, each behind what
// the one before it has said. Forwarded (RFC 7239) is not read: what a proxy does not
// write, it mostly passes on as the sender wrote it, so only one of the two can count.
const forwardedHeader = "X-Forwarded-For"

// client is the address that a request comes from: the peer's or, if that is a trusted
// proxy's, the one that proxy names. It is the zero Addr if the peer has none.
func (s *Server) client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return forwardedFor(plain(peer.Addr()), r.Header[forwardedHeader], s.opts.TrustedProxies)
}

// forwardedFor walks from the peer towards the sender, from the right of the header's
// last line to the left of its first, for as long as the one who has spoken is trusted.
// So what a sender writes itself is never reached: to the right of it stands its own
// address, by a proxy's word. A hop that cannot be read ends the way at the proxy that
// named it.
func forwardedFor(peer netip.Addr, lines []string, trusted []netip.Prefix) netip.Addr {
	client := peer
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			if !within(client, trusted) {
				return client
			}
			var hop string
			rest, hop, more = cutLast(rest)
			addr, ok := parseHop(hop)
			if !ok {
				return client
			}
			client = addr
		}
	}
	return client
}

// cutLast cuts the last of a list's elements off; more tells whether one is left.
func cutLast(list string) (rest, last string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", list, false
	}
	return list[:i], list[i+1:], true
}

// parseHop reads an address, which some proxies write with its port.
func parseHop(hop string) (netip.Addr, bool) {
	hop = strings.Trim(hop, " \t")
	addr, err := netip.ParseAddr(hop)
	if err != nil {
		var with netip.AddrPort
		if with, err = netip.ParseAddrPort(hop); err == nil {
			addr = with.Addr()
		} else if bare, ok := strings.CutPrefix(hop, "["); ok && strings.HasSuffix(bare, "]") {
			addr, err = netip.ParseAddr(strings.TrimSuffix(bare, "]"))
		}
	}
	return plain(addr), err == nil
}

// plain is an address in the one form that it is compared in.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func within(addr netip.Addr, networks []netip.Prefix) bool {
	for _, network := range networks {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// party is who an address is counted with: IPv6 by its /64, of which one host has a
// whole one.
func party(addr netip.Addr) netip.Prefix {
	addr = plain(addr)
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // the zero Prefix of the zero Addr
	return prefix
}

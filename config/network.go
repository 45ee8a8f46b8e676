package config

import (
	"errors"
	"net/netip"
	"strings"
)

// Network is a range of addresses. As text it is 10.0.0.0/8 or fd00::/8, or one address
// by itself.
type Network struct{ prefix netip.Prefix }

var errNetwork = errors.New("must be networks such as 10.0.0.0/8 or fd00::/8, or single addresses")

// ParseNetwork reads a network. Its error does not quote the text. Bits beyond the
// network's length do not count; an IPv4 network is one also where it is written as IPv6.
func ParseNetwork(text string) (Network, error) {
	text = strings.TrimSpace(text)
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return Network{}, errNetwork
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if addr := prefix.Addr(); addr.Is4In6() {
		if prefix.Bits() < 96 {
			return Network{}, errNetwork
		}
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return Network{prefix.Masked()}, nil
}

// Prefix is the network; IPv4 is never in the form of IPv6.
func (n Network) Prefix() netip.Prefix { return n.prefix }

// Equal reports whether both have the same addresses.
func (n Network) Equal(other Network) bool { return n == other }

func (n Network) String() string { return n.prefix.String() }

// MarshalText returns String's text.
func (n Network) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what ParseNetwork reads.
func (n *Network) UnmarshalText(text []byte) (err error) {
	*n, err = ParseNetwork(string(text))
	return err
}

// Networks are any number of them: a list in the file, or one text with commas.
type Networks []Network

// Prefixes are the networks. The caller owns the list.
func (n Networks) Prefixes() []netip.Prefix {
	prefixes := make([]netip.Prefix, len(n))
	for i, network := range n {
		prefixes[i] = network.Prefix()
	}
	return prefixes
}

func (n Networks) String() string {
	texts := make([]string, len(n))
	for i, network := range n {
		texts[i] = network.String()
	}
	return strings.Join(texts, ",")
}

// UnmarshalText reads networks separated by commas.
func (n *Networks) UnmarshalText(text []byte) error {
	var list Networks
	for part := range strings.SplitSeq(string(text), ",") {
		network, err := ParseNetwork(part)
		if err != nil {
			return err
		}
		list = append(list, network)
	}
	*n = list
	return nil
}

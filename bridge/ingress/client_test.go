package ingress

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func networks(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestClient(t *testing.T) {
	trusted := networks("10.0.0.0/8", "fd00::/8", "127.0.0.1/32")
	for _, test := range []struct {
		name, peer string
		lines      []string
		want       string
	}{
		{"no proxy", "192.0.2.7:1234", nil, "192.0.2.7"},
		{"no proxy, and a header of its own", "192.0.2.7:1234", []string{"203.0.113.9"}, "192.0.2.7"},
		{"no proxy, and the header of a trusted one", "192.0.2.7:1234", []string{"203.0.113.9, 10.0.0.1"}, "192.0.2.7"},
		{"a proxy that says nothing", "10.0.0.1:1234", nil, "10.0.0.1"},
		{"a proxy", "10.0.0.1:1234", []string{"203.0.113.9"}, "203.0.113.9"},
		{"a proxy, in IPv6 form", "[::ffff:10.0.0.1]:1234", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"a proxy with an IPv6 address", "[fd00::1]:1234", []string{"2001:db8::9"}, "2001:db8::9"},
		{"what the sender wrote is not reached", "10.0.0.1:1234", []string{"198.51.100.1, 10.0.0.9, 203.0.113.9"}, "203.0.113.9"},
		{"nor in a line of its own", "10.0.0.1:1234", []string{"198.51.100.1", "203.0.113.9"}, "203.0.113.9"},
		{"nor if it claims to be a proxy", "10.0.0.1:1234", []string{"198.51.100.1,10.0.0.1,203.0.113.9"}, "203.0.113.9"},
		{"two proxies", "10.0.0.1:1234", []string{"203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{"two proxies, a line each", "10.0.0.1:1234", []string{"203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
		{"a proxy as the client", "10.0.0.1:1234", []string{"10.0.0.2"}, "10.0.0.2"},
		{"with a port", "10.0.0.1:1234", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		{"IPv6 with a port", "10.0.0.1:1234", []string{"[2001:db8::9]:4711"}, "2001:db8::9"},
		{"IPv6 in brackets", "10.0.0.1:1234", []string{"[2001:db8::9]"}, "2001:db8::9"},
		{"with a zone", "10.0.0.1:1234", []string{"fe80::1%eth0"}, "fe80::1"},
		{"a zone does not make a proxy of it", "10.0.0.1:1234", []string{"203.0.113.9, fd00::2%x"}, "203.0.113.9"},
		{"garbage", "10.0.0.1:1234", []string{"203.0.113.9, unknown"}, "10.0.0.1"},
		{"garbage of the sender's", "10.0.0.1:1234", []string{"\x00%%, 203.0.113.9"}, "203.0.113.9"},
		{"garbage behind a second proxy", "10.0.0.1:1234", []string{"203.0.113.9, -, 10.0.0.2"}, "10.0.0.2"},
		{"empty", "10.0.0.1:1234", []string{""}, "10.0.0.1"},
		{"empty at the end", "10.0.0.1:1234", []string{"203.0.113.9,"}, "10.0.0.1"},
		{"brackets left open", "10.0.0.1:1234", []string{"[2001:db8::9"}, "10.0.0.1"},
		{"leading zeros", "10.0.0.1:1234", []string{"203.000.113.009"}, "10.0.0.1"},
		{"a network", "10.0.0.1:1234", []string{"203.0.113.0/24"}, "10.0.0.1"},
		{"a huge list", "10.0.0.1:1234", []string{strings.Repeat("10.0.0.1,", 100_000) + "203.0.113.9"}, "203.0.113.9"},
		{"a huge list of proxies", "10.0.0.1:1234", []string{"203.0.113.9" + strings.Repeat(",10.0.0.1", 100_000)}, "203.0.113.9"},
		{"no address at all", "pipe", []string{"203.0.113.9"}, "invalid IP"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &Server{opts: Options{TrustedProxies: trusted}}
			r := &http.Request{RemoteAddr: test.peer, Header: http.Header{forwardedHeader: test.lines}}
			if got := s.client(r).String(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func FuzzForwardedFor(f *testing.F) {
	for _, line := range []string{"", "203.0.113.9, 10.0.0.1", "[::1]:80", ",,,", "fe80::1%eth0", "::ffff:10.0.0.1"} {
		f.Add(line, "10.0.0.2")
	}
	trusted := networks("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, sent, hop string) {
		// Whatever a sender writes itself, the address that the proxy adds is the one.
		const own = "203.0.113.9"
		if got := forwardedFor(netip.MustParseAddr("10.0.0.1"), []string{sent, hop, sent + ", " + own}, trusted); got.String() != own {
			t.Errorf("%q: %v", sent, got)
		}
		_ = forwardedFor(netip.MustParseAddr("10.0.0.1"), []string{sent, hop}, trusted)
	})
}

func TestParty(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7":            "192.0.2.7/32",
		"::ffff:192.0.2.7":     "192.0.2.7/32",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"fe80::1%eth0":         "fe80::/64",
	} {
		if got := party(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("party(%s) = %s, want %s", addr, got, want)
		}
	}
	if got := party(netip.Addr{}); got.IsValid() {
		t.Errorf("no address is %v", got)
	}
}

// Clients behind a trusted proxy are limited one by one, and the log names them. Nobody
// who is none can spoil another's limit, or get round the own.
func TestFailuresAreCountedByClient(t *testing.T) {
	var log bytes.Buffer
	addr, _ := serve(t, &accepter{}, Options{
		FailedAuthRate: 0.001, FailedAuthBurst: 1, TrustedProxies: networks("127.0.0.1/32"),
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	from := func(forwarded string, status int) {
		t.Helper()
		answered(t, post{header: map[string]string{forwardedHeader: forwarded}, status: status}, addr)
	}
	from("192.0.2.1", 401)
	from("192.0.2.1", 429)
	from("192.0.2.2", 401)
	from("192.0.2.3, 192.0.2.2", 429)
	from("2001:db8::1", 401)
	from("2001:db8::2", 429) // the same /64
	if want := "client=192.0.2.2"; !strings.Contains(log.String(), want) {
		t.Errorf("no %s in the log:\n%s", want, &log)
	}
	untrusting, _ := serve(t, &accepter{}, Options{FailedAuthRate: 0.001, FailedAuthBurst: 1})
	addr = untrusting
	from("192.0.2.1", 401)
	from("192.0.2.2", 429)
}

func TestAllow(t *testing.T) {
	for _, test := range []struct {
		name      string
		allow     []netip.Prefix
		forwarded string
		signature bool
		status    int
		outcome   string
	}{
		{"from an allowed network", networks("192.0.2.0/24"), "192.0.2.7", true, 200, "accepted"},
		{"from one of several", networks("2001:db8::/32", "192.0.2.0/24"), "192.0.2.7", true, 200, "accepted"},
		{"from elsewhere", networks("192.0.2.0/24"), "198.51.100.7", true, 401, "not_allowed"},
		{"from the proxy itself", networks("192.0.2.0/24"), "", true, 401, "not_allowed"},
		{"forged", networks("192.0.2.0/24"), "192.0.2.7, 198.51.100.7", true, 401, "not_allowed"},
		{"allowed, and not signed", networks("192.0.2.0/24"), "192.0.2.7", false, 401, "missing_signature"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr, registry := serveSources(t, &accepter{}, Options{TrustedProxies: networks("127.0.0.1/32")}, func(s *Source) { s.Allow = test.allow })
			p := post{header: map[string]string{}, status: test.status, outcome: test.outcome, answer: `{"status":"accepted","id":"id"}`}
			if test.signature {
				p.header = signed(sample)
			}
			if test.forwarded != "" {
				p.header[forwardedHeader] = test.forwarded
			}
			check(t, p, addr, registry)
		})
	}
}

package admin

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"testing"
)

func TestAccess(t *testing.T) {
	loopback, everywhere := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4zero}
	const here, here6, beyond = "127.0.0.1:5", "[::1]:5", "192.0.2.1:5"
	for _, test := range []struct {
		name    string
		token   string
		at      net.Addr
		from    string
		tls     bool
		host    string
		header  string
		guarded bool
		want    error
	}{
		{"read on loopback", "", loopback, here, false, "127.0.0.1:8081", "", false, nil},
		{"read with a token set", "t", everywhere, here, false, "127.0.0.1:8081", "", false, nil},
		{"guarded on loopback", "", loopback, here, false, "127.0.0.1:8081", "", true, nil},
		{"guarded on loopback of IPv6", "", &net.TCPAddr{IP: net.IPv6loopback}, here6, false, "[::1]:8081", "", true, nil},
		{"guarded on loopback by name", "", loopback, here, false, "LocalHost:8081", "", true, nil},
		{"guarded without port", "", loopback, here, false, "localhost", "", true, nil},
		{"guarded over TLS", "", loopback, here, true, "localhost", "", true, nil},
		{"guarded on every address", "", everywhere, here, false, "127.0.0.1:8081", "", true, errExposed},
		{"guarded on every address of IPv6", "", &net.TCPAddr{IP: net.IPv6zero}, "[::ffff:127.0.0.1]:5", false, "[::1]:8081", "", true, errExposed},
		{"a name that was made to resolve to loopback", "", loopback, here, false, "evil.example:8081", "", false, errHost},
		{"and with a token set", "t", loopback, here, false, "evil.example:8081", "", false, errHost},
		{"and on every address", "", everywhere, here, false, "evil.example:8081", "", false, errHost},
		{"and guarded", "", loopback, here, false, "localhost.evil.example", "", true, errHost},
		{"and without any", "", loopback, here, false, "", "", true, errHost},
		{"token", "t", everywhere, here, false, "bridge", "Bearer t", true, nil},
		{"token, in other letters and spaces", "t", everywhere, here, false, "bridge", "bearer  t ", true, nil},
		{"token, and a read", "t", everywhere, here, false, "bridge", "Bearer t", false, nil},
		{"token on loopback as well", "t", loopback, here, false, "127.0.0.1", "", true, errNoToken},
		{"no token", "t", everywhere, here, false, "127.0.0.1", "", true, errNoToken},
		{"other scheme", "t", everywhere, here, false, "127.0.0.1", "Basic t", true, errNoToken},
		{"only the token", "t", everywhere, here, false, "127.0.0.1", "t", true, errNoToken},
		{"empty token", "t", everywhere, here, false, "127.0.0.1", "Bearer ", true, errWrongToken},
		{"part of the token", "token", everywhere, here, false, "127.0.0.1", "Bearer toke", true, errWrongToken},
		{"a token where none is set", "", everywhere, here, false, "127.0.0.1", "Bearer ", true, errExposed},
		{"read from beyond", "", everywhere, beyond, false, "bridge:8081", "", false, errBeyond},
		{"read from beyond with a token only", "t", everywhere, beyond, false, "bridge:8081", "Bearer t", false, errBeyond},
		{"read from beyond over TLS only", "", everywhere, beyond, true, "bridge:8081", "Bearer ", false, errBeyond},
		{"read from beyond without the token", "t", everywhere, beyond, true, "bridge:8081", "", false, errNoToken},
		{"read from beyond that claims to be here", "t", everywhere, beyond, true, "127.0.0.1:8081", "", false, errNoToken},
		{"read from beyond", "t", everywhere, beyond, true, "bridge:8081", "Bearer t", false, nil},
		{"guarded from beyond", "t", everywhere, beyond, true, "bridge:8081", "Bearer t", true, nil},
		{"guarded from beyond with a wrong token", "t", everywhere, beyond, true, "bridge:8081", "Bearer s", true, errWrongToken},
		{"from nowhere", "t", &net.UnixAddr{Name: "s", Net: "unix"}, "@", false, "localhost", "Bearer t", true, errBeyond},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAccess(Options{Token: test.token})
			a.listens(test.at)
			r := &http.Request{Host: test.host, Header: http.Header{}, RemoteAddr: test.from}
			r.Header.Set("Authorization", test.header)
			if test.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if err := a.permits(r, test.guarded); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// Another token takes the place of the one before at once, and so does none.
func TestTokenIsReplaced(t *testing.T) {
	a := newAccess(Options{Token: "old"})
	a.listens(&net.TCPAddr{IP: net.IPv4zero})
	permits := func(token string) error {
		return a.permits(&http.Request{Host: "127.0.0.1", RemoteAddr: "127.0.0.1:1024", Header: http.Header{"Authorization": {"Bearer " + token}}}, true)
	}
	for _, step := range []struct {
		set      string
		old, new error
	}{
		{"old", nil, errWrongToken},
		{"new", errWrongToken, nil},
		{"", errExposed, errExposed},
		{"old", nil, errWrongToken},
	} {
		a.setToken(step.set)
		if err := permits("old"); !errors.Is(err, step.old) {
			t.Errorf("%q is set, old: %v, want %v", step.set, err, step.old)
		}
		if err := permits("new"); !errors.Is(err, step.new) {
			t.Errorf("%q is set, new: %v, want %v", step.set, err, step.new)
		}
	}
}

package admin

import (
	"errors"
	"net"
	"net/http"
	"testing"
)

func TestAccess(t *testing.T) {
	loopback, everywhere := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4zero}
	for _, test := range []struct {
		name    string
		token   string
		at      net.Addr
		host    string
		header  string
		guarded bool
		want    error
	}{
		{"read on loopback", "", loopback, "127.0.0.1:8081", "", false, nil},
		{"read from elsewhere", "", everywhere, "bridge:8081", "", false, nil},
		{"read with a token set", "t", everywhere, "bridge:8081", "", false, nil},
		{"guarded on loopback", "", loopback, "127.0.0.1:8081", "", true, nil},
		{"guarded on loopback of IPv6", "", &net.TCPAddr{IP: net.IPv6loopback}, "[::1]:8081", "", true, nil},
		{"guarded on loopback by name", "", loopback, "LocalHost:8081", "", true, nil},
		{"guarded without port", "", loopback, "localhost", "", true, nil},
		{"guarded on every address", "", everywhere, "127.0.0.1:8081", "", true, errExposed},
		{"guarded on every address of IPv6", "", &net.TCPAddr{IP: net.IPv6zero}, "[::1]:8081", "", true, errExposed},
		{"guarded on a Unix socket", "", &net.UnixAddr{Name: "s", Net: "unix"}, "localhost", "", true, errExposed},
		{"a name that was made to resolve to loopback", "", loopback, "evil.example:8081", "", false, errHost},
		{"and guarded", "", loopback, "localhost.evil.example", "", true, errHost},
		{"and without any", "", loopback, "", "", true, errHost},
		{"token", "t", everywhere, "bridge", "Bearer t", true, nil},
		{"token, in other letters and spaces", "t", everywhere, "bridge", "bearer  t ", true, nil},
		{"token on loopback as well", "t", loopback, "127.0.0.1", "", true, errNoToken},
		{"no token", "t", everywhere, "127.0.0.1", "", true, errNoToken},
		{"other scheme", "t", everywhere, "127.0.0.1", "Basic t", true, errNoToken},
		{"only the token", "t", everywhere, "127.0.0.1", "t", true, errNoToken},
		{"empty token", "t", everywhere, "127.0.0.1", "Bearer ", true, errWrongToken},
		{"part of the token", "token", everywhere, "127.0.0.1", "Bearer toke", true, errWrongToken},
		{"a token where none is set", "", everywhere, "127.0.0.1", "Bearer ", true, errExposed},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAccess(test.token)
			a.listens(test.at)
			r := &http.Request{Host: test.host, Header: http.Header{}}
			r.Header.Set("Authorization", test.header)
			if err := a.permits(r, test.guarded); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// Another token takes the place of the one before at once, and so does none.
func TestTokenIsReplaced(t *testing.T) {
	a := newAccess("old")
	a.listens(&net.TCPAddr{IP: net.IPv4zero})
	permits := func(token string) error {
		return a.permits(&http.Request{Host: "bridge", Header: http.Header{"Authorization": {"Bearer " + token}}}, true)
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

package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
)

// access decides who may call what. From this machine reads are open; guarded routes
// need the token where there is one, and where there is none the server must listen on
// loopback and nowhere else. From beyond it everything needs the token, and TLS, which
// keeps the token from others; but for health, and for metrics if they are to be open.
type access struct {
	token       atomic.Pointer[[sha256.Size]byte] // its hash; nil where there is none
	loopback    atomic.Bool                       // the server listens there, and nowhere else
	openMetrics bool
	*refusals
}

func newAccess(opts Options) *access {
	a := &access{openMetrics: opts.OpenMetrics, refusals: newRefusals(opts.Logger, opts.Registerer)}
	a.setToken(opts.Token)
	return a
}

// read lets in who may read the API.
func (a *access) read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.permits(r, false); err != nil {
			a.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// metrics lets in who may read metrics.
func (a *access) metrics(next http.Handler) http.Handler {
	guarded := a.read(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.openMetrics && !fromHere(r) {
			next.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// ownPages lets no page of another origin ask for anything in the operator's browser: a
// read costs the bridge work, too, of which the page need not see the result.
func (a *access) ownPages(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asIfPosted := &http.Request{Method: http.MethodPost, Host: r.Host, Header: r.Header, URL: r.URL} // which lets no read pass
		if err := origins.Check(asIfPosted); err != nil {
			a.refuse(w, r, errCrossOrigin)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *access) setToken(token string) {
	if token == "" {
		a.token.Store(nil)
		return
	}
	hash := sha256.Sum256([]byte(token))
	a.token.Store(&hash)
}

var (
	errNoToken    = errors.New("this call needs the bridge's admin token: Authorization: Bearer <token>; commands take it from ZENDUTY_BRIDGE_ADMIN_TOKEN or ZENDUTY_BRIDGE_ADMIN_TOKEN_FILE")
	errWrongToken = errors.New("that is not the bridge's admin token: ZENDUTY_BRIDGE_ADMIN_TOKEN or ZENDUTY_BRIDGE_ADMIN_TOKEN_FILE must be as the bridge has it")
	errExposed    = errors.New("this call changes something or shows a webhook's body, and the bridge's admin address can be reached from beyond its machine: set admin_token (ZENDUTY_BRIDGE_ADMIN_TOKEN), or admin_listen to a loopback address")
	errBeyond     = errors.New("from beyond its machine the bridge answers this only over TLS and with a token: set admin_tls (ZENDUTY_BRIDGE_ADMIN_TLS_CERT_FILE and _KEY_FILE) and admin_token (ZENDUTY_BRIDGE_ADMIN_TOKEN), or ask on that machine; /healthz and /readyz are open, and /metrics with admin_open_metrics (ZENDUTY_BRIDGE_ADMIN_OPEN_METRICS)")
	errHost       = errors.New("the Host header is neither an IP address nor localhost: address the bridge as http://127.0.0.1:<port>, or send the admin token")
)

func (a *access) listens(at net.Addr) {
	tcp, ok := at.(*net.TCPAddr)
	a.loopback.Store(ok && tcp.IP.IsLoopback())
}

// permits is nil if r may be answered.
func (a *access) permits(r *http.Request, guarded bool) error {
	token := a.token.Load()
	switch {
	case !fromHere(r) && (token == nil || r.TLS == nil):
		return errBeyond
	case !fromHere(r) || guarded && token != nil:
		return checkToken(r, token)
	case !isLocal(r.Host) && (token == nil || checkToken(r, token) != nil):
		return errHost
	case guarded && !a.loopback.Load():
		return errExposed
	}
	return nil
}

// checkToken compares in constant time.
func checkToken(r *http.Request, want *[sha256.Size]byte) error {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return errNoToken
	}
	hash := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if subtle.ConstantTimeCompare(hash[:], want[:]) != 1 {
		return errWrongToken
	}
	return nil
}

// fromHere tells whether r was sent on this machine, and so over nobody's network.
func fromHere(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// isLocal tells whether a Host header was not chosen by whoever owns a name: a page
// in the operator's browser whose name was made to resolve to 127.0.0.1 (DNS
// rebinding) sends that name.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.EqualFold(host, "localhost") || net.ParseIP(strings.Trim(host, "[]")) != nil
}

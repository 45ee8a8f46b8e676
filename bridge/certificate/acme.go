package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACMEProtocol is the ALPN protocol by which an authority asks for the proof of a name
// (RFC 8737). A listener whose source is an ACME offers it; a connection that has agreed
// on it has done its work with the handshake.
const ACMEProtocol = acme.ALPNProto

// Account says who asks which authority for certificates of which names.
type Account struct {
	Directory string   // the authority's, a URL
	Email     string   // may be empty
	Names     []string // in lower case; at least one
	CacheDir  string   // of the account's key and the certificates, which are taken from there after a restart; made if missing
}

// ACME has certificates issued, one for each name, and renewed before they expire.
// Whoever connects is shown what there is and is never made to wait for an authority:
// a sender has seconds, and could otherwise spend the few attempts that an authority
// allows.
type ACME struct {
	account Account
	opts    Options
	manager *autocert.Manager
	ready   atomic.Pointer[map[string]*tls.Certificate]
}

// NewACME asks for nothing yet: Watch does. Who makes one has accepted the authority's
// terms of service.
func NewACME(account Account, opts Options) (*ACME, error) {
	if err := os.MkdirAll(account.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("directory for certificates: %w", err)
	}
	a := &ACME{account: account, opts: opts.withDefaults(), manager: &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(account.CacheDir),
		HostPolicy: autocert.HostWhitelist(account.Names...), Email: account.Email,
		Client: &acme.Client{DirectoryURL: account.Directory, UserAgent: "zenduty-bridge"},
	}}
	a.ready.Store(&map[string]*tls.Certificate{})
	register(a.opts, a)
	return a, nil
}

// GetCertificate is tls.Config's.
func (a *ACME) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if slices.Equal(hello.SupportedProtos, []string{ACMEProtocol}) {
		return a.manager.GetCertificate(hello)
	}
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if name == "" { // an address was asked for
		name = a.account.Names[0]
	}
	if c := (*a.ready.Load())[name]; c != nil {
		return c, nil
	}
	if !slices.Contains(a.account.Names, name) {
		return nil, errOtherName
	}
	return nil, errNotIssued
}

var (
	errOtherName = errors.New("no certificate is to be had for that name")
	errNotIssued = errors.New("the certificate has not been issued yet")
)

// Shown are the certificates in use, by the order of their names.
func (a *ACME) Shown() (shown []*x509.Certificate) {
	ready := *a.ready.Load()
	for _, name := range a.account.Names {
		if c := ready[name]; c != nil {
			shown = append(shown, c.Leaf)
		}
	}
	return shown
}

// Names are those to have certificates for.
func (a *ACME) Names() []string { return a.account.Names }

// again and its double, and so on up to seldom, is how long to wait after an authority has
// refused: one may forbid a name for hours after a few attempts. The manager itself
// remembers a refusal for a minute.
const (
	again  = 65 * time.Second
	seldom = time.Hour
)

// Watch has certificates issued and takes up those that are renewed, until ctx ends. It
// looks at what the manager has, which renews in time by itself, at every interval.
// The authority asks back by the listener, which is to serve already. A question that is
// under way when ctx ends is left to itself.
func (a *ACME) Watch(ctx context.Context) {
	for _, name := range a.account.Names[1:] {
		go a.watch(ctx, name)
	}
	a.watch(ctx, a.account.Names[0])
}

func (a *ACME) watch(ctx context.Context, name string) {
	told, refused := "", again
	for {
		err, wait := a.ask(ctx, name), a.opts.Interval
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			told, refused = "", again
		} else {
			wait, refused = refused, min(2*refused, seldom)
			if told != err.Error() {
				told = err.Error()
				a.opts.Logger.Error("no certificate is issued", "name", name, "error", err, "again_in", wait.String())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// ask has a certificate issued, or takes the one that there is.
func (a *ACME) ask(ctx context.Context, name string) error {
	type answer struct {
		certificate *tls.Certificate
		err         error
	}
	answers := make(chan answer, 1)
	go func() { // it takes no context, and five minutes at most
		c, err := a.manager.GetCertificate(&tls.ClientHelloInfo{
			ServerName: name, CipherSuites: suites, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		})
		answers <- answer{c, err}
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case got := <-answers:
		if got.err == nil {
			a.take(name, got.certificate)
		}
		return got.err
	}
}

// take shows a certificate from now on.
func (a *ACME) take(name string, c *tls.Certificate) {
	for {
		old := a.ready.Load()
		if was := (*old)[name]; was != nil && was.Leaf.Equal(c.Leaf) {
			return
		}
		ready := maps.Clone(*old)
		ready[name] = c
		if a.ready.CompareAndSwap(old, &ready) {
			announce(a.opts.Logger, c.Leaf)
			return
		}
	}
}

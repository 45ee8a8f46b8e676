package ingress

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// Source is who may post to /webhooks/{name}. It belongs to the server that it was
// given to.
type Source struct {
	Verifier  *zenduty.Verifier
	BasicAuth *BasicAuth // required as well when not nil

	// Allow are the networks that requests may come from; empty is any.
	Allow []netip.Prefix
	// MaxAge is how old an event may be when its webhook comes; 0 is any.
	MaxAge time.Duration

	name    string
	metrics *sourceMetrics
}

var (
	errNoCredentials    = errors.New("credentials missing or malformed")
	errWrongCredentials = errors.New("credentials wrong")
	errNotAllowed       = errors.New("address not allowed for the source")
)

// signatureOf is a request's signature, as far as there is one.
func signatureOf(r *http.Request) string {
	switch signatures := r.Header.Values(zenduty.SignatureHeader); len(signatures) {
	case 0:
		return ""
	case 1:
		return signatures[0]
	}
	return "several" // malformed: which one, is not for us to choose
}

// BasicAuth is a username and password (RFC 7617), kept as hashes.
type BasicAuth struct{ username, password [sha256.Size]byte }

// NewBasicAuth returns the check for one username and password.
func NewBasicAuth(username, password string) *BasicAuth {
	return &BasicAuth{username: sha256.Sum256([]byte(username)), password: sha256.Sum256([]byte(password))}
}

// check compares in constant time. Nil asks for nothing. The error is errNoCredentials
// or errWrongCredentials.
func (b *BasicAuth) check(r *http.Request) error {
	if b == nil {
		return nil
	}
	username, password, ok := r.BasicAuth() // empty texts if there are none
	u, p := sha256.Sum256([]byte(username)), sha256.Sum256([]byte(password))
	switch wrong := subtle.ConstantTimeCompare(u[:], b.username[:])&subtle.ConstantTimeCompare(p[:], b.password[:]) != 1; {
	case !ok:
		return errNoCredentials
	case wrong:
		return errWrongCredentials
	}
	return nil
}

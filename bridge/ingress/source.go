package ingress

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// Source is who may post to /webhooks/{name}. It belongs to the server that it was
// given to.
type Source struct {
	Verifier  *zenduty.Verifier
	BasicAuth *BasicAuth // required as well when not nil

	name    string
	metrics *sourceMetrics
}

var (
	errNoCredentials    = errors.New("credentials missing or malformed")
	errWrongCredentials = errors.New("credentials wrong")
)

// verify checks credentials and signature of a request that arrived at a time. Its
// errors are those of zenduty.Verifier, errNoCredentials and errWrongCredentials.
func (s *Source) verify(r *http.Request, body []byte, at time.Time) (zenduty.Match, error) {
	if err := s.BasicAuth.check(r); err != nil {
		return zenduty.Match{}, err
	}
	signatures := r.Header.Values(zenduty.SignatureHeader)
	switch len(signatures) {
	case 0:
		return s.Verifier.Verify(body, "", at)
	case 1:
		return s.Verifier.Verify(body, signatures[0], at)
	}
	return zenduty.Match{}, zenduty.ErrMalformedSignature // which one, is not for us to choose
}

// BasicAuth is a username and password (RFC 7617), kept as hashes.
type BasicAuth struct{ username, password [sha256.Size]byte }

// NewBasicAuth returns the check for one username and password.
func NewBasicAuth(username, password string) *BasicAuth {
	return &BasicAuth{username: sha256.Sum256([]byte(username)), password: sha256.Sum256([]byte(password))}
}

// check compares in constant time. Nil asks for nothing.
func (b *BasicAuth) check(r *http.Request) error {
	if b == nil {
		return nil
	}
	username, password, ok := r.BasicAuth()
	if !ok {
		return errNoCredentials
	}
	u, p := sha256.Sum256([]byte(username)), sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare(u[:], b.username[:])&subtle.ConstantTimeCompare(p[:], b.password[:]) != 1 {
		return errWrongCredentials
	}
	return nil
}

package zenduty

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash"
	"slices"
	"sync"
	"time"
)

// Verifier checks webhooks against a set of keys. It is safe for concurrent use
// and never changes: make a new one when the keys do.
type Verifier struct {
	mode  Mode
	names []string // of the keys, in order
	valid []validity
	// macs holds one HMAC a key. Setting one up costs as much as hashing a short
	// body, so they are kept. The secrets live in the pool's closure and in the
	// hashes only: printing a Verifier does not show them.
	macs sync.Pool
}

// Match says how a webhook was verified.
type Match struct {
	// Rendering is the form whose signature matched.
	Rendering Rendering
	// Key is the name of the key that matched, empty under ModeNone.
	Key string
	// Body is exactly the bytes whose signature matched. For RenderingRaw and
	// RenderingNone it is the caller's body itself; otherwise it is new memory
	// that the caller owns.
	//
	// A json.dumps rendering of a number beyond float64 holds the word Infinity,
	// as Python writes it, and is then no longer JSON.
	Body []byte
}

// NewVerifier returns a verifier for mode, the empty mode being ModeAuto. Every
// key needs a secret (else ErrEmptyKey) and a name of its own, and there must be
// at least one key unless mode is ModeNone, which leaves them unused. The keys
// are tried together, so their order only decides which name is reported when
// two have the same secret.
func NewVerifier(mode Mode, keys []Key) (*Verifier, error) {
	mode, err := ParseMode(string(mode))
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 && mode != ModeNone {
		return nil, fmt.Errorf("no signing key: add one, or set the signature mode to %q on purpose", ModeNone)
	}
	if err := checkKeys(keys); err != nil {
		return nil, err
	}
	v := &Verifier{mode: mode, names: make([]string, len(keys)), valid: make([]validity, len(keys))}
	secrets := make([][]byte, len(keys))
	for i, k := range keys {
		v.names[i], v.valid[i], secrets[i] = k.Name, validity{k.NotBefore, k.NotAfter}, []byte(k.Secret)
	}
	v.macs.New = func() any { return newMACs(secrets) }
	return v, nil
}

// Mode is how the verifier looks for a signature.
func (v *Verifier) Mode() Mode { return v.mode }

// Renderings are those that a Match can have.
func (v *Verifier) Renderings() []Rendering {
	switch v.mode {
	case ModeNone:
		return []Rendering{RenderingNone}
	case ModeRaw:
		return []Rendering{RenderingRaw}
	}
	return []Rendering{RenderingRaw, RenderingDumps, RenderingPayloadDumps}
}

// Keys are the names of the keys that a Match can have, in order: none under
// ModeNone. The caller owns the list.
func (v *Verifier) Keys() []string {
	if v.mode == ModeNone {
		return nil
	}
	return slices.Clone(v.names)
}

// Verify returns how body, which arrived at a time, was signed, or
// ErrMissingSignature, ErrMalformedSignature, ErrWrongSignature or ErrKeyNotValid.
// The errors hold nothing of the body or the keys and are safe to log.
//
// The json.dumps renderings are made at most once, and only when the body as
// sent did not match. They are refused for documents that different readers
// could take differently: with duplicate keys or with anything after the end.
// A signed payload verifies inside any document around it; since only the
// signed bytes are returned, that gives a sender nothing.
//
// Whether a signature is missing, malformed or wrong, its time does not tell: that
// depends on the body, the mode and how many keys there are.
func (v *Verifier) Verify(body []byte, signature string, at time.Time) (Match, error) {
	return v.verify(v.mode, body, signature, at)
}

// VerifyRaw is Verify without the json.dumps renderings. It takes little time, for any
// body: what it refuses under ModeAuto, Verify may still take, for far more.
func (v *Verifier) VerifyRaw(body []byte, signature string, at time.Time) (Match, error) {
	return v.verify(ModeRaw, body, signature, at)
}

func (v *Verifier) verify(mode Mode, body []byte, signature string, at time.Time) (Match, error) {
	if v.mode == ModeNone {
		return Match{Rendering: RenderingNone, Body: body}, nil
	}
	want, missing := decodeSignature(signature)
	m := v.macs.Get().(*macs)
	defer v.macs.Put(m)
	m.want, m.valid, m.at, m.outside = want, v.valid, at, 0
	match, err := v.find(mode, m, body)
	if missing != nil { // or malformed: told after as much work as for a wrong one
		return Match{}, missing
	}
	return match, err
}

// find looks for the rendering and the key that make the wanted digest.
func (v *Verifier) find(mode Mode, m *macs, body []byte) (Match, error) {
	if i := m.match(body); i >= 0 {
		return Match{Rendering: RenderingRaw, Key: v.names[i], Body: body}, nil
	}
	if mode == ModeRaw {
		return Match{}, m.failure()
	}
	return v.verifyDumps(m, body)
}

// verifyDumps tries Python's renderings of body.
func (v *Verifier) verifyDumps(m *macs, body []byte) (Match, error) {
	doc, payload, err := render(nil, body)
	if err != nil {
		return Match{}, fmt.Errorf("%w for the body as sent, and it has no json.dumps rendering: %w", m.failure(), err)
	}
	if i := m.match(doc); i >= 0 {
		return Match{Rendering: RenderingDumps, Key: v.names[i], Body: doc}, nil
	}
	if payload == nil {
		return Match{}, m.failure()
	}
	if i := m.match(payload); i >= 0 {
		return Match{Rendering: RenderingPayloadDumps, Key: v.names[i], Body: payload}, nil
	}
	return Match{}, m.failure()
}

// macs is the state of one verification: an HMAC for each key, and the digests
// in one place so that the raw path allocates nothing.
type macs struct {
	hashes []hash.Hash
	want   [sha256.Size]byte
	got    [sha256.Size]byte

	valid   []validity // of the keys
	at      time.Time
	outside int // 1 once a key that is not valid at that time has matched
}

func newMACs(secrets [][]byte) *macs {
	m := &macs{hashes: make([]hash.Hash, len(secrets))}
	for i, secret := range secrets {
		m.hashes[i] = hmac.New(sha256.New, secret)
	}
	return m
}

// match returns the index of the first valid key under which message has the wanted
// digest, or -1. Every key is tried and every comparison takes the same time, so
// the time taken tells nothing of how close a forgery came or which key fits, nor
// that it is one outside its time.
func (m *macs) match(message []byte) int {
	found := -1
	for i := len(m.hashes) - 1; i >= 0; i-- {
		h := m.hashes[i]
		h.Reset()
		h.Write(message)
		equal := subtle.ConstantTimeCompare(h.Sum(m.got[:0]), m.want[:])
		if m.valid[i].holds(m.at) {
			found = subtle.ConstantTimeSelect(equal, i, found)
		} else {
			m.outside |= equal
		}
	}
	return found
}

// failure is why no match was found.
func (m *macs) failure() error {
	if m.outside == 1 {
		return ErrKeyNotValid
	}
	return ErrWrongSignature
}

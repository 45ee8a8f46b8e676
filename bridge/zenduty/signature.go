package zenduty

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// SignatureHeader is the request header that carries a webhook's signature.
// HTTP header names are case-insensitive; this is how Zenduty's guide writes it.
const SignatureHeader = "X-SIGNATURE"

// What can be wrong with a signature. All four mean: do not accept the webhook.
var (
	// ErrMissingSignature reports an empty or absent signature.
	ErrMissingSignature = errors.New("signature missing")
	// ErrMalformedSignature reports text that cannot be a signature whatever the
	// key: not the base64 of 32 bytes.
	ErrMalformedSignature = errors.New("signature malformed")
	// ErrWrongSignature reports a signature that no key makes for any rendering
	// the mode allows.
	ErrWrongSignature = errors.New("signature wrong")
	// ErrKeyNotValid reports a signature of a key that is not valid at the time. It is
	// to be told to operators only: to the sender, it is wrong like any other.
	ErrKeyNotValid = errors.New("signed with a key outside its time")
)

// signatureLen is the length of 32 bytes in base64, padding included.
const signatureLen = (sha256.Size + 2) / 3 * 4

// Sign returns the signature of body, as SignatureHeader carries it.
func Sign(secret string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(body)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// decodeSignature is strict, so that one digest has one spelling: standard
// alphabet, padded, no line breaks (RFC 4648 sections 3.3 and 3.5). Go's decoder
// skips line breaks, but what is then left of signatureLen is too short.
func decodeSignature(signature string) (digest [sha256.Size]byte, err error) {
	if signature == "" {
		return digest, ErrMissingSignature
	}
	if len(signature) != signatureLen {
		return digest, fmt.Errorf("%w: %d characters, base64 of HMAC-SHA256 has %d", ErrMalformedSignature, len(signature), signatureLen)
	}
	var text [signatureLen]byte
	copy(text[:], signature)
	var decoded [signatureLen / 4 * 3]byte
	n, err := base64.StdEncoding.Strict().Decode(decoded[:], text[:])
	if err != nil {
		return digest, fmt.Errorf("%w: %w", ErrMalformedSignature, err)
	}
	if n != sha256.Size {
		return digest, fmt.Errorf("%w: %d bytes, HMAC-SHA256 has %d", ErrMalformedSignature, n, sha256.Size)
	}
	copy(digest[:], decoded[:])
	return digest, nil
}

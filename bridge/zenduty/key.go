package zenduty

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// ErrEmptyKey reports a key without a secret. HMAC accepts an empty secret, and
// so anyone could sign for it.
var ErrEmptyKey = errors.New("the secret is empty: set the signing key that Zenduty shows for the webhook")

// Key is a signing key with the name it goes by in metrics and logs.
//
// Printing, logging or marshalling a Key shows its name only. That holds for a
// Key by itself and in exported fields, slices and maps; package fmt reads
// unexported fields of other structs behind every method's back, so keep a Key
// out of those if the struct is ever printed.
type Key struct {
	// Name tells keys apart while they are rotated. It is not secret.
	Name string
	// Secret is the text Zenduty shows. Its UTF-8 bytes are the HMAC key; it is
	// not decoded, even where it looks like a UUID or base64.
	Secret string
	// NotBefore and NotAfter bound the time in which a webhook signed with it is
	// taken, both included; zero is no bound.
	NotBefore, NotAfter time.Time
}

// validity is when a key is good.
type validity struct{ notBefore, notAfter time.Time }

func (v validity) holds(at time.Time) bool {
	return !at.Before(v.notBefore) && (v.notAfter.IsZero() || !at.After(v.notAfter))
}

// String returns the key's name and a mark in place of the secret.
func (k Key) String() string {
	return fmt.Sprintf("key %q (secret redacted)", k.Name)
}

// GoString is String: %#v shows no more than %v.
func (k Key) GoString() string { return k.String() }

// Format writes String for every verb. Without it verbs that do not ask for
// String, as %d, would print the fields.
func (k Key) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, k.String())
}

// LogValue keeps the secret out of slog records.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText keeps the secret out of JSON and YAML, and so out of slog's JSON
// handler where a Key is part of a larger value. It cannot be read back.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// checkKeys refuses keys that could not be told apart or that anyone could sign
// for.
func checkKeys(keys []Key) error {
	place := make(map[string]int, len(keys))
	for i, k := range keys {
		if k.Name == "" {
			return fmt.Errorf("key %d: the name is empty: give every key a name, it labels metrics", i+1)
		}
		if first, ok := place[k.Name]; ok {
			return fmt.Errorf("key %d: the name %q is taken by key %d: rename one", i+1, k.Name, first)
		}
		if k.Secret == "" {
			return fmt.Errorf("key %q: %w", k.Name, ErrEmptyKey)
		}
		if !k.NotAfter.IsZero() && k.NotAfter.Before(k.NotBefore) {
			return fmt.Errorf("key %q: it ends before it begins: put NotAfter behind NotBefore", k.Name)
		}
		place[k.Name] = i + 1
	}
	return nil
}

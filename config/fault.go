package config

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoKey says that a webhook could not be authenticated: there is no source, or
// a source has neither a key nor `signature: none`. The fault that wraps it says
// what to set. Commands that take no webhooks can drop it, see [Without].
var ErrNoKey = errors.New("no signing key")

// Fault is one thing wrong with a setting. Load and Validate return all of them,
// joined as by [errors.Join].
type Fault struct {
	// Key is the dotted name of the setting, such as sources.zenduty.keys[1].key_file.
	Key string
	// Place is where its value was given: "bridge.yaml:12", or the names of the flag
	// and the variable. It is empty when the value is a default, and from Validate.
	Place string
	// Err says what is wrong and what would be right, without quoting the value.
	Err error
}

// Error returns the place, the setting and what is wrong.
func (f *Fault) Error() string {
	var parts []string
	for _, part := range []string{f.Place, f.Key} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(append(parts, f.Err.Error()), ": ")
}

// Unwrap returns what is wrong.
func (f *Fault) Unwrap() error { return f.Err }

// Without returns err, as Load or Validate gave it, less the faults that match
// target as errors.Is does; nil if none is left. A command that only reads from
// NATS, say, has no use for a signing key: Without(err, ErrNoKey).
func Without(err, target error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if errors.Is(err, target) {
			return nil
		}
		return err
	}
	var rest []error
	for _, e := range joined.Unwrap() {
		if !errors.Is(e, target) {
			rest = append(rest, e)
		}
	}
	return errors.Join(rest...)
}

// faults gathers what is wrong, in the order found.
type faults []*Fault

// add notes that the setting key has the fault described by format, in which %w may be used.
func (f *faults) add(key, format string, args ...any) {
	*f = append(*f, &Fault{Key: key, Err: fmt.Errorf(format, args...)})
}

// err joins the faults; nil if there are none.
func (f faults) err() error {
	errs := make([]error, len(f))
	for i, fault := range f {
		errs[i] = fault
	}
	return errors.Join(errs...)
}

// cover reports whether a fault of key, or of a setting that contains it, is known
// already. What follows from that one is not worth a second message.
func (f faults) cover(key string) bool {
	for _, fault := range f {
		rest, ok := strings.CutPrefix(key, fault.Key)
		if ok && fault.Key != "" && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// places says where settings were given, by their dotted names.
type places map[string]string

// set notes that key was given at place. What was known of its parts is forgotten.
func (p places) set(key, place string) {
	for k := range p {
		if strings.HasPrefix(k, key+".") || strings.HasPrefix(k, key+"[") {
			delete(p, k)
		}
	}
	p[key] = place
}

// find returns where key, or else the closest setting that contains it, was given.
func (p places) find(key string) string {
	for key != "" {
		if place, ok := p[key]; ok {
			return place
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return ""
}

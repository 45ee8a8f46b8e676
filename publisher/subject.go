package publisher

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// DefaultSubject is the template of the subject that incidents go to.
	DefaultSubject = "zenduty.incident.{event_type}.{service}"
	// QuarantinePrefix is, with a dot and the source's name behind it, the subject
	// of webhooks that are authentic and cannot be keyed.
	QuarantinePrefix = "zenduty.quarantine"
	// CanaryPrefix is likewise that of canaries.
	CanaryPrefix = "zenduty.canary"

	unknownToken  = "unknown"
	maxTokenBytes = 128 // of a server's 4,096 for the whole protocol line
)

// Subject makes subjects from a template such as DefaultSubject: tokens separated
// by dots, each either plain or one of {event_type}, {service}, {source},
// {incident}. Every subject it makes has as many tokens as the template.
type Subject struct{ tokens []string }

// ParseSubject reads a template.
func ParseSubject(template string) (Subject, error) {
	s := Subject{tokens: strings.Split(template, ".")}
	for _, token := range s.tokens {
		if isPlaceholder(token) {
			if placeholder(token, &Message{}) == nil {
				return Subject{}, fmt.Errorf("subject %q: unknown placeholder %s: use {event_type}, {service}, {source} or {incident}", template, token)
			}
		} else if token == "" || token != Token(token) {
			return Subject{}, fmt.Errorf("subject %q: %q is not a plain token", template, token)
		}
	}
	if isPlaceholder(s.tokens[0]) {
		return Subject{}, fmt.Errorf("subject %q: the first token must be plain, so that the stream does not take every subject", template)
	}
	return s, nil
}

func isPlaceholder(token string) bool {
	return strings.HasPrefix(token, "{") && strings.HasSuffix(token, "}")
}

// placeholder is the message's value for a placeholder; nil if there is no such.
func placeholder(token string, m *Message) *string {
	switch token {
	case "{event_type}":
		return &m.EventType
	case "{service}":
		return &m.Service
	case "{source}":
		return &m.Source
	case "{incident}":
		return &m.Incident
	}
	return nil
}

// String is the template.
func (s Subject) String() string { return strings.Join(s.tokens, ".") }

// For is the subject of one incident message.
func (s Subject) For(m *Message) string {
	var b strings.Builder
	for i, token := range s.tokens {
		if i > 0 {
			b.WriteByte('.')
		}
		if isPlaceholder(token) {
			token = Token(*placeholder(token, m))
		}
		b.WriteString(token)
	}
	return b.String()
}

// Wildcard is the template as a stream's subject: zenduty.incident.*.*
func (s Subject) Wildcard() string {
	tokens := make([]string, len(s.tokens))
	for i, token := range s.tokens {
		if tokens[i] = token; isPlaceholder(token) {
			tokens[i] = "*"
		}
	}
	return strings.Join(tokens, ".")
}

// live is the template up to its event type; nil where it ends there or has none.
func (s Subject) live() []string {
	for i, token := range s.tokens[:len(s.tokens)-1] {
		if token == "{event_type}" {
			return s.tokens[:i+1]
		}
	}
	return nil
}

// Live is what to subscribe to for the live feed, zenduty.incident.*: the
// template up to its event type. It is empty where the template ends there or
// has none, for a republish destination must not overlap the stream's own
// subjects (NATS ADR-28).
func (s Subject) Live() string {
	return Subject{s.live()}.Wildcard()
}

// liveMapping is the republish destination of the live feed:
// zenduty.incident.{{wildcard(1)}}
func (s Subject) liveMapping() string {
	tokens := slices.Clone(s.live())
	wildcards := 0
	for i, token := range tokens {
		if isPlaceholder(token) {
			wildcards++
			tokens[i] = "{{wildcard(" + strconv.Itoa(wildcards) + ")}}"
		}
	}
	return strings.Join(tokens, ".")
}

// errNotToken is the cause that CheckToken gives.
var errNotToken = errors.New("not one subject token (no dots, wildcards, white space or control characters, no $ in front)")

// CheckToken tells whether value can stand in a subject as it is.
func CheckToken(value string) error {
	if value == "" || Token(value) != value {
		return fmt.Errorf("%q: %w", value, errNotToken)
	}
	return nil
}

const maxPrefixBytes = 256

// CheckPrefix tells whether prefix can stand in front of a subject: plain tokens
// separated by dots.
func CheckPrefix(prefix string) error {
	if len(prefix) > maxPrefixBytes {
		return fmt.Errorf("%q is longer than %d bytes", prefix, maxPrefixBytes)
	}
	for token := range strings.SplitSeq(prefix, ".") {
		if err := CheckToken(token); err != nil {
			return err
		}
	}
	return nil
}

// Token makes exactly one subject token of any value. What NATS gives a meaning
// to, and what cannot be seen, becomes "_"; nothing becomes "unknown"; a long
// value is cut and ends in a hash of the whole, so that two stay two.
// (NATS documentation, "Subject-Based Messaging": characters allowed.)
func Token(value string) string {
	if value == "" {
		return unknownToken
	}
	if isPlainToken(value) {
		return value
	}
	clean := strings.Map(tokenRune, strings.ToValidUTF8(value, "_"))
	if clean[0] == '$' {
		clean = "_" + clean[1:]
	}
	if len(clean) <= maxTokenBytes {
		return clean
	}
	h := fnv.New64a()
	h.Write([]byte(value))
	suffix := "-" + strconv.FormatUint(h.Sum64(), 36)
	return strings.ToValidUTF8(clean[:maxTokenBytes-len(suffix)], "") + suffix
}

// isPlainToken is the common case, without an allocation.
func isPlainToken(value string) bool {
	if len(value) > maxTokenBytes || value[0] == '$' {
		return false
	}
	for i := 0; i < len(value); i++ {
		if c := value[i]; c <= ' ' || c >= 0x7f || c == '.' || c == '*' || c == '>' {
			return false
		}
	}
	return true
}

func tokenRune(r rune) rune {
	switch {
	case r == '.', r == '*', r == '>', r == utf8.RuneError, unicode.IsSpace(r), !unicode.IsPrint(r):
		return '_'
	}
	return r
}

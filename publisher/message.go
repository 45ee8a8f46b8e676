package publisher

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenduty-bridge/zenduty-bridge/publisher/tracing"
)

// Message is one webhook on its way to JetStream. The strings are as Zenduty
// sent them; empty means missing.
type Message struct {
	ID        string // ce-id, and Nats-Msg-Id unless it is a replay: stable over resends
	Source    string // name of the configured source
	EventType string
	Service   string // incident.service.unique_id
	Incident  string // incident.unique_id
	Time      time.Time

	// Traceparent is the span that publishing it is a child of, and without tracing
	// what its header carries; empty for none.
	Traceparent string

	// Replay is the id of the replay that sends it once more; empty for the first
	// time. JetStream takes it for another message, its readers by ce-id for the same.
	Replay string
	// SubjectPrefix stands, with a dot, in front of the subject; empty: nothing does.
	SubjectPrefix string

	// Quarantined sends it to QuarantinePrefix and the source's name.
	Quarantined bool
	// Canary sends it to CanaryPrefix and the source's name.
	Canary bool

	Data []byte // published unchanged; not modified, and not kept after the outcome
}

// ReplayHeader marks a message that was published before, with the replay's id.
const ReplayHeader = "zenduty-bridge-replay"

// MessageID is m's Nats-Msg-Id: one for the relay, another for each replay.
func (m *Message) MessageID() string {
	if m.Replay == "" {
		return m.ID
	}
	return m.ID + "." + m.Replay
}

// subject is where m goes, the service's alias in place of its id.
func (p *Publisher) subject(m *Message) string {
	if m.SubjectPrefix != "" {
		bare := *m
		bare.SubjectPrefix = ""
		return m.SubjectPrefix + "." + p.subject(&bare)
	}
	if m.Quarantined {
		return QuarantinePrefix + "." + Token(m.Source)
	}
	if m.Canary {
		return CanaryPrefix + "." + Token(m.Source)
	}
	if alias, ok := (*p.services.Load())[m.Service]; ok {
		aliased := *m
		aliased.Service = alias
		return p.opts.Subject.For(&aliased)
	}
	return p.opts.Subject.For(m)
}

// header is CloudEvents 1.0 in NATS binary mode. NATS header names are
// case-sensitive (ADR-4) and these are lower case (CloudEvents NATS binding,
// section 3.1.3), so they must not pass through Header.Set.
func header(m *Message) nats.Header {
	fields := [...]struct{ name, value string }{
		{nats.MsgIdHdr, m.MessageID()},
		{"ce-specversion", "1.0"},
		{"ce-id", m.ID},
		{"ce-source", "/webhooks/" + percentEncode(m.Source)},
		{"ce-type", ceType(m)},
		{"ce-time", m.Time.UTC().Format(time.RFC3339Nano)},
		{"ce-datacontenttype", contentType(m)},
		{"ce-subject", percentEncode(m.Incident)}, // left out when empty
	}
	h := make(nats.Header, len(fields))
	values := make([]string, len(fields)) // one allocation for all
	for i, f := range fields {
		if f.value != "" {
			values[i] = f.value
			h[f.name] = values[i : i+1 : i+1]
		}
	}
	if m.Traceparent != "" {
		h[tracing.Header] = []string{m.Traceparent}
	}
	if m.Replay != "" {
		h[ReplayHeader] = []string{m.Replay}
	}
	return h
}

func ceType(m *Message) string {
	if m.Quarantined {
		return "com.zenduty.quarantine"
	}
	if m.Canary {
		return "com.zenduty.canary"
	}
	return "com.zenduty.incident." + percentEncode(m.EventType)
}

// contentType: what was keyed is JSON; what was quarantined may be anything.
func contentType(m *Message) string {
	if m.Quarantined && !json.Valid(m.Data) {
		return "application/octet-stream"
	}
	return "application/json"
}

const upperHex = "0123456789ABCDEF"

// percentEncode encodes a header value: space, double quote, percent and all but
// printable ASCII (CloudEvents NATS binding, section 3.1.3.2).
func percentEncode(value string) string {
	plain := func(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '%' }
	n := 0
	for n < len(value) && plain(value[n]) {
		n++
	}
	if n == len(value) {
		return value
	}
	var b strings.Builder
	b.WriteString(value[:n])
	for ; n < len(value); n++ {
		if c := value[n]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}

// Package zenduty knows the wire format of Zenduty's webhooks: how one is
// signed, how Python would have rendered it, the fields a receiver needs to route
// it, and all of it for those who consume it. It is pure: no I/O, no clock, no
// logging.
//
// A webhook is a JSON document
//
//	{"payload": {"event_type": "triggered", "incident": {"unique_id": "…", "service": {…}, …}}}
//
// with the header [SignatureHeader] holding the standard base64 of
// HMAC-SHA256(key, message). What the message is, Zenduty's guide gives only as
// Python's json.dumps(data), where "data is the payload of the incoming
// request". That can mean the body as it was sent, the body parsed and rendered
// again, or its "payload" member alone, so [Verifier] knows all three and says
// which one matched, with the exact bytes that were signed:
//
//	v, err := zenduty.NewVerifier(zenduty.ModeAuto, []zenduty.Key{{Name: "2026", Secret: secret}})
//	…
//	match, err := v.Verify(body, r.Header.Get(zenduty.SignatureHeader), time.Now())
//	…
//	fields, err := zenduty.ReadFields(match.Body)
//
// Who subscribes to what the bridge publishes needs [Parse] alone, which makes an
// [Event] of a message's data:
//
//	event, err := zenduty.Parse(msg.Data())
//	…
//	if event.Type == zenduty.EventTriggered && zenduty.Or(event.Incident.Urgency, zenduty.UrgencyHigh) == zenduty.UrgencyHigh {
//		page(event.Incident.Service.Name, event.Incident.Title)
//	}
//
// It is strict in what it promises, a JSON object with an event type, and tolerant
// in the rest: what Zenduty adds or changes is kept in Extra and breaks nobody. A field
// that may be null is a pointer, which [Or] reads with a fallback. The file
// webhook.schema.json describes the same document for other languages.
//
// The bytes in [Match] are all that may be relied on: whatever else the body
// held was not signed.
//
// JSON is read strictly, as RFC 8259 has it: UTF-8 only, no byte order mark, no
// NaN, no raw control characters in strings, one document a body. Documents
// nested deeper than 500 levels are refused everywhere, since bodies are read
// before they are known to be authentic.
package zenduty

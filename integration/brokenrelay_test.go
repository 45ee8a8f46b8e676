package integration

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// brokenRelay carries a load into JetStream as the contract says, and breaks it
// in one place.
type brokenRelay struct {
	t  *testing.T
	js jetstream.JetStream
}

func startBrokenRelay(t *testing.T, natsURL string) *brokenRelay {
	t.Helper()
	r := &brokenRelay{t: t, js: operator(t, natsURL)}
	_, err := r.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "ZENDUTY", Subjects: []string{"zenduty.incident.*.*", "zenduty.quarantine.*"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// message is what the contract makes of an event.
func (e *event) message() *nats.Msg {
	msg := &nats.Msg{Subject: e.subject(), Header: nats.Header{}, Data: e.body}
	for name, value := range e.headers() {
		msg.Header[name] = []string{value}
	}
	return msg
}

func (r *brokenRelay) carry(msgs []*nats.Msg) {
	r.t.Helper()
	for _, msg := range msgs {
		if _, err := r.js.PublishMsg(context.Background(), msg); err != nil {
			r.t.Fatal(err)
		}
	}
}

// The audit finds each fault there can be, in a real stream, and only that.
func TestAuditFindsWhatABrokenRelayDid(t *testing.T) {
	const at = 4 // the second event of the second incident
	for name, c := range map[string]struct {
		broken func(msgs []*nats.Msg) []*nats.Msg
		want   auditReport
	}{
		"nothing": {
			func(msgs []*nats.Msg) []*nats.Msg { return msgs },
			auditReport{expected: 10, found: 12},
		},
		"one left out": {
			func(msgs []*nats.Msg) []*nats.Msg { return slices.Delete(msgs, at, at+1) },
			auditReport{expected: 10, found: 11, lost: []string{"fixture-1/1 acknowledged"}},
		},
		"one that cannot be keyed left out": {
			func(msgs []*nats.Msg) []*nats.Msg { return slices.Delete(msgs, 10, 11) },
			auditReport{expected: 10, found: 11, lost: []string{"odd/1 "}},
		},
		"one sent twice, under another id": {
			func(msgs []*nats.Msg) []*nats.Msg {
				again := nats.Msg{Subject: msgs[at].Subject, Header: nats.Header{"Nats-Msg-Id": {"another"}}, Data: msgs[at].Data}
				return slices.Insert(msgs, 7, &again)
			},
			auditReport{expected: 10, found: 12, doubled: []string{"fixture-1/1 acknowledged"}},
		},
		"two swapped": {
			func(msgs []*nats.Msg) []*nats.Msg {
				msgs[at], msgs[at+1] = msgs[at+1], msgs[at]
				return msgs
			},
			auditReport{expected: 10, found: 12, reordered: []string{"fixture-1/1 acknowledged"}},
		},
		"one byte changed": {
			func(msgs []*nats.Msg) []*nats.Msg {
				msgs[at].Data = bytes.Replace(msgs[at].Data, []byte("acknowledged"), []byte("acknowledgeD"), 1)
				return msgs
			},
			auditReport{expected: 10, found: 12, altered: []string{"fixture-1/1 acknowledged: body"}},
		},
		"another subject": {
			func(msgs []*nats.Msg) []*nats.Msg {
				msgs[at].Subject = "zenduty.incident.acknowledged.elsewhere"
				return msgs
			},
			auditReport{expected: 10, found: 12, altered: []string{"fixture-1/1 acknowledged: subject zenduty.incident.acknowledged.elsewhere"}},
		},
		"another header": {
			func(msgs []*nats.Msg) []*nats.Msg {
				msgs[at].Header["ce-source"] = []string{"/webhooks/other"}
				return msgs
			},
			auditReport{expected: 10, found: 12, altered: []string{"fixture-1/1 acknowledged: ce-source /webhooks/other"}},
		},
		"one that nobody posted": {
			func(msgs []*nats.Msg) []*nats.Msg {
				return append(msgs, &nats.Msg{Subject: "zenduty.quarantine.zenduty", Header: nats.Header{"Nats-Msg-Id": {"odd"}}, Data: []byte("odd")})
			},
			auditReport{expected: 10, found: 12, odd: []string{"zenduty.quarantine.zenduty odd"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := startNATS(t)
			l := answeredLoad(t)
			var msgs []*nats.Msg
			for _, events := range l {
				for _, e := range events {
					msgs = append(msgs, e.message())
				}
			}
			startBrokenRelay(t, n.url()).carry(c.broken(msgs))
			if diff := cmp.Diff(c.want, audit(t, n.url(), l), cmp.AllowUnexported(auditReport{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// answeredLoad is three incidents and three webhooks that cannot be keyed, all but
// the last of either kind answered with 200.
func answeredLoad(t *testing.T) load {
	t.Helper()
	l := append(fixtureLoad(t, 3), unkeyable("odd"))
	for i, events := range l {
		for j, e := range events {
			if i < 2 || j < 2 {
				e.id = fmt.Sprintf("id-%d-%d", i, j)
			}
		}
	}
	return l
}

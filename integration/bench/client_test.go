//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// serve answers each request of one connection with the next of answers.
func serve(t *testing.T, posted func(*http.Request, []byte), answers ...string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		reader := bufio.NewReader(conn)
		for _, answer := range answers {
			request, err := http.ReadRequest(reader)
			if err != nil {
				t.Error(err)
				return
			}
			body, err := io.ReadAll(request.Body)
			if err != nil {
				t.Error(err)
			}
			posted(request, body)
			_, _ = io.WriteString(conn, answer)
		}
	}()
	return l.Addr().String()
}

const (
	accepted = `{"status":"accepted","id":"0"}`
	header   = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n"
)

func testSamples(t *testing.T) [len(kinds)]sample {
	t.Helper()
	samples, err := readSamples("../..")
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

// TestWebhooksAreZendutys holds what is posted against the bridge's own reading.
func TestWebhooksAreZendutys(t *testing.T) {
	const n = 2 * len(kinds) * incidentsAtOnce
	verifier, err := zenduty.NewVerifier(zenduty.ModeRaw, []zenduty.Key{{Name: "default", Secret: signingKey}})
	if err != nil {
		t.Fatal(err)
	}
	bodies, follow := map[string]bool{}, inOrder()
	posted := func(r *http.Request, body []byte) {
		if _, err := verifier.Verify(body, r.Header.Get(zenduty.SignatureHeader), time.Now()); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		fields, err := zenduty.ReadFields(body)
		if err != nil {
			t.Error(err)
		}
		h := nats.Header{"ce-subject": {fields.IncidentID}, "ce-type": {"com.zenduty.incident." + fields.EventType}}
		if err := follow(h); err != nil {
			t.Error(err)
		}
		bodies[string(body)] = true
	}
	answers := make([]string, n)
	for i := range answers {
		answers[i] = header + accepted
	}
	c, err := dial(serve(t, posted, answers...), testSamples(t))
	if err != nil {
		t.Fatal(err)
	}
	for s := newSequence(incidentsAtOnce); s.n < uint64(n); {
		if err := c.post(s.next()); err != nil {
			t.Fatal(err)
		}
	}
	if len(bodies) != n {
		t.Errorf("%d bodies of %d webhooks", len(bodies), n)
	}
}

func TestClientTakesNothingButAcceptance(t *testing.T) {
	for _, test := range []struct{ answer, want string }{
		{header + accepted, ""},
		{strings.Replace(header, "200 OK", "503 Service Unavailable", 1) + accepted, "not accepted"},
		{header + `{"status":"duplicate","id":""}`, "not accepted"},
		{header + accepted + "x", "bytes after"},
		{header + accepted[1:], "no answer"},
		{"HTTP/1.1 200 OK\r\n\r\n" + accepted, "without Content-Length"},
		{"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n" + accepted, "invalid syntax"},
		{strings.Repeat("x", 5000), "too long"},
		{"", "no answer"},
	} {
		c, err := dial(serve(t, func(*http.Request, []byte) {}, test.answer), testSamples(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.post(1, 0); !strings.Contains(fmt.Sprint(err), test.want) || (err == nil) != (test.want == "") {
			t.Errorf("%q: %v, want %q", test.answer, err, test.want)
		}
	}
}

// TestClientAllocatesNothing, since the servers shall have the cores.
func TestClientAllocatesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := dial(l.Addr().String(), testSamples(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { // a server that allocates nothing either
		request, answer := make([]byte, len(c.requests[0].text)), []byte(header+accepted)
		for {
			if _, err := io.ReadFull(conn, request); err != nil {
				return
			}
			_, _ = conn.Write(answer)
		}
	}()
	if n := testing.AllocsPerRun(100, func() {
		if err := c.post(7, 0); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a webhook", n)
	}
}

// event is the header of an incident's event, with that id.
func event(incident string, kind int, id string) nats.Header {
	return nats.Header{nats.MsgIdHdr: {id}, "ce-subject": {incident}, "ce-type": {"com.zenduty.incident." + kinds[kind]}}
}

func TestAudit(t *testing.T) {
	began := time.Unix(0, 0)
	at := func(id string, seconds float64) answer {
		return answer{id, began.Add(time.Duration(seconds * float64(time.Second))), time.Second}
	}
	answers := func() map[string]answer { // a1 and a2 were under way at once
		return map[string]answer{
			"a0": at("a0", 0), "a1": at("a1", 2), "a2": at("a2", 2.5),
			"b0": at("b0", 0), "b1": at("b1", 2), "b2": at("b2", 4),
		}
	}
	for _, test := range []struct {
		name          string
		events        []nats.Header
		closed, fault bool // closed: of a closed loop
	}{
		{"in order", []nats.Header{event("a", 0, ""), event("b", 0, ""), event("a", 1, ""), event("a", 2, "")}, true, false},
		{"gap", []nats.Header{event("a", 0, ""), event("a", 2, "")}, true, true},
		{"doubled", []nats.Header{event("a", 0, ""), event("a", 0, "")}, true, true},
		{"doubled at last", []nats.Header{event("a", 0, ""), event("a", 1, ""), event("a", 2, ""), event("a", 2, "")}, true, true},
		{"no event", []nats.Header{{}}, true, true},
		{"as answered", []nats.Header{event("a", 0, "a0"), event("a", 1, "a1"), event("a", 2, "a2")}, false, false},
		{"under way at once", []nats.Header{event("a", 0, "a0"), event("a", 2, "a2"), event("a", 1, "a1")}, false, false},
		{"behind a later one", []nats.Header{event("a", 1, "a1"), event("a", 0, "a0")}, false, true},
		{"behind the last", []nats.Header{event("a", 2, "a2"), event("a", 1, "a1"), event("a", 0, "a0")}, false, true},
		{"behind the last, the first in its place", []nats.Header{event("b", 0, "b0"), event("b", 2, "b2"), event("b", 1, "b1")}, false, true},
		{"twice", []nats.Header{event("a", 0, "a0"), event("a", 0, "a0")}, false, true},
		{"nobody's", []nats.Header{event("a", 0, "x")}, false, true},
	} {
		follow := asAnswered(answers())
		if test.closed {
			follow = inOrder()
		}
		var err error
		for i := 0; i < len(test.events) && err == nil; i++ {
			err = follow(test.events[i])
		}
		if (err != nil) != test.fault {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

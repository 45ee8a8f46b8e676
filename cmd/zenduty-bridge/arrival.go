package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/tidwall/gjson"

	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// arrival is a webhook as it came from NATS.
type arrival struct {
	Subject  string // that the bridge published it on, also where the live feed brought it
	Sequence uint64 // in the stream; 0 if unknown
	Header   nats.Header
	Body     []byte

	remaining uint64 // later ones that the stream holds already
}

// newArrival reads a message of a core subscription. The live feed's are copies
// whose headers say where in the stream they are (NATS ADR-28).
func newArrival(m *nats.Msg) arrival {
	a := arrival{Subject: m.Subject, Header: m.Header, Body: m.Data}
	if original := m.Header.Get(jetstream.SubjectHeader); original != "" {
		a.Subject = original
	}
	a.Sequence, _ = strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	return a
}

// header returns a header's value. Names are case-sensitive (NATS ADR-4).
func (a arrival) header(name string) string {
	if values := a.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func (a arrival) quarantined() bool {
	return strings.HasPrefix(a.Subject, publisher.QuarantinePrefix+".")
}

// quarantineEvent stands for the event type where a webhook has none.
const quarantineEvent = "quarantine"

// gist is what a person looks for in a webhook. Its texts are the sender's.
type gist struct {
	Event       string
	Number      int64 // 0 if unknown
	Title       string
	ServiceID   string
	ServiceName string
}

// gist reads what is there; a webhook may have any shape.
func (a arrival) gist() gist {
	event := gjson.ParseBytes(a.Body)
	if payload := event.Get("payload"); payload.IsObject() {
		event = payload
	}
	incident := event.Get("incident")
	service := incident.Get("service")
	g := gist{
		Event:  event.Get("event_type").String(),
		Number: incident.Get("incident_number").Int(),
		Title:  incident.Get("title").String(),
	}
	if service.IsObject() {
		g.ServiceID, g.ServiceName = service.Get("unique_id").String(), service.Get("name").String()
	} else {
		g.ServiceID = service.String()
	}
	if a.quarantined() {
		g.Event = quarantineEvent
	}
	return g
}

// time is when it happened, as the header says; zero if it does not.
func (a arrival) time() time.Time {
	t, _ := time.Parse(time.RFC3339Nano, a.header("ce-time"))
	return t
}

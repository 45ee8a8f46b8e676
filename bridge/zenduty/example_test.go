package zenduty_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// A body that a proxy has compacted still verifies, and what is returned is the
// text that was signed.
func ExampleVerifier_Verify() {
	key := zenduty.Key{Name: "current", Secret: "the key Zenduty shows"}
	verifier, err := zenduty.NewVerifier(zenduty.ModeAuto, []zenduty.Key{key})
	if err != nil {
		fmt.Println(err)
		return
	}
	signature := zenduty.Sign(key.Secret, []byte(`{"payload": {"event_type": "triggered"}}`))
	match, err := verifier.Verify([]byte(`{"payload":{"event_type":"triggered"}}`), signature, time.Now())
	fmt.Println(match.Rendering, match.Key, err)
	fmt.Printf("%s\n", match.Body)
	// Output:
	// json.dumps current <nil>
	// {"payload": {"event_type": "triggered"}}
}

func ExampleAppendDumps() {
	rendering, err := zenduty.AppendDumps(nil, []byte(`{"disk":"é 🔥","free":1e-7,"size":1E22}`))
	fmt.Printf("%s %v\n", rendering, err)
	// Output:
	// {"disk": "\u00e9 \ud83d\udd25", "free": 1e-07, "size": 1e+22} <nil>
}

func ExampleReadFields() {
	fields, err := zenduty.ReadFields([]byte(`{"payload": {"event_type": "resolved", "incident": {
		"unique_id": "vuwtGfyHf9JaN5vg5sEc4N", "incident_number": 217, "resolved_date": "2020-05-28T16:46:46Z"}}}`))
	fmt.Println(fields.EventType, fields.IncidentID, fields.IncidentNumber, fields.Time, err)
	// Output:
	// resolved vuwtGfyHf9JaN5vg5sEc4N 217 2020-05-28 16:46:46 +0000 UTC <nil>
}

// A consumer reads what it needs. What Zenduty adds one day, or this package does
// not know, is there too.
func ExampleParse() {
	event, err := zenduty.Parse([]byte(`{"payload": {"event_type": "acknowledged", "incident": {
		"unique_id": "vuwtGfyHf9JaN5vg5sEc4N", "incident_number": 217, "title": "Disk full", "status": 2, "urgency": 1,
		"acknowledged_date": "2020-05-25T11:18:55Z", "resolved_date": null, "assigned_to": {"username": "fe07dd6c", "first_name": "Dwight"},
		"service": {"unique_id": "e84d78d1", "name": "ZD Prod", "sla": null}, "tags": ["disk"]}}}`))
	if err != nil {
		fmt.Println(err) // no JSON object, or without an event type
		return
	}
	incident := event.Incident
	fmt.Printf("#%d %s (%s): %s\n", incident.Number, incident.Title, incident.Urgency, incident.Status)
	fmt.Println("service:", incident.Service.Name)
	if incident.AssignedTo != nil {
		fmt.Println("assigned to:", incident.AssignedTo.FirstName)
	}
	fmt.Println("at:", event.Time())
	if incident.ResolvedDate == nil {
		fmt.Println("not resolved")
	}
	fmt.Println("SLA:", zenduty.Or(incident.Service.SLA, "none"))
	fmt.Printf("tags: %s\n", incident.Extra["tags"])
	// Output:
	// #217 Disk full (high): acknowledged
	// service: ZD Prod
	// assigned to: Dwight
	// at: 2020-05-25 11:18:55 +0000 UTC
	// not resolved
	// SLA: none
	// tags: ["disk"]
}

// An urgency that is null or missing is not a low one: what it counts as is for the
// consumer to say.
func ExampleOr() {
	for _, urgency := range []string{`"urgency": 0`, `"urgency": null`, `"title": "without"`} {
		event, err := zenduty.Parse([]byte(`{"event_type": "triggered", "incident": {` + urgency + `}}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(zenduty.Or(event.Incident.Urgency, zenduty.UrgencyHigh))
	}
	// Output:
	// low
	// high
	// high
}

// An event is written as it was read: unknown members are there, what was null is null,
// what was missing is missing.
func ExampleEvent_MarshalJSON() {
	event, err := zenduty.Parse([]byte(`{"event_type": "triggered", "level": 2, "incident": {"title": "Disk full", "urgency": null}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	event.Incident.Title = "The disk is full"
	doc, err := json.Marshal(event)
	fmt.Printf("%s %v\n", doc, err)
	// Output:
	// {"event_type":"triggered","incident":{"title":"The disk is full","urgency":null},"level":2} <nil>
}

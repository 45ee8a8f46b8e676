package zenduty_test

import (
	"fmt"

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
	match, err := verifier.Verify([]byte(`{"payload":{"event_type":"triggered"}}`), signature)
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

package publisher

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

// Aliases hold for what is published after they were set.
func TestSetServices(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), func(o *Options) { o.Services = map[string]string{"svc": "checkout"} })
	ensure(t, p)
	for n, test := range []struct {
		aliases map[string]string
		want    string
	}{
		{map[string]string{"svc": "checkout"}, "checkout"}, // as in Options
		{map[string]string{"svc": "payment"}, "payment"},
		{map[string]string{"other": "payment"}, "svc"},
		{nil, "svc"},
	} {
		if n > 0 {
			p.SetServices(test.aliases)
		}
		if r := send(t, p, incident(test.want+strconv.Itoa(n))); r.err != nil {
			t.Fatal(r.err)
		}
		got, err := stream(t, s.ClientURL()).GetLastMsgForSubject(t.Context(), "zenduty.incident.triggered.*")
		if err != nil || got.Subject != "zenduty.incident.triggered."+test.want {
			t.Errorf("%v: %+v, %v", test.aliases, got, err)
		}
	}
}

func TestHeader(t *testing.T) {
	at := time.Date(2020, 5, 21, 19, 42, 16, 372614000, time.FixedZone("", 3600))
	for _, test := range []struct {
		name    string
		message Message
		want    nats.Header
	}{
		{"incident", Message{ID: "id1", Source: "zenduty", EventType: "triggered", Service: "s", Incident: "vuwt", Time: at, Data: []byte("{}")}, nats.Header{
			"Nats-Msg-Id": {"id1"}, "ce-specversion": {"1.0"}, "ce-id": {"id1"}, "ce-source": {"/webhooks/zenduty"},
			"ce-type": {"com.zenduty.incident.triggered"}, "ce-subject": {"vuwt"}, "ce-time": {"2020-05-21T18:42:16.372614Z"},
			"ce-datacontenttype": {"application/json"},
		}},
		{"hostile values are percent-encoded, a missing incident is left out", Message{ID: "id2", Source: "zenduty", EventType: "a b\"%\r\né", Time: at, Data: []byte("{}")}, nats.Header{
			"Nats-Msg-Id": {"id2"}, "ce-specversion": {"1.0"}, "ce-id": {"id2"}, "ce-source": {"/webhooks/zenduty"},
			"ce-type": {"com.zenduty.incident.a%20b%22%25%0D%0A%C3%A9"}, "ce-time": {"2020-05-21T18:42:16.372614Z"},
			"ce-datacontenttype": {"application/json"},
		}},
		{"quarantined, not JSON", Message{ID: "id3", Source: "other", Quarantined: true, Time: at, Data: []byte("hello")}, nats.Header{
			"Nats-Msg-Id": {"id3"}, "ce-specversion": {"1.0"}, "ce-id": {"id3"}, "ce-source": {"/webhooks/other"},
			"ce-type": {"com.zenduty.quarantine"}, "ce-time": {"2020-05-21T18:42:16.372614Z"},
			"ce-datacontenttype": {"application/octet-stream"},
		}},
		{"replayed: another message of the same event", Message{ID: "id4", Replay: "r1", Source: "zenduty", EventType: "triggered", Time: at, Data: []byte("{}")}, nats.Header{
			"Nats-Msg-Id": {"id4.r1"}, "zenduty-bridge-replay": {"r1"}, "ce-specversion": {"1.0"}, "ce-id": {"id4"}, "ce-source": {"/webhooks/zenduty"},
			"ce-type": {"com.zenduty.incident.triggered"}, "ce-time": {"2020-05-21T18:42:16.372614Z"},
			"ce-datacontenttype": {"application/json"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, header(&test.message)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzPercentEncode(f *testing.F) {
	for _, seed := range []string{"", "plain", "a b", "%", "\"", "é", "\x00\xff\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := percentEncode(value)
		for _, c := range []byte(got) {
			if c <= ' ' || c >= 0x7f || c == '"' {
				t.Fatalf("percentEncode(%q) = %q holds %q", value, got, c)
			}
		}
		if back := percentDecode(t, got); back != value {
			t.Errorf("%q came back as %q", value, back)
		}
	})
}

// percentDecode is the receiver's half, written apart from the encoder.
func percentDecode(t *testing.T, value string) string {
	t.Helper()
	parts := strings.Split(value, "%")
	var b strings.Builder
	b.WriteString(parts[0])
	for _, part := range parts[1:] {
		high, low := strings.IndexByte(upperHex, part[0]), strings.IndexByte(upperHex, part[1])
		b.WriteByte(byte(high<<4 | low))
		b.WriteString(part[2:])
	}
	return b.String()
}

package integration

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

// doctorSays is what doctor printed, and its exit code.
type doctorSays struct {
	Findings []struct{ Check, Severity, What, Why, Remedy string }
	Errors   int
	Warnings int
	code     int
}

// ofTheMachine are checks whose outcome is the test machine's.
var ofTheMachine = []string{"clock", "disk_free", "disk_kind", "disk_fsync"}

// found are the findings that are not ok, as "check severity", but for the machine's.
func (d doctorSays) found() []string {
	list := []string{}
	for _, f := range d.Findings {
		if f.Severity != "ok" && !slices.Contains(ofTheMachine, f.Check) {
			list = append(list, f.Check+" "+f.Severity)
		}
	}
	return list
}

// doctor runs zenduty-bridge doctor. Unless the arguments say otherwise no bridge runs.
func doctor(t *testing.T, args ...string) (d doctorSays) {
	t.Helper()
	cmd := exec.Command(bridgeBinary, append([]string{"doctor", "--json", "--admin", "http://127.0.0.1:1", "--data-dir", filepath.Join(t.TempDir(), "data")}, args...)...)
	cmd.Env = append(os.Environ(), "ZENDUTY_SIGNING_KEY="+signingKey, "NATS_URL=")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &d); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d.code = cmd.ProcessState.ExitCode()
	if (d.code == 1) != (d.Errors > 0) || d.code > 1 {
		t.Errorf("exit code %d with %d errors", d.code, d.Errors)
	}
	return d
}

// startRoomyNATS runs a nats-server that takes the largest webhook.
func startRoomyNATS(t *testing.T) *natsProcess {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(conf, []byte("max_payload: 1088KiB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return startNATS(t, "-c", conf)
}

// at are the arguments that say where a bridge is.
func (b *bridgeProcess) at(natsURL string) []string {
	return []string{"--admin", b.admin, "--url", strings.TrimSuffix(b.url, "/webhooks/zenduty"), "--nats-url", natsURL}
}

func TestDoctorFindsNothing(t *testing.T) {
	t.Parallel()
	n := startRoomyNATS(t)
	b := startQuick(t, n.url(), "--nats-stream-duplicate-window", "2m")
	eventually(t, time.Minute, "the stream is made", func() bool { return b.said("stream made") > 0 })
	d := doctor(t, append(b.at(n.url()), "--nats-stream-duplicate-window", "2m")...)
	if got := d.found(); len(got) != 0 {
		t.Errorf("found %v", d.Findings)
	}
	canary := d.Findings[len(d.Findings)-1]
	if canary.Check != "canary" || !strings.Contains(canary.What, "was in the stream, as 1") {
		t.Errorf("%+v", canary)
	}
	if got := b.metric(`zenduty_bridge_webhooks_total{outcome="canary",source="zenduty"}`); got != 1 {
		t.Errorf("%v canaries are counted", got)
	}
	b.awaitDelivered()
}

// Each stream that somebody else made badly is found to be just that.
func TestDoctorFindsBadStreams(t *testing.T) {
	t.Parallel()
	n := startRoomyNATS(t)
	js := operator(t, n.url())
	for name, c := range map[string]struct {
		make func(*jetstream.StreamConfig)
		want []string
	}{
		"memory":               {func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, []string{"storage error"}},
		"no_ack":               {func(c *jetstream.StreamConfig) { c.NoAck = true }, []string{"no_ack error"}},
		"async":                {func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }, []string{"persist_mode error"}},
		"max_msg_size":         {func(c *jetstream.StreamConfig) { c.MaxMsgSize = 4096 }, []string{"max_msg_size error"}},
		"interest":             {func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }, []string{"retention error"}},
		"quarantine not taken": {func(c *jetstream.StreamConfig) { c.Subjects = c.Subjects[:1] }, []string{"subjects error"}},
		"canaries not taken":   {func(c *jetstream.StreamConfig) { c.Subjects = c.Subjects[:2] }, []string{"subjects warning"}},
		"good":                 {func(*jetstream.StreamConfig) {}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			stream := jetstream.StreamConfig{
				Name: "ZENDUTY", Subjects: []string{"zenduty.incident.*.*", "zenduty.quarantine.*", "zenduty.canary.*"},
				RePublish: &jetstream.RePublish{Source: "zenduty.incident.*.*", Destination: "zenduty.incident.{{wildcard(1)}}"},
			}
			c.make(&stream)
			if _, err := js.CreateStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = js.DeleteStream(t.Context(), "ZENDUTY") }()
			d := doctor(t, "--nats-url", n.url())
			if diff := cmp.Diff(append([]string{"bridge warning"}, c.want...), d.found()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDoctorWithoutNATS(t *testing.T) {
	t.Parallel()
	if got := doctor(t, "--nats-url", "nats://"+freeAddress(t)); !slices.Equal(got.found(), []string{"bridge warning", "nats error"}) || got.code != 1 {
		t.Errorf("%+v", got)
	}
}

func TestDoctorWithWrongCredentials(t *testing.T) {
	t.Parallel()
	conf := filepath.Join(t.TempDir(), "nats.conf")
	writeUsers(t, conf, publishNever)
	n := startNATS(t, "-c", conf)
	d := doctor(t, "--nats-url", "nats://bridge:wrong@"+n.address)
	if got := d.found(); !slices.Equal(got, []string{"bridge warning", "nats error"}) || !strings.Contains(d.Findings[len(d.Findings)-2].Remedy, "nats.credentials_file") {
		t.Errorf("%+v", d)
	}
	d = doctor(t, "--nats-url", "nats://bridge:carries@"+n.address)
	want := []string{"bridge warning", "rights error", "rights error", "rights warning", "stream warning", "max_payload warning"}
	if diff := cmp.Diff(want, d.found()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A running bridge tells what changes, once, and canaries go through it meanwhile.
func TestServeAudits(t *testing.T) {
	t.Parallel()
	n := startRoomyNATS(t)
	b := startBridge(t, t.TempDir(), "--nats-url", n.url(), "--audit-interval", "1s", "--audit-canary-interval", "1s")
	const noAck = `zenduty_bridge_audit_findings{check="no_ack",severity="error"}`
	lastRun := func() float64 { return b.metric("zenduty_bridge_audit_last_run_timestamp_seconds") }
	looks := func(n int) {
		for range n {
			before := lastRun()
			eventually(t, 20*time.Second, "an audit", func() bool { return lastRun() > before })
		}
	}
	looks(2)
	eventually(t, 20*time.Second, "a canary has come back", func() bool {
		return b.metric("zenduty_bridge_canary_last_success_timestamp_seconds") > 0
	})
	if b.metric(noAck) != 0 || b.metric("zenduty_bridge_canary_failures_total") != 0 || b.metric("zenduty_bridge_disk_free_bytes") == 0 {
		t.Error("a fault is exported where there is none")
	}
	editStream(t, n.url(), func(c *jetstream.StreamConfig) { c.NoAck = true })
	looks(3)
	if status, text := b.get("/api/v1/audit"); status != http.StatusOK || !strings.Contains(text, "no_ack") {
		t.Errorf("/api/v1/audit: %d %s", status, text)
	}
	if b.metric(noAck) != 1 || b.said("audit: the stream acknowledges nothing (no_ack)") != 1 {
		t.Errorf("exported %v, logged %d times", b.metric(noAck), b.said("audit: the stream acknowledges nothing (no_ack)"))
	}
	editStream(t, n.url(), func(c *jetstream.StreamConfig) { c.NoAck = false })
	looks(2)
	if b.metric(noAck) != 0 || b.said("audit: it is mended") == 0 {
		t.Error("it is mended, and not said to be")
	}
	n.kill()
	eventually(t, 20*time.Second, "a canary that fails", func() bool { return b.metric("zenduty_bridge_canary_failures_total") > 0 })
	eventually(t, 30*time.Second, "no canary is pending", func() bool { return b.metric(`zenduty_bridge_spool_records{state="pending"}`) == 0 })
	if err := b.stop(); err != nil {
		t.Error(err)
	}
}

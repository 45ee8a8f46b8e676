package publisher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

// asMade are the facts of a stream as the bridge makes it, on a server that takes its
// largest webhook.
func asMade() facts {
	opts := Options{}.withDefaults()
	return facts{
		opts: opts, maxBody: 1 << 20, maxPayload: 1<<20 + HeaderRoom,
		account: &jetstream.AccountInfo{Tier: jetstream.Tier{Limits: jetstream.AccountLimits{MaxStore: -1, MaxStreams: -1}}},
		stream:  &jetstream.StreamInfo{Config: opts.streamConfig()},
	}
}

// wrong are the findings that are not OK, as "check severity".
func wrong(t *testing.T, found []Finding) (list []string) {
	t.Helper()
	for _, f := range found {
		if f.Severity == SeverityOK {
			if f.What == "" || f.Why != "" || f.Remedy != "" {
				t.Errorf("%s: OK, and yet %+v", f.Check, f)
			}
			continue
		}
		if f.What == "" || f.Why == "" || f.Remedy == "" || strings.Contains(fmt.Sprint(f), "%!") {
			t.Errorf("%s does not say what, why and what to do: %+v", f.Check, f)
		}
		list = append(list, f.Check+" "+string(f.Severity))
	}
	return list
}

func inCluster(f *facts, replicas int, peers ...*jetstream.PeerInfo) {
	f.cluster, f.servers = "C", 3
	f.opts.Stream.Replicas, f.stream.Config.Replicas = replicas, replicas
	f.stream.Cluster = &jetstream.ClusterInfo{Name: "C", Replicas: peers}
}

// Each bad configuration gives exactly its finding, and what is not bad gives none.
func TestAudit(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *facts, c *jetstream.StreamConfig)
		want   []string
	}{
		"as the bridge makes it": {func(*facts, *jetstream.StreamConfig) {}, nil},
		"memory":                 {func(_ *facts, c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, []string{"storage error"}},
		"async":                  {func(_ *facts, c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }, []string{"persist_mode error"}},
		"no acknowledgements":    {func(_ *facts, c *jetstream.StreamConfig) { c.NoAck = true }, []string{"no_ack error"}},
		"sealed":                 {func(_ *facts, c *jetstream.StreamConfig) { c.Sealed = true }, []string{"sealed error"}},
		"incidents not taken": {func(_ *facts, c *jetstream.StreamConfig) {
			c.Subjects = []string{"zenduty.incident.triggered.*", "zenduty.quarantine.>", "zenduty.canary.*"}
		}, []string{"subjects error"}},
		"quarantine not taken": {func(_ *facts, c *jetstream.StreamConfig) {
			c.Subjects = []string{"zenduty.incident.>", "zenduty.canary.*"}
		}, []string{"subjects error"}},
		"no subjects": {func(_ *facts, c *jetstream.StreamConfig) { c.Subjects = nil }, []string{"subjects error"}},
		"canaries not taken": {func(_ *facts, c *jetstream.StreamConfig) {
			c.Subjects = []string{"zenduty.incident.*.*", "zenduty.quarantine.*"}
		}, []string{"subjects warning"}},
		"other subjects besides": {func(_ *facts, c *jetstream.StreamConfig) { c.Subjects = []string{"zenduty.>"} }, nil},
		"interest":               {func(_ *facts, c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }, []string{"retention error"}},
		"work queue":             {func(_ *facts, c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }, []string{"retention warning"}},
		"discard new, no limit":  {func(_ *facts, c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew }, nil},
		"discard new": {func(f *facts, c *jetstream.StreamConfig) {
			c.Discard, c.MaxBytes, f.opts.Stream.MaxBytes = jetstream.DiscardNew, 1<<30, 1<<30
		}, []string{"discard warning"}},
		"bounded on purpose": {func(f *facts, c *jetstream.StreamConfig) { c.MaxBytes, f.opts.Stream.MaxBytes = 1<<30, 1<<30 }, nil},
		"messages counted":   {func(_ *facts, c *jetstream.StreamConfig) { c.MaxMsgs = 1000 }, []string{"limits warning"}},
		"last per subject":   {func(_ *facts, c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, []string{"limits warning"}},
		"short window":       {func(_ *facts, c *jetstream.StreamConfig) { c.Duplicates = 9 * time.Second }, []string{"duplicate_window warning"}},
		"short window on purpose": {func(f *facts, c *jetstream.StreamConfig) {
			c.Duplicates, f.opts.Stream.DuplicateWindow = time.Second, time.Second
		}, []string{"duplicate_window warning"}},
		"another window":          {func(_ *facts, c *jetstream.StreamConfig) { c.Duplicates = time.Minute }, []string{"drift warning"}},
		"messages of 1 MiB":       {func(_ *facts, c *jetstream.StreamConfig) { c.MaxMsgSize = 1 << 20 }, []string{"max_msg_size warning"}},
		"messages of 16 KiB":      {func(_ *facts, c *jetstream.StreamConfig) { c.MaxMsgSize = 16 << 10 }, []string{"max_msg_size error"}},
		"messages large enough":   {func(_ *facts, c *jetstream.StreamConfig) { c.MaxMsgSize = 1<<20 + HeaderRoom }, nil},
		"NATS's default payload":  {func(f *facts, _ *jetstream.StreamConfig) { f.maxPayload = 1 << 20 }, []string{"max_payload warning"}},
		"a small payload":         {func(f *facts, _ *jetstream.StreamConfig) { f.maxPayload = 4096 }, []string{"max_payload error"}},
		"small webhooks":          {func(f *facts, _ *jetstream.StreamConfig) { f.maxPayload, f.maxBody = 8192+HeaderRoom, 8192 }, nil},
		"one copy in a cluster":   {func(f *facts, _ *jetstream.StreamConfig) { inCluster(f, 1) }, []string{"replicas warning"}},
		"two copies in a cluster": {func(f *facts, _ *jetstream.StreamConfig) { inCluster(f, 2) }, []string{"replicas warning"}},
		"three copies":            {func(f *facts, _ *jetstream.StreamConfig) { inCluster(f, 3, &jetstream.PeerInfo{Current: true}) }, nil},
		"fewer copies than asked": {func(f *facts, c *jetstream.StreamConfig) { inCluster(f, 5); c.Replicas = 3 }, []string{"drift warning"}},
		"a copy behind":           {func(f *facts, _ *jetstream.StreamConfig) { inCluster(f, 3, &jetstream.PeerInfo{Name: "n2"}) }, []string{"replicas warning"}},
		"a copy away": {func(f *facts, _ *jetstream.StreamConfig) {
			inCluster(f, 3, &jetstream.PeerInfo{Name: "n2", Current: true, Offline: true})
		}, []string{"replicas warning"}},
		"NATS's clock ahead":    {func(f *facts, _ *jetstream.StreamConfig) { f.skew = 3 * time.Second }, []string{"nats_clock warning"}},
		"NATS's clock behind":   {func(f *facts, _ *jetstream.StreamConfig) { f.skew = -time.Hour }, []string{"nats_clock warning"}},
		"a slow answer":         {func(f *facts, _ *jetstream.StreamConfig) { f.skew, f.roundTrip = 3*time.Second, 4*time.Second }, nil},
		"no live feed":          {func(_ *facts, c *jetstream.StreamConfig) { c.RePublish = nil }, []string{"drift warning"}},
		"shorter life":          {func(_ *facts, c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, []string{"drift warning"}},
		"somebody else's":       {func(_ *facts, c *jetstream.StreamConfig) { c.Metadata = nil }, nil},
		"somebody else's limit": {func(_ *facts, c *jetstream.StreamConfig) { c.Metadata, c.MaxBytes = nil, 1<<20 }, []string{"drift warning"}},
		"limits not told":       {func(f *facts, _ *jetstream.StreamConfig) { f.account = nil }, nil},
		"account nearly full":   {func(f *facts, _ *jetstream.StreamConfig) { f.account.Store, f.account.Limits.MaxStore = 80, 100 }, []string{"account warning"}},
		"account half full":     {func(f *facts, _ *jetstream.StreamConfig) { f.account.Store, f.account.Limits.MaxStore = 50, 100 }, nil},
		"the tier is what counts": {func(f *facts, _ *jetstream.StreamConfig) {
			full := jetstream.Tier{Store: 9, Limits: jetstream.AccountLimits{MaxStore: 10}}
			f.account.Tiers = map[string]jetstream.Tier{"R1": full, "R3": {}}
		}, []string{"account warning"}},
		"copies on a server that is no cluster": {func(f *facts, _ *jetstream.StreamConfig) { f.stream, f.opts.Stream.Replicas = nil, 3 }, []string{"replicas error"}},
		"copies in a cluster, not made yet": {func(f *facts, _ *jetstream.StreamConfig) {
			f.stream, f.opts.Stream.Replicas, f.cluster = nil, 3, "C"
		}, nil},
		"no stream": {func(f *facts, _ *jetstream.StreamConfig) { f.stream = nil }, nil},
		"no stream, and no room for one": {func(f *facts, _ *jetstream.StreamConfig) {
			f.stream, f.account.Streams, f.account.Limits.MaxStreams = nil, 2, 2
		}, []string{"account error"}},
		"no stream, and none without a limit": {func(f *facts, _ *jetstream.StreamConfig) {
			f.stream, f.account.Limits.MaxBytesRequired = nil, true
		}, []string{"account error"}},
		"two faults": {func(_ *facts, c *jetstream.StreamConfig) { c.Storage, c.NoAck = jetstream.MemoryStorage, true }, []string{"storage error", "no_ack error"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := asMade()
			c.change(&f, &f.stream.Config)
			if diff := cmp.Diff(c.want, wrong(t, audit(f))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Three copies are not what to ask for of two servers: NATS refuses them.
func TestMoreCopiesNeedServers(t *testing.T) {
	for servers, first := range map[int]bool{1: true, 2: true, 3: false, 5: false} {
		for copies := 1; copies <= 2; copies++ {
			f := asMade()
			inCluster(&f, copies)
			f.servers = servers
			if got := f.checkReplicas(); strings.HasPrefix(got.Remedy, "add servers") != first {
				t.Errorf("%d copies on %d servers: %s", copies, servers, got.Remedy)
			}
		}
	}
}

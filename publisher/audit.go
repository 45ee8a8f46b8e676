package publisher

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Finding is what a check of an audit found. Its JSON form is part of the operator's API.
type Finding struct {
	Check    string   `json:"check"`        // a short constant, a metric's label
	On       string   `json:"on,omitempty"` // what it is of, where a check looks at several: a source, a subject
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Why      string   `json:"why,omitempty"`    // it matters; not of what is as it should be
	Remedy   string   `json:"remedy,omitempty"` // likewise
	// Unknown: the check could not be made. Whatever an earlier one found may still be so.
	Unknown bool `json:"unknown,omitempty"`
}

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	SeverityOK      Severity = "ok"      // it is as it should be
	SeverityWarning Severity = "warning" // it will hurt when something else happens
	SeverityError   Severity = "error"   // webhooks are, or are about to be, lost, refused or stuck
)

// fine is a finding of what is as it should be.
func fine(check, format string, args ...any) Finding {
	return Finding{Check: check, Severity: SeverityOK, What: fmt.Sprintf(format, args...)}
}

// unknown is a finding of what could not be looked at, and need not be.
func unknown(check, format string, args ...any) Finding {
	finding := fine(check, format, args...)
	finding.Unknown = true
	return finding
}

// facts are what NATS says of itself, and what it is to be held against.
type facts struct {
	opts    Options
	maxBody int64 // bytes of the largest webhook that is taken

	maxPayload int64 // bytes, of a message
	cluster    string
	servers    int // addresses of the cluster's servers that are known; some may be of the same one
	skew       time.Duration
	roundTrip  time.Duration          // bounds how exact skew is
	account    *jetstream.AccountInfo // nil: not known
	stream     *jetstream.StreamInfo  // nil: not known, or there is none
}

// audit holds facts against what durability asks for. It is pure: a stream as the
// bridge makes it gives no finding but SeverityOK.
func audit(f facts) []Finding {
	found := []Finding{f.checkPayload(), f.checkAccount()}
	switch {
	case f.stream == nil && f.cluster == "" && f.opts.Stream.Replicas > 1:
		return append(found, f.copiesWithoutCluster())
	case f.stream == nil:
		return found
	}
	have := f.stream.Config
	found = append(found,
		checkStorage(have), checkPersistMode(have), checkAcks(have), checkSealed(have),
		f.checkSubjects(), checkRetention(have), checkDiscard(have), checkLimits(have),
		f.checkWindow(), f.checkMessageSize(), f.checkReplicas(), f.checkClock())
	return append(found, f.checkDrift(found))
}

const (
	remakeStream = "it cannot be changed: copy the stream (nats stream backup), stop the bridge, delete the stream, start the bridge, which makes it as it should be and sends again what its history (spool.retention) has"

	// HeaderRoom is what subject and headers may need beside the largest body, in
	// bytes: the most that JetStream takes.
	HeaderRoom = 64 << 10
	// usualBody is far above the webhooks that Zenduty sends, of about 1.3 kB.
	usualBody = 64 << 10
)

func checkStorage(have jetstream.StreamConfig) Finding {
	if have.Storage == jetstream.FileStorage {
		return fine("storage", "the stream is kept in files")
	}
	return Finding{
		Check: "storage", Severity: SeverityError, What: "the stream is kept in memory",
		Why:    "NATS acknowledges a webhook and forgets it when it restarts; the bridge sends again no more than its history has, and consumers see everything once more",
		Remedy: remakeStream,
	}
}

func checkPersistMode(have jetstream.StreamConfig) Finding {
	if have.PersistMode == jetstream.DefaultPersistMode {
		return fine("persist_mode", "a webhook is written before it is acknowledged")
	}
	return Finding{
		Check: "persist_mode", Severity: SeverityError, What: "the stream's persist_mode is async",
		Why:    "NATS acknowledges a webhook before it is written (ADR-56), whatever its sync_interval: when the server dies, acknowledged webhooks are gone",
		Remedy: remakeStream,
	}
}

func checkAcks(have jetstream.StreamConfig) Finding {
	if !have.NoAck {
		return fine("no_ack", "the stream acknowledges what it takes")
	}
	return Finding{
		Check: "no_ack", Severity: SeverityError, What: "the stream acknowledges nothing (no_ack)",
		Why:    "the bridge never learns that a webhook has arrived: it stays on disk and is looked for and sent again for ever",
		Remedy: "nats stream edit " + have.Name + " --ack",
	}
}

func checkSealed(have jetstream.StreamConfig) Finding {
	if !have.Sealed {
		return fine("sealed", "the stream is open")
	}
	return Finding{
		Check: "sealed", Severity: SeverityError, What: "the stream is sealed",
		Why: "it takes nothing any more; webhooks stay on disk until the spool is full, and are then refused", Remedy: remakeStream,
	}
}

// checkSubjects: whatever the bridge publishes on, the stream must take.
func (f facts) checkSubjects() Finding {
	var missing []string
	for _, subject := range f.opts.subjects() {
		if !coveredBy(f.stream.Config.Subjects, subject) {
			missing = append(missing, subject)
		}
	}
	finding := Finding{
		Check: "subjects", Severity: SeverityError,
		What:   fmt.Sprintf("the stream does not take %s, only %s", strings.Join(missing, ", "), strings.Join(f.stream.Config.Subjects, ", ")),
		Why:    "such webhooks stay on disk until the spool is full, and are then refused",
		Remedy: fmt.Sprintf("nats stream edit %s --subjects=%s", f.stream.Config.Name, strings.Join(f.opts.subjects(), ",")),
	}
	switch {
	case len(missing) == 0:
		return fine("subjects", "the stream takes %s", strings.Join(f.opts.subjects(), ", "))
	case slices.Equal(missing, []string{CanaryPrefix + ".*"}):
		finding.Severity, finding.Why = SeverityWarning, "no canary can be sent, so that only the next real webhook shows whether the way to NATS is open"
	}
	return finding
}

// takesCanaries tells whether the stream would take one of a source.
func takesCanaries(have jetstream.StreamConfig, source string) bool {
	return coveredBy(have.Subjects, CanaryPrefix+"."+Token(source))
}

func checkRetention(have jetstream.StreamConfig) Finding {
	finding := Finding{Check: "retention", Remedy: remakeStream}
	switch have.Retention {
	case jetstream.InterestPolicy:
		finding.Severity, finding.What = SeverityError, "the stream's retention is interest"
		finding.Why = "NATS throws away on arrival what no consumer is waiting for at that moment, and acknowledges it"
	case jetstream.WorkQueuePolicy:
		finding.Severity, finding.What = SeverityWarning, "the stream's retention is workqueue"
		finding.Why = "a webhook is gone once one consumer has acknowledged it: a second service gets nothing, and nothing can be read again"
	default:
		return fine("retention", "the stream keeps webhooks until its limits")
	}
	return finding
}

func checkDiscard(have jetstream.StreamConfig) Finding {
	if have.Discard == jetstream.DiscardOld || have.MaxMsgs <= 0 && have.MaxBytes <= 0 && have.MaxMsgsPerSubject <= 0 {
		return fine("discard", "a stream at its limits drops its oldest messages and goes on")
	}
	return Finding{
		Check: "discard", Severity: SeverityWarning, What: "a stream at its limits refuses new messages (discard new)",
		Why:    "webhooks then wait on disk until somebody makes room; when the spool is full as well, they are refused",
		Remedy: "nats stream edit " + have.Name + " --discard=old, or watch the stream's size",
	}
}

// checkLimits is about limits that are not of the bridge's making.
func checkLimits(have jetstream.StreamConfig) Finding {
	if have.MaxMsgs <= 0 && have.MaxMsgsPerSubject <= 0 {
		return fine("limits", "the stream does not count its messages")
	}
	return Finding{
		Check: "limits", Severity: SeverityWarning,
		What:   fmt.Sprintf("the stream keeps %s messages at most, %s a subject", orAny(have.MaxMsgs), orAny(have.MaxMsgsPerSubject)),
		Why:    "a burst of webhooks drives out those that a consumer has not read yet; a subject is all of a service's events of one type",
		Remedy: fmt.Sprintf("nats stream edit %s --max-msgs=-1 --max-msgs-per-subject=-1, and bound it by nats.stream.max_bytes or max_age", have.Name),
	}
}

func orAny(limit int64) string {
	if limit <= 0 {
		return "any number of"
	}
	return fmt.Sprint(limit)
}

// checkWindow: below two attempts' time, each attempt without an answer means a look
// through the stream before the next.
func (f facts) checkWindow() Finding {
	have, least := f.stream.Config.Duplicates, 2*f.opts.AckTimeout
	if have >= least {
		return fine("duplicate_window", "NATS knows a webhook again for %s", have)
	}
	return Finding{
		Check: "duplicate_window", Severity: SeverityWarning,
		What:   fmt.Sprintf("NATS knows a webhook again for %s only, and an attempt may take %s (relay.ack_timeout)", have, f.opts.AckTimeout),
		Why:    "whatever is sent twice beyond it is there twice, unless the bridge looks through the stream first, which it does before each further attempt and which takes its time",
		Remedy: fmt.Sprintf("nats.stream.duplicate_window of at least %s (2m is usual); of a stream of your own: nats stream edit %s --dupe-window=2m", least, f.stream.Config.Name),
	}
}

func (f facts) checkMessageSize() Finding {
	limit := int64(f.stream.Config.MaxMsgSize)
	if limit <= 0 {
		return fine("max_msg_size", "the stream takes messages of any size")
	}
	return f.checkSize("max_msg_size", "the stream takes messages of %d bytes at most", limit, "nats stream edit "+f.stream.Config.Name+" --max-msg-size=-1")
}

func (f facts) checkPayload() Finding {
	return f.checkSize("max_payload", "NATS takes messages of %d bytes at most", f.maxPayload,
		fmt.Sprintf("set max_payload: %d in the NATS server's configuration, or ingress.max_body_bytes to less", f.maxBody+HeaderRoom))
}

// checkSize holds a limit of NATS's, headers included, against the largest webhook.
func (f facts) checkSize(check, what string, limit int64, remedy string) Finding {
	if limit >= f.maxBody+HeaderRoom {
		return fine(check, what, limit)
	}
	finding := Finding{
		Check: check, Severity: SeverityWarning,
		What: fmt.Sprintf(what+", and a webhook may have %d (ingress.max_body_bytes) beside its headers", limit, f.maxBody),
		Why:  "larger webhooks are answered with 200, kept in quarantine and never delivered", Remedy: remedy,
	}
	if limit < min(f.maxBody, usualBody) {
		finding.Severity = SeverityError
	}
	return finding
}

// goodCopies is how many can do without one of them.
const goodCopies = 3

func (f facts) checkReplicas() Finding {
	copies := f.stream.Config.Replicas
	finding := Finding{Check: "replicas", Severity: SeverityWarning, Remedy: f.moreCopies()}
	known := fmt.Sprintf("in cluster %s (addresses of servers that are known: %d)", f.cluster, f.servers)
	switch away := f.peersAway(); {
	case f.cluster == "":
		return fine("replicas", "%d copy, on a server that is no cluster", copies)
	case copies == 1:
		finding.What = "one copy, " + known
		finding.Why = "when that server is away nothing is delivered, and when its disk is lost only the bridge's history is left"
	case copies == 2:
		finding.What = "two copies, " + known
		finding.Why = "two need each other for a majority: when either is away nothing is delivered"
	case len(away) > 0:
		finding.What = fmt.Sprintf("%d copies, of which some are not up to date: %s", copies, strings.Join(away, ", "))
		finding.Why = "the next server that fails may stop delivery"
		finding.Remedy = "bring the server back (nats server report jetstream), or wait until it has caught up"
	default:
		return fine("replicas", "%d copies, in cluster %s", copies, f.cluster)
	}
	return finding
}

// moreCopies is how to have goodCopies. That addresses of so many servers are known does not
// prove that there are so many.
func (f facts) moreCopies() string {
	remedy := fmt.Sprintf("nats.stream.replicas: %d (of a stream of your own: nats stream edit %s --replicas=%[1]d); NATS refuses more copies than the cluster has servers", goodCopies, f.stream.Config.Name)
	if f.servers < goodCopies {
		return fmt.Sprintf("add servers to the cluster until it has %d, then ", goodCopies) + remedy
	}
	return remedy
}

// copiesWithoutCluster is of a stream that is not there and cannot be made.
func (f facts) copiesWithoutCluster() Finding {
	return Finding{
		Check: "replicas", Severity: SeverityError, What: fmt.Sprintf("nats.stream.replicas is %d, and the NATS server is no cluster", f.opts.Stream.Replicas),
		Why:    "NATS refuses to make such a stream: webhooks stay on disk until the spool is full, and are then refused",
		Remedy: fmt.Sprintf("nats.stream.replicas: 1, or a cluster of at least %d servers", f.opts.Stream.Replicas),
	}
}

// peersAway are the servers whose copy is offline or behind.
func (f facts) peersAway() (names []string) {
	if f.stream.Cluster == nil {
		return nil
	}
	for _, peer := range f.stream.Cluster.Replicas {
		if peer.Offline || !peer.Current {
			names = append(names, peer.Name)
		}
	}
	return names
}

// maxSkew is how far two clocks may be apart, beside the time of asking.
const maxSkew = 2 * time.Second

func (f facts) checkClock() Finding {
	if f.skew.Abs() <= maxSkew+f.roundTrip/2 {
		return fine("nats_clock", "this machine's clock and NATS's agree to %s", max(f.skew.Abs(), f.roundTrip/2).Round(time.Millisecond))
	}
	direction := "ahead of"
	if f.skew < 0 {
		direction = "behind"
	}
	return Finding{
		Check: "nats_clock", Severity: SeverityWarning,
		What:   fmt.Sprintf("NATS's clock is %s %s this machine's", f.skew.Abs().Round(time.Millisecond), direction),
		Why:    "the times of webhooks, of the stream and of logs do not fit together: what is asked for by time (tail --since, replay) is too much or too little",
		Remedy: "synchronise both machines' clocks (chronyd, systemd-timesyncd)",
	}
}

// checkDrift is about what is left: what differs from a stream of the bridge's and no
// other check has spoken of.
func (f facts) checkDrift(found []Finding) Finding {
	made := f.stream.Config.Metadata[madeByKey] == madeByValue
	drift := slices.DeleteFunc(streamDrift(f.stream.Config, f.opts.streamConfig()), func(one string) bool {
		setting, _, _ := strings.Cut(one, ":")
		return setting == "subjects" || slices.ContainsFunc(found, func(f Finding) bool { return f.Check == setting && f.Severity != SeverityOK })
	})
	finding := Finding{
		Check: "drift", Severity: SeverityWarning, What: "the stream was not made by the bridge, and differs: " + strings.Join(drift, "; "),
		Why:    "the bridge leaves such a stream as it is: the configuration says one thing, NATS does another",
		Remedy: "nats stream edit " + f.stream.Config.Name + ", or set nats.stream.* to what is meant",
	}
	switch {
	case len(drift) == 0 && made:
		return fine("drift", "the stream is as the bridge made it")
	case len(drift) == 0:
		return fine("drift", "the stream was not made by the bridge, and is as it would have made it")
	case made:
		finding.What = "the stream is not as the bridge made it: " + strings.Join(drift, "; ")
		finding.Why = "the bridge puts it right when it connects, and could not or has not yet: the log says why"
	}
	return finding
}

// fullAt is from which share of its limit an account's storage is nearly used up.
const fullAt = 0.8

func (f facts) checkAccount() Finding {
	if f.account == nil {
		return unknown("account", "NATS does not tell the account's limits")
	}
	tier := f.account.Tier
	if of, ok := f.account.Tiers[fmt.Sprintf("R%d", f.opts.Stream.Replicas)]; ok {
		tier = of
	}
	finding := Finding{Check: "account", Severity: SeverityError, Why: "the stream cannot be made: webhooks stay on disk until the spool is full, and are then refused"}
	limits, missing := tier.Limits, f.stream == nil
	switch {
	case limits.MaxStore > 0 && float64(tier.Store) >= fullAt*float64(limits.MaxStore):
		finding.Severity = SeverityWarning
		finding.What = fmt.Sprintf("the account has used %d of its %d bytes of JetStream storage", tier.Store, limits.MaxStore)
		finding.Why = "when it is used up, webhooks stay on disk until the spool is full, and are then refused"
		finding.Remedy = "raise the account's limit, or bound the stream by nats.stream.max_bytes or max_age"
	case missing && limits.MaxStreams > 0 && tier.Streams >= limits.MaxStreams:
		finding.What = fmt.Sprintf("there is no stream %s yet, and the account has all of its %d streams", f.opts.Stream.Name, limits.MaxStreams)
		finding.Remedy = "raise the account's max_streams, or name one of its streams in nats.stream.name"
	case missing && limits.MaxBytesRequired && f.opts.Stream.MaxBytes == 0:
		finding.What = fmt.Sprintf("there is no stream %s yet, and the account wants streams to have a limit in bytes", f.opts.Stream.Name)
		finding.Remedy = "set nats.stream.max_bytes"
	case limits.MaxStore > 0:
		return fine("account", "the account has used %d of its %d bytes of JetStream storage", tier.Store, limits.MaxStore)
	default:
		return fine("account", "the account's JetStream storage is not limited")
	}
	return finding
}

package publisher

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// rights are what a user may do, as $SYS.REQ.USER.INFO says (nats-server,
// Permissions). Nil lists: everything.
type rights struct {
	Publish   *subjectRights `json:"publish"`
	Subscribe *subjectRights `json:"subscribe"`
}

type subjectRights struct {
	Allow []string `json:"allow"`
	Deny  []string `json:"deny"`
}

// extent is how much of a subject with wildcards is permitted.
type extent int

const (
	none extent = iota
	part
	all
)

func (r *subjectRights) on(subject string) extent {
	switch {
	case r == nil:
		return all
	case coveredBy(r.Deny, subject):
		return none
	case len(r.Allow) > 0 && !slices.ContainsFunc(r.Allow, func(allowed string) bool { return meet(allowed, subject) }):
		return none
	case slices.ContainsFunc(r.Deny, func(denied string) bool { return meet(denied, subject) }):
		return part
	case len(r.Allow) > 0 && !coveredBy(r.Allow, subject):
		return part
	}
	return all
}

// need is a right that the bridge uses.
type need struct {
	subscribe bool
	subject   string
	severity  Severity // without it
	why       string
}

// needs are all the rights that the bridge uses, and no more. README.md lists them.
func (opts Options) needs() []need {
	name := opts.Stream.Name
	const held = "webhooks stay on disk until the spool is full, and are then refused"
	const doubled = "a webhook whose acknowledgement was lost for longer than the duplicate window may be published twice, and what NATS loses is not healed"
	api := func(request, of, why string) need {
		return need{subject: apiPrefix + request + of, severity: SeverityWarning, why: why}
	}
	return []need{
		{subject: opts.Subject.Wildcard(), severity: SeverityError, why: held},
		{subject: QuarantinePrefix + ".*", severity: SeverityError, why: "what cannot be keyed waits for ever"},
		{subject: CanaryPrefix + ".*", severity: SeverityWarning, why: "no canary can be sent"},
		{subscribe: true, subject: "_INBOX.>", severity: SeverityError, why: "acknowledgements do not arrive: " + held},
		api(streamInfo, "."+name, doubled),
		api(streamCreate, "."+name, "when the stream is missing the bridge cannot make it"),
		api(streamUpdate, "."+name, "when nats.stream.* or the subjects change, the bridge cannot change its stream"),
		api(streamMsgGet, "."+name, "no canary can be read back; and "+doubled),
		api(consumerCreate, "."+name+".*", doubled),
		api(consumerNext, "."+name+".*", doubled),
		api("INFO", "", "that the account's limits are nearly reached shows only when NATS refuses webhooks"),
		{subject: userInfo, severity: SeverityWarning, why: whyUserInfo},
	}
}

const whyUserInfo = "that another right is missing shows only when it is used"

// auditRights names each right that is missing, or says that none is. r is nil if
// NATS does not tell; err is then why, if it gave a reason.
func auditRights(r *rights, err error, opts Options) []Finding {
	if r == nil && errors.Is(err, ErrNoRights) {
		finding := missing(need{subject: userInfo, severity: SeverityWarning, why: whyUserInfo}, none)
		finding.Unknown = true // what the other rights are
		return []Finding{finding}
	}
	if r == nil {
		return []Finding{unknown("rights", "NATS does not tell what the bridge's user may do")}
	}
	var found []Finding
	for _, n := range opts.needs() {
		granted := r.Publish.on(n.subject)
		if n.subscribe {
			granted = r.Subscribe.on(n.subject)
		}
		if granted != all {
			found = append(found, missing(n, granted))
		}
	}
	if len(found) == 0 {
		found = append(found, fine("rights", "the bridge's user may do all that it has to"))
	}
	return found
}

// missing is the finding of a right that is granted in part, or not at all.
func missing(n need, granted extent) Finding {
	verb := "publish on"
	if n.subscribe {
		verb = "subscribe to"
	}
	finding := Finding{
		Check: "rights", On: n.subject, Severity: n.severity, What: fmt.Sprintf("the bridge's user may not %s %s", verb, n.subject),
		Why: n.why, Remedy: fmt.Sprintf("let it %s %s in the NATS server's configuration (permissions) or the user's JWT", verb, n.subject),
	}
	if granted == part {
		finding.Severity, finding.What = SeverityWarning, fmt.Sprintf("the bridge's user may %s only part of %s", verb, n.subject)
	}
	return finding
}

// coveredBy tells whether one of the patterns matches all that subject matches.
func coveredBy(patterns []string, subject string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return covers(pattern, subject) })
}

// covers tells whether every subject that matches inner matches outer.
func covers(outer, inner string) bool {
	o, i := strings.Split(outer, "."), strings.Split(inner, ".")
	for n := range o {
		switch {
		case n >= len(i):
			return false
		case o[n] == ">":
			return true
		case i[n] == ">", o[n] != "*" && o[n] != i[n]:
			return false
		}
	}
	return len(o) == len(i)
}

// meet tells whether some subject matches both.
func meet(one, other string) bool {
	a, b := strings.Split(one, "."), strings.Split(other, ".")
	for n := range min(len(a), len(b)) {
		switch {
		case a[n] == ">", b[n] == ">":
			return true
		case a[n] != "*" && b[n] != "*" && a[n] != b[n]:
			return false
		}
	}
	return len(a) == len(b)
}

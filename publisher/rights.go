package publisher

import (
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

func (opts Options) needs() []need {
	name := opts.Stream.Name
	const held = "webhooks stay on disk until the spool is full, and are then refused"
	const doubled = "a webhook whose acknowledgement was lost for longer than the duplicate window may be published twice, and what NATS loses is not healed"
	return []need{
		{subject: opts.Subject.Wildcard(), severity: SeverityError, why: held},
		{subject: QuarantinePrefix + ".*", severity: SeverityError, why: "what cannot be keyed waits for ever"},
		{subject: CanaryPrefix + ".*", severity: SeverityWarning, why: "no canary can be sent"},
		{subscribe: true, subject: "_INBOX.>", severity: SeverityError, why: "acknowledgements do not arrive: " + held},
		{subject: "$JS.API.STREAM.INFO." + name, severity: SeverityWarning, why: doubled},
		{subject: "$JS.API.STREAM.CREATE." + name, severity: SeverityWarning, why: "when the stream is missing the bridge cannot make it"},
		{subject: "$JS.API.CONSUMER.CREATE." + name + ".>", severity: SeverityWarning, why: doubled},
		{subject: "$JS.API.CONSUMER.MSG.NEXT." + name + ".>", severity: SeverityWarning, why: doubled},
	}
}

// auditRights names each right that is missing, or says that none is. r is nil if
// NATS does not tell.
func auditRights(r *rights, opts Options) []Finding {
	if r == nil {
		return []Finding{fine("rights", "NATS does not tell what the bridge's user may do")}
	}
	var found []Finding
	for _, n := range opts.needs() {
		verb, granted := "publish on", r.Publish.on(n.subject)
		if n.subscribe {
			verb, granted = "subscribe to", r.Subscribe.on(n.subject)
		}
		if granted == all {
			continue
		}
		finding := Finding{
			Check: "rights", On: n.subject, Severity: n.severity, What: fmt.Sprintf("the bridge's user may not %s %s", verb, n.subject),
			Why: n.why, Remedy: fmt.Sprintf("let it %s %s in the NATS server's configuration (permissions) or the user's JWT", verb, n.subject),
		}
		if granted == part {
			finding.Severity, finding.What = SeverityWarning, fmt.Sprintf("the bridge's user may %s only part of %s", verb, n.subject)
		}
		found = append(found, finding)
	}
	if len(found) == 0 {
		found = append(found, fine("rights", "the bridge's user may do all that it has to"))
	}
	return found
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

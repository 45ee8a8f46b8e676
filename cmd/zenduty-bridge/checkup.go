package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/health"
	"github.com/zenduty-bridge/zenduty-bridge/config"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// checkup looks at what a bridge of a configuration stands on, from doctor or from
// within serve.
type checkup struct {
	cfg     config.Config
	nats    publisher.Options
	ingress string // URL that webhooks are posted to, less /webhooks/<source>
	trust   trusting
	shown   []showing // to who connects to the bridge
}

func (c checkup) disk() health.Disk {
	return health.Disk{Dir: c.cfg.DataDir, Ballast: int64(c.cfg.Spool.BallastBytes), AnswerDeadline: c.cfg.Ingress.AnswerDeadline}
}

// audit writes nothing, neither to the disk nor to NATS.
func (c checkup) audit(ctx context.Context) []publisher.Finding {
	found := append(auditConfig(c.cfg, time.Now()), c.auditCertificates()...)
	found = append(found, c.disk().Check()...)
	return slices.Concat(found, []publisher.Finding{health.CheckClock()}, publisher.Audit(ctx, c.nats, int64(c.cfg.Ingress.MaxBodyBytes)))
}

func (c checkup) auditCertificates() (found []publisher.Finding) {
	for _, s := range c.shown {
		found = append(found, s.audit(time.Now()))
	}
	return found
}

// auditConfig finds what a valid configuration may still have against it.
func auditConfig(c config.Config, now time.Time) []publisher.Finding {
	var unsigned []string
	for _, name := range sourceNames(c) {
		if s := c.Sources[name]; s.Signature == config.SignatureNone && s.BasicAuth == nil {
			unsigned = append(unsigned, name)
		}
	}
	signatures := publisher.Finding{Check: "signature", Severity: publisher.SeverityOK, What: "every source proves who it is"}
	if len(unsigned) > 0 {
		signatures = publisher.Finding{
			Check: "signature", Severity: publisher.SeverityWarning, What: "anybody may post to source " + strings.Join(unsigned, ", "),
			Why:    "whoever reaches the bridge's port can make up incidents",
			Remedy: "give the source keys (sources.<name>.keys), or basic_auth",
		}
	}
	history := publisher.Finding{Check: "history", Severity: publisher.SeverityOK, What: fmt.Sprintf("webhooks are kept for %s after their delivery", c.Spool.Retention)}
	if c.Spool.Retention == 0 {
		history = publisher.Finding{
			Check: "history", Severity: publisher.SeverityWarning, What: "no webhook is kept after its delivery (spool.retention is 0)",
			Why:    "what NATS acknowledges and then loses cannot be sent again, and a webhook that is posted again is not recognised",
			Remedy: "set spool.retention to the longest time in which such a loss would be noticed (24h is usual)",
		}
	}
	return append([]publisher.Finding{signatures, history}, auditKeys(c, now)...)
}

// expiresSoon is how long before its end a key is worth a finding, or a certificate: one
// that is renewed by itself would long have been.
const expiresSoon = 7 * 24 * time.Hour

// auditKeys looks at the times of keys: one finding for all if there is nothing to say.
func auditKeys(c config.Config, now time.Time) (found []publisher.Finding) {
	for _, name := range sourceNames(c) {
		s := c.Sources[name]
		if s.Signature != config.SignatureNone && !hasValidKey(s, now) {
			found = append(found, publisher.Finding{
				Check: "keys", On: name, Severity: publisher.SeverityError, What: "no key of source " + name + " is valid now",
				Why:    "every webhook of the source is refused with 401",
				Remedy: "give the source the key that Zenduty signs with now (sources.<name>.keys), or mend not_before and not_after",
			})
		}
		for _, k := range s.Keys {
			if k.Valid(now) && k.Expired(now.Add(expiresSoon)) {
				found = append(found, publisher.Finding{
					Check: "keys", On: name, Severity: publisher.SeverityWarning,
					What:   fmt.Sprintf("key %s of source %s expires at %s", k.Name, name, k.NotAfter.Format(time.RFC3339)),
					Why:    "what Zenduty signs with it after that is refused with 401",
					Remedy: "see that Zenduty signs with another one by then (zenduty-bridge status shows each key's last use), or move not_after",
				})
			}
		}
	}
	if found == nil {
		found = []publisher.Finding{{Check: "keys", Severity: publisher.SeverityOK, What: "every source has a valid key, and none expires within 7 days"}}
	}
	return found
}

// auditSecrets finds files with secrets that every user of the machine may read.
func auditSecrets(files []config.File) (found []publisher.Finding) {
	for _, f := range files {
		info, err := os.Stat(f.Path)
		if err != nil || !f.Secret || info.Mode().Perm()&0o004 == 0 {
			continue
		}
		found = append(found, publisher.Finding{
			Check: "secrets", On: f.Path, Severity: publisher.SeverityWarning, What: "every user of this machine may read " + f.Path + ", which holds a secret",
			Why: "who has it can post webhooks, or act on the bridge or NATS", Remedy: "take that right away: chmod o-r " + f.Path,
		})
	}
	return found
}

func hasValidKey(s config.Source, now time.Time) bool {
	return slices.ContainsFunc(s.Keys, func(k config.Key) bool { return k.Valid(now) })
}

func sourceNames(c config.Config) []string { return slices.Sorted(maps.Keys(c.Sources)) }

// probeOptions are the publisher's, for a connection that only looks.
func probeOptions(c config.Config) (publisher.Options, error) {
	c.NATS.URL = cmp.Or(c.NATS.URL, "nats://"+reachable(c.NATS.Listen))
	return publisherOptions(c, nil, nil, nil, nil)
}

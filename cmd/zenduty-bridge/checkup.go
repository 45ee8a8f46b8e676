package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

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
}

func (c checkup) disk() health.Disk {
	return health.Disk{Dir: c.cfg.DataDir, Ballast: int64(c.cfg.Spool.BallastBytes), AnswerDeadline: c.cfg.Ingress.AnswerDeadline}
}

// audit writes nothing, neither to the disk nor to NATS.
func (c checkup) audit(ctx context.Context) []publisher.Finding {
	found := append(auditConfig(c.cfg), c.disk().Check()...)
	return slices.Concat(found, []publisher.Finding{health.CheckClock()}, publisher.Audit(ctx, c.nats, int64(c.cfg.Ingress.MaxBodyBytes)))
}

// auditConfig finds what a valid configuration may still have against it.
func auditConfig(c config.Config) []publisher.Finding {
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
	return []publisher.Finding{signatures, history}
}

func sourceNames(c config.Config) []string { return slices.Sorted(maps.Keys(c.Sources)) }

// probeOptions are the publisher's, for a connection that only looks.
func probeOptions(c config.Config) (publisher.Options, error) {
	c.NATS.URL = cmp.Or(c.NATS.URL, "nats://"+reachable(c.NATS.Listen))
	return publisherOptions(c, nil, nil, nil, nil)
}

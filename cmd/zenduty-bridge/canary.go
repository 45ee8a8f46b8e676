package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/config"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

const (
	canaryAnswer = 3 * time.Second  // Zenduty's patience
	canaryWay    = 15 * time.Second // to the stream; longer than a bridge would try
)

// canaries sends one for each source the whole way: HTTP, signature, spool, relay,
// JetStream; and reads it back.
func (c checkup) canaries(ctx context.Context) (found []publisher.Finding) {
	probe, err := publisher.NewProbe(c.nats)
	if err != nil {
		return []publisher.Finding{{
			Check: "canary", Severity: publisher.SeverityError, What: "no canary can be read back: " + err.Error(),
			Why: whyCanary, Remedy: "start NATS, or set nats.url and its credentials as the bridge has them",
			Unknown: true,
		}}
	}
	defer probe.Close()
	for _, name := range sourceNames(c.cfg) {
		found = append(found, c.canary(ctx, probe, name))
	}
	return found
}

const whyCanary = "as a canary, so a webhook: it would not be answered with 200, or not reach those who read the stream"

func (c checkup) canary(ctx context.Context, probe *publisher.Probe, source string) publisher.Finding {
	finding := publisher.Finding{Check: "canary", On: source, Severity: publisher.SeverityError, Why: whyCanary}
	after, err := probe.BeforeCanary(ctx, source)
	finding.Unknown = err != nil // the way was not tried
	switch {
	case errors.Is(err, publisher.ErrNoCanaries):
		finding.Severity, finding.What = publisher.SeverityWarning, fmt.Sprintf("no canary was sent for source %s: %v", source, err)
		finding.Why = "whether the whole way is open shows only by the next real webhook"
		finding.Remedy = "let the stream take " + publisher.CanaryPrefix + ".*"
		return finding
	case err != nil:
		finding.What, finding.Remedy = fmt.Sprintf("no canary was sent for source %s: %v", source, err), "mend what is found of the stream first"
		return finding
	}
	body, began := canaryBody(), time.Now()
	said := c.post(ctx, source, body)
	answered := time.Since(began)
	if !said.taken() || said.Outcome != string(bridge.Accepted) {
		finding.What = fmt.Sprintf("the canary of source %s was answered with %s %s", source, said.status(), said.Outcome)
		finding.Remedy = "see what the bridge logs; the keys, and where it listens (--listen, or --url of doctor), must be those of the bridge that runs"
		return finding
	}
	ctx, cancel := context.WithTimeout(ctx, canaryWay)
	defer cancel()
	sequence, err := probe.ReadCanary(ctx, source, said.ID, body, after)
	if err != nil {
		finding.What = fmt.Sprintf("the canary %s of source %s was taken, but: %v", said.ID, source, err)
		finding.Remedy = "see what the bridge logs of it, and mend what is found of NATS and the stream"
		return finding
	}
	return publisher.Finding{
		Check: "canary", On: source, Severity: publisher.SeverityOK,
		What: fmt.Sprintf("a canary of source %s was answered after %s and was in the stream, as %d, after %s",
			source, answered.Round(10*time.Microsecond), sequence, time.Since(began).Round(10*time.Microsecond)),
	}
}

// canaryBody is another one each time.
func canaryBody() []byte {
	return fmt.Appendf(nil, `{"payload":{"event_type":%q,"sent":%q,"nonce":%q}}`, bridge.CanaryEvent, time.Now().UTC().Format(time.RFC3339Nano), rand.Text())
}

// post signs it as the source does.
func (c checkup) post(ctx context.Context, source string, body []byte) answer {
	t, err := newTarget(c.ingress+"/webhooks/"+source, canaryAnswer, 1, c.trust)
	if err != nil {
		return answer{Outcome: err.Error()}
	}
	defer t.client.CloseIdleConnections()
	t.authenticate(c.cfg.Sources[source], time.Now())
	return t.post(ctx, body)
}

// authenticate takes a source's first key that is valid, as any such would do, and its
// credentials.
func (t *target) authenticate(s config.Source, now time.Time) {
	if i := slices.IndexFunc(s.Keys, func(k config.Key) bool { return k.Valid(now) }); i >= 0 {
		t.key = s.Keys[i].Key.Reveal()
	}
	if s.BasicAuth != nil {
		t.user, t.password = s.BasicAuth.Username, s.BasicAuth.Password.Reveal()
	}
}

// status is the answer's, for a person.
func (a answer) status() string {
	if a.Status == 0 {
		return "nothing:"
	}
	return fmt.Sprintf("%d", a.Status)
}

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/health"
	"github.com/zenduty-bridge/zenduty-bridge/config"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// doctorCommand checks everything around a bridge, and the bridge if it runs.
type doctorCommand struct {
	config.Flags
	URL     string `placeholder:"URL" help:"Where webhooks are posted, without /webhooks/<source>: the public URL, say, so that the canary passes the proxy too (--listen, by http or https as it is set)."`
	JSON    bool   `name:"json" help:"Print one JSON document."`
	NoColor bool   `name:"no-color" help:"No colours, also on a terminal. So does NO_COLOR."`
}

// Run prints what was found and fails if there is an error among it.
func (c *doctorCommand) Run(p *program) error {
	cfg, files, err := config.LoadFiles(c.Flags, p.getenv)
	if err != nil {
		return usageError{err}
	}
	options, err := probeOptions(cfg)
	if err != nil {
		return err
	}
	operators, err := newAdminHTTP(cfg.Admin, cfg.AdminCAFile)
	if err != nil {
		return err
	}
	d := diagnosis{Findings: append(examine(p.ctx, c.checkup(cfg, options), operators), auditSecrets(files)...)}
	d.count()
	if c.JSON {
		err = printDocument(p.stdout, d)
	} else {
		err = d.writeText(p.stdout, p.colorsFor(p.stdout, c.NoColor))
	}
	if err == nil && d.Errors > 0 {
		err = fmt.Errorf("doctor found %s", d.sum())
	}
	return err
}

// checkup looks at a bridge of the configuration from without.
func (c *doctorCommand) checkup(cfg config.Config, options publisher.Options) checkup {
	shown := configured(cfg)
	look := checkup{cfg: cfg, nats: options, ingress: strings.TrimSuffix(c.URL, "/"), shown: shown, trust: trustShown(shown)}
	names := cfg.ACME.Names()
	if c.URL != "" {
		return look
	}
	look.ingress = "http://" + reachable(cfg.Listen)
	switch {
	case len(names) > 0: // by the address, under the name
		look.trust = func(string) (*tls.Config, error) {
			return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: names[0]}, nil
		}
		fallthrough
	case cfg.TLS != (config.ServerTLS{}):
		look.ingress = "https://" + reachable(cfg.Listen)
	}
	return look
}

// examine does without what only a running bridge has, if none runs.
func examine(ctx context.Context, c checkup, operators *http.Client) []publisher.Finding {
	found := []publisher.Finding{{Check: "configuration", Severity: publisher.SeverityOK, What: "it is valid; sources: " + strings.Join(sourceNames(c.cfg), ", ")}}
	bridge, runs := checkBridge(ctx, operators, c.cfg.Admin)
	found = append(found, bridge)
	if !runs && c.cfg.NATS.URL == "" {
		found = append(found, auditConfig(c.cfg, time.Now())...)
		found = append(found, c.auditCertificates()...)
		found = append(found, c.disk().Check()...)
		found = append(found, health.CheckClock(), publisher.Finding{
			Check: "nats", Severity: publisher.SeverityWarning, What: "NATS and the stream were not looked at: the embedded server runs within serve only",
			Why: "whether they would keep what they acknowledge is not known", Remedy: "start the bridge and ask again",
		})
	} else {
		found = append(found, c.audit(ctx)...)
	}
	found = append(found, c.disk().CheckSync(ctx))
	if runs {
		found = append(found, c.canaries(ctx)...)
	}
	return found
}

// checkBridge asks the bridge whether it would take a webhook.
func checkBridge(ctx context.Context, operators *http.Client, url string) (finding publisher.Finding, runs bool) {
	runs, err := askReady(ctx, operators, url)
	switch {
	case err == nil:
		return publisher.Finding{Check: "bridge", Severity: publisher.SeverityOK, What: "a bridge runs and takes webhooks (" + url + ")"}, true
	case runs:
		return publisher.Finding{
			Check: "bridge", Severity: publisher.SeverityError, What: "the bridge at " + url + " takes no webhooks: " + err.Error(),
			Why: "Zenduty is answered with 503", Remedy: "mend what it says; zenduty-bridge status and its log say more",
		}, true
	}
	return publisher.Finding{
		Check: "bridge", Severity: publisher.SeverityWarning, What: "no bridge runs at " + url + ": " + err.Error(),
		Why: "no canary was sent: the way through HTTP, spool and JetStream is not tried", Remedy: "start it, or say with --admin where it is",
	}, false
}

// diagnosis is what doctor prints.
type diagnosis struct {
	Findings []publisher.Finding `json:"findings"`
	Errors   int                 `json:"errors"`
	Warnings int                 `json:"warnings"`
}

func (d *diagnosis) count() {
	for _, f := range d.Findings {
		switch f.Severity {
		case publisher.SeverityError:
			d.Errors++
		case publisher.SeverityWarning:
			d.Warnings++
		}
	}
}

func (d diagnosis) sum() string {
	return plural(d.Errors, "error") + " and " + plural(d.Warnings, "warning")
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

var severityColors = map[publisher.Severity]string{
	publisher.SeverityOK: green, publisher.SeverityWarning: yellow, publisher.SeverityError: red,
}

func (d diagnosis) writeText(w io.Writer, paint palette) error {
	var text strings.Builder
	for _, f := range d.Findings {
		severity := paint.paint(severityColors[f.Severity], fmt.Sprintf("%-7s", f.Severity))
		fmt.Fprintf(&text, "%s  %-16s  %s\n", severity, f.Check, printable(f.What))
		if f.Severity != publisher.SeverityOK {
			fmt.Fprintf(&text, "%27swhy:  %s\n%27smend: %s\n", "", printable(f.Why), "", printable(f.Remedy))
		}
	}
	fmt.Fprintf(&text, "%d checks, %s\n", len(d.Findings), d.sum())
	_, err := io.WriteString(w, text.String())
	return err
}

// Help is kong's HelpProvider.
func (*doctorCommand) Help() string {
	return `Checks the configuration, the disk, the clock, NATS and the rights there, and whether the stream keeps what it acknowledges; if the bridge runs, it posts a signed canary to each source and reads it back from the stream. Each finding says why it matters and what to do. It takes the settings of serve, and exits with 1 if there is an error among what it finds.

Examples:

    zenduty-bridge doctor
    zenduty-bridge doctor --config bridge.yaml --json
    zenduty-bridge doctor --config bridge.yaml --url https://bridge.example.com`
}

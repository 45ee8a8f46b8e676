package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// sendCommand signs and posts webhooks as Zenduty does.
type sendCommand struct {
	URL      string `name:"url" default:"${url}" placeholder:"URL" help:"Source to post to (${default}). A URL without a path means its source zenduty."`
	Key      string `xor:"key" placeholder:"TEXT" help:"Signing key. Every user of this machine can read a flag in the process list; better give a file, or set the variable ($$ZENDUTY_SIGNING_KEY)."`
	KeyFile  string `xor:"key" placeholder:"FILE" help:"File with the signing key ($$ZENDUTY_SIGNING_KEY_FILE)."`
	Unsigned bool   `help:"Send no signature, to a source that asks for none."`
	User     string `placeholder:"NAME" help:"User for Basic auth, if the source asks for it."`
	Password string `env:"ZENDUTY_BASIC_AUTH_PASSWORD" placeholder:"TEXT" help:"Password for Basic auth. As for --key, better set the variable."`

	CAFile string `name:"ca-file" placeholder:"FILE" help:"Authorities or certificates to trust besides the system's (PEM), for an https URL."`

	Event   *string `group:"Sample" placeholder:"TYPE" complete:"triggered,acknowledged,resolved,incident" help:"Event to send: triggered (default), acknowledged, resolved, any other text, or incident for these three in order."`
	Service string  `group:"Sample" placeholder:"ID" help:"The service's unique_id."`
	Title   string  `group:"Sample" placeholder:"TEXT" help:"The incident's title."`
	File    string  `group:"Sample" placeholder:"FILE" help:"Send these bytes in place of a sample; - is standard input. What is piped in is sent too, unless something was said of a sample."`

	Count       int           `group:"Load" default:"1" placeholder:"N" help:"Incidents to send, each a new one (${default})."`
	Rate        float64       `group:"Load" default:"0" placeholder:"N" help:"Webhooks a second, on time whether or not earlier ones are answered, as far as --concurrency allows; latency counts from that time. 0, the default: as fast as it goes."`
	Concurrency int           `group:"Load" default:"16" placeholder:"N" help:"Incidents under way at once (${default})."`
	Timeout     time.Duration `group:"Load" default:"3s" placeholder:"DURATION" help:"Time an answer may take (${default}, which is Zenduty's)."`

	JSON bool `name:"json" help:"Print the summary as JSON."`
}

// eventIncident stands for the three events of an incident.
const eventIncident = "incident"

// pipePatience is how long something may take to come from a pipe that nobody
// said to read.
const pipePatience = 5 * time.Second

// Run sends and sums up. It fails if any answer was not 200.
func (c *sendCommand) Run(p *program) error {
	if err := c.check(); err != nil {
		return usageError{err}
	}
	target, err := c.target(p.getenv)
	if err != nil {
		return err
	}
	body, err := c.readBody(p)
	if err != nil {
		return err
	}
	load := c.sampleLoad()
	if body != nil {
		load = c.fileLoad(body)
	}
	tally := newTally(load.total())
	step, done := newProgress(p.stderr, load.total())
	load.run(p.ctx, target, func(d delivery) { tally.add(d); step() })
	done()
	return c.report(p.stdout, tally.summary(target.url))
}

func (c *sendCommand) report(w io.Writer, s summary) error {
	write := s.writeText
	if c.JSON {
		write = s.writeJSON
	}
	if err := write(w); err != nil {
		return fmt.Errorf("print the summary: %w", err)
	}
	return s.err()
}

func (c *sendCommand) check() error {
	switch {
	case c.Count < 1:
		return errors.New("--count must be at least 1")
	case c.Rate < 0 || math.IsNaN(c.Rate) || math.IsInf(c.Rate, 0):
		return errors.New("--rate must be 0 (as fast as it goes) or more")
	case c.Concurrency < 1:
		return errors.New("--concurrency must be at least 1")
	case c.Timeout <= 0:
		return errors.New("--timeout must be above 0")
	case c.File != "" && c.ofSample() != "":
		return fmt.Errorf("--file and %s: the bytes of a file are sent as they are; give one of the two", c.ofSample())
	case c.Event != nil && *c.Event == "":
		return errors.New("--event must not be empty")
	}
	return nil
}

// ofSample is a flag that was given and says something of a sample, if any.
func (c *sendCommand) ofSample() string {
	switch {
	case c.Event != nil:
		return "--event"
	case c.Service != "":
		return "--service"
	case c.Title != "":
		return "--title"
	}
	return ""
}

var errNoKey = errors.New("no signing key: set ZENDUTY_SIGNING_KEY or --key-file to the key of the source, or give --unsigned if it asks for none")

func (c *sendCommand) target(getenv func(string) (string, bool)) (*target, error) {
	t, err := newTarget(c.URL, c.Timeout, c.Concurrency, trustFile(c.CAFile))
	if err != nil {
		return nil, err
	}
	t.user, t.password = c.User, c.Password
	if c.Unsigned {
		return t, nil
	}
	if t.key, err = c.signingKey(getenv); err != nil {
		return nil, usageError{err}
	}
	return t, nil
}

// signingKey is what a flag gives, else a variable: the key itself, or a file with
// it and perhaps the line end that an editor leaves.
func (c *sendCommand) signingKey(getenv func(string) (string, bool)) (string, error) {
	key, file := c.Key, c.KeyFile
	if key == "" && file == "" {
		key, _ = getenv("ZENDUTY_SIGNING_KEY")
		file, _ = getenv("ZENDUTY_SIGNING_KEY_FILE")
	}
	switch {
	case key != "" && file != "":
		return "", errors.New("ZENDUTY_SIGNING_KEY and ZENDUTY_SIGNING_KEY_FILE are both set; unset one")
	case key != "":
		return key, nil
	case file == "":
		return "", errNoKey
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("signing key (--key-file or ZENDUTY_SIGNING_KEY_FILE): %w", err)
	}
	if key = strings.TrimRight(string(text), "\r\n"); key == "" {
		return "", fmt.Errorf("signing key (--key-file or ZENDUTY_SIGNING_KEY_FILE): %s is empty", file)
	}
	return key, nil
}

// readBody is what to send; nil for samples. Only --file - waits for ever.
func (c *sendCommand) readBody(p *program) ([]byte, error) {
	switch {
	case c.File == "-":
		body, err := readInput(p.ctx, p.stdin, 0)
		if err == nil && len(body) == 0 {
			return nil, usageError{errors.New("--file -: standard input is empty")}
		}
		return body, err
	case c.File != "":
		body, err := os.ReadFile(c.File)
		if err == nil && len(body) == 0 {
			err = fmt.Errorf("%s is empty", c.File)
		}
		if err != nil {
			return nil, usageError{fmt.Errorf("--file: %w", err)}
		}
		return body, nil
	case c.ofSample() != "" || !piped(p.stdin):
		return nil, nil
	}
	body, err := readInput(p.ctx, p.stdin, pipePatience)
	if len(body) == 0 {
		body = nil // nothing was piped in
	}
	return body, err
}

func (c *sendCommand) load() load {
	return load{incidents: c.Count, concurrency: c.Concurrency, rate: c.Rate}
}

// fileLoad sends the same bytes every time: all but the first are duplicates.
func (c *sendCommand) fileLoad(body []byte) load {
	w := webhook{body: body}
	if fields, err := zenduty.ReadFields(body); err == nil {
		w.event, w.number = fields.EventType, fields.IncidentNumber
	}
	l := c.load()
	l.perIncident = 1
	l.webhooks = func(int) iter.Seq[webhook] { return func(yield func(webhook) bool) { yield(w) } }
	return l
}

// sampleLoad sends incidents with numbers in a row.
func (c *sendCommand) sampleLoad() load {
	events := c.events()
	first := 1000 + rand.Int64N(1_000_000)
	l := c.load()
	l.perIncident = len(events)
	l.webhooks = func(i int) iter.Seq[webhook] {
		return newIncident(first+int64(i), c.Service, c.Title, time.Now()).webhooks(events)
	}
	return l
}

func (c *sendCommand) events() []string {
	switch {
	case c.Event == nil:
		return []string{zenduty.EventTriggered}
	case *c.Event == eventIncident:
		return incidentEvents
	}
	return []string{*c.Event}
}

// incidentEvents are an incident's, in order.
var incidentEvents = []string{zenduty.EventTriggered, zenduty.EventAcknowledged, zenduty.EventResolved}

package publisher

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Probe looks at NATS as the bridge finds it, over a connection of its own: what it
// asks without having the right to is of no consequence for publishing. It changes
// nothing.
type Probe struct {
	opts   Options
	nc     *nats.Conn
	js     jetstream.JetStream
	denied chan string // capacity 1: what the server did not permit
}

// askTimeout bounds one question to NATS.
const askTimeout = 5 * time.Second

// NewProbe connects, or says what stands in the way; it does not try again. The
// caller closes it.
func NewProbe(opts Options) (*Probe, error) {
	p := &Probe{opts: opts.withDefaults(), denied: make(chan string, 1)}
	options := []nats.Option{
		nats.Name("zenduty-bridge audit"), nats.Timeout(askTimeout), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				select {
				case p.denied <- err.Error():
				default:
				}
			}
		}),
	}
	if p.opts.InProcess != nil {
		options = append(options, nats.InProcessServer(p.opts.InProcess))
	}
	nc, err := nats.Connect(p.opts.URL, append(options, p.opts.Auth...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS %s: %w", p.opts.URL, err)
	}
	if p.js, err = jetstream.New(nc); err != nil {
		nc.Close()
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	p.nc = nc
	return p, nil
}

// Close ends the connection.
func (p *Probe) Close() { p.nc.Close() }

// ask has a question answered. What the server does not permit it never answers, but
// says so: the error is then ErrNoRights.
func (p *Probe) ask(ctx context.Context, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	select {
	case <-p.denied: // of an earlier one
	default:
	}
	var err error
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		err = question(ctx)
	}()
	select {
	case <-answered:
		return err
	case what := <-p.denied:
		cancel()
		<-answered
		return fmt.Errorf("%w: %s", ErrNoRights, what)
	}
}

// Audit looks at NATS, at what the bridge may do there and at the stream, and holds
// that against what durability asks for. maxBody is the size of the largest webhook
// that is taken, in bytes.
func Audit(ctx context.Context, opts Options, maxBody int64) []Finding {
	p, err := NewProbe(opts)
	if err != nil {
		return []Finding{unreachable(err)}
	}
	defer p.Close()
	return p.audit(ctx, maxBody)
}

func unreachable(err error) Finding {
	finding := Finding{
		Check: "nats", Severity: SeverityError, What: err.Error(),
		Why:    "webhooks are taken and wait on disk; when the spool is full they are refused",
		Remedy: "start NATS, or set nats.url (--nats-url, NATS_URL) to where it is",
	}
	if errors.Is(err, nats.ErrAuthorization) {
		finding.Remedy = "set nats.credentials_file, nats.user, nats.token or nats.nkey_seed_file to what the NATS server has"
	}
	return finding
}

func (p *Probe) audit(ctx context.Context, maxBody int64) []Finding {
	f := facts{
		opts: p.opts, maxBody: maxBody, maxPayload: p.nc.MaxPayload(),
		cluster: p.nc.ConnectedClusterName(), servers: len(p.nc.Servers()),
	}
	found := []Finding{fine("nats", "connected to %s, version %s", cmp.Or(p.nc.ConnectedUrlRedacted(), p.opts.URL), p.nc.ConnectedServerVersion())}
	permissions, err := p.rights(ctx)
	found = append(found, auditRights(permissions, err, p.opts)...)
	err = p.ask(ctx, func(ctx context.Context) (err error) {
		f.account, err = p.js.AccountInfo(ctx)
		return err
	})
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || errors.Is(err, nats.ErrNoResponders) {
		return append(found, Finding{
			Check: "jetstream", Severity: SeverityError, What: "NATS has no JetStream for this account: " + err.Error(),
			Why:    "there is nowhere for webhooks to go; they wait on disk, and when the spool is full they are refused",
			Remedy: "run the NATS server with JetStream (-js, or jetstream {} in its configuration), and enable it for the account",
		})
	}
	if err == nil {
		found = append(found, fine("jetstream", "NATS has JetStream for this account"))
	}
	found = append(found, p.look(ctx, &f))
	return append(found, audit(f)...)
}

// userInfo tells a user what it may do.
const userInfo = "$SYS.REQ.USER.INFO"

// rights asks what the user of the connection may do; nil if NATS does not tell.
func (p *Probe) rights(ctx context.Context) (*rights, error) {
	var answer struct {
		Data *struct {
			Permissions *rights `json:"permissions"`
		} `json:"data"`
	}
	err := p.ask(ctx, func(ctx context.Context) error {
		msg, err := p.nc.RequestWithContext(ctx, userInfo, nil)
		if err != nil {
			return err
		}
		return json.Unmarshal(msg.Data, &answer)
	})
	switch {
	case err != nil || answer.Data == nil:
		return nil, err
	case answer.Data.Permissions == nil:
		return &rights{}, nil // no restriction
	}
	return answer.Data.Permissions, nil
}

// look fills in what the stream tells.
func (p *Probe) look(ctx context.Context, f *facts) Finding {
	name := p.opts.Stream.Name
	began := time.Now()
	stream, err := p.stream(ctx)
	f.roundTrip = time.Since(began)
	finding := Finding{
		Check: "stream", Severity: SeverityWarning, What: fmt.Sprintf("stream %s cannot be looked at: %v", name, err),
		Why:    "whether it keeps what it acknowledges is not known",
		Remedy: "see what NATS says (nats stream info " + name + ")",
	}
	switch {
	case err == nil:
		f.stream = stream.CachedInfo()
		f.skew = f.stream.TimeStamp.Sub(began.Add(f.roundTrip / 2))
		return fine("stream", "stream %s has %d messages, the last is %d", name, f.stream.State.Msgs, f.stream.State.LastSeq)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		finding.What = fmt.Sprintf("there is no stream %s", name)
		finding.Why = "webhooks wait on disk until there is one"
		finding.Remedy = "start the bridge, which makes it; if it runs, its log says why it could not"
	case errors.Is(err, ErrNoRights):
		finding.Remedy = "let the bridge's user publish on " + apiPrefix + streamInfo + "." + name
	}
	return finding
}

func (p *Probe) stream(ctx context.Context) (stream jetstream.Stream, err error) {
	return stream, p.ask(ctx, func(ctx context.Context) error {
		stream, err = p.js.Stream(ctx, p.opts.Stream.Name)
		return err
	})
}

// ErrNoCanaries says that the stream would not take a canary.
var ErrNoCanaries = errors.New("the stream does not take " + CanaryPrefix + ".*")

// BeforeCanary returns the last sequence number of the stream, above which a canary of
// that source will be. The error is ErrNoCanaries when there will be none.
func (p *Probe) BeforeCanary(ctx context.Context, source string) (last uint64, err error) {
	stream, err := p.stream(ctx)
	if err == nil && !takesCanaries(stream.CachedInfo().Config, source) {
		err = ErrNoCanaries
	}
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", p.opts.Stream.Name, err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// ReadCanary waits until the stream has the canary of that source with an id, above a
// sequence number, and holds it against what was posted: body and headers must be as
// they are of every webhook. It returns its sequence number.
func (p *Probe) ReadCanary(ctx context.Context, source, id string, body []byte, after uint64) (sequence uint64, err error) {
	subject := CanaryPrefix + "." + Token(source)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		var stored *storedMsg
		err := p.ask(ctx, func(ctx context.Context) (err error) {
			stored, err = getMsg(ctx, p.nc, p.opts.Stream.Name, msgGet{Sequence: after + 1, Subject: subject})
			return err
		})
		switch {
		case err == nil && stored.header.Get(nats.MsgIdHdr) == id:
			return stored.Sequence, compareCanary(stored, source, id, body)
		case err == nil: // somebody else's
			after, pause = stored.Sequence, time.Millisecond
			continue
		case !errors.Is(err, jetstream.ErrMsgNotFound) && ctx.Err() == nil:
			return 0, fmt.Errorf("read %s back from stream %s: %w", subject, p.opts.Stream.Name, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, fmt.Errorf("it has not come to stream %s: %w", p.opts.Stream.Name, context.Cause(ctx))
		}
	}
}

// compareCanary: the time in its headers is the bridge's, whatever it is.
func compareCanary(stored *storedMsg, source, id string, body []byte) error {
	if !bytes.Equal(stored.Data, body) {
		return fmt.Errorf("message %d of the stream has other bytes than were posted", stored.Sequence)
	}
	for name, want := range header(&Message{ID: id, Source: source, Canary: true, Data: body}) {
		if got := stored.header[name]; name != "ce-time" && (len(got) != 1 || got[0] != want[0]) {
			return fmt.Errorf("message %d of the stream has the header %s: %q, not %q", stored.Sequence, name, got, want[0])
		}
	}
	return nil
}

package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// StreamOptions describe the stream that the bridge makes where there is none.
type StreamOptions struct {
	Name            string        // default ZENDUTY
	Replicas        int           // default 1
	MaxAge          time.Duration // default 0: for ever
	MaxBytes        int64         // default 0: no limit
	DuplicateWindow time.Duration // default 2 min, as JetStream's own
}

func (o StreamOptions) withDefaults() StreamOptions {
	if o.Name == "" {
		o.Name = "ZENDUTY"
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.DuplicateWindow == 0 {
		o.DuplicateWindow = 2 * time.Minute
	}
	if o.MaxAge > 0 { // the server refuses a window longer than the messages' life
		o.DuplicateWindow = min(o.DuplicateWindow, o.MaxAge)
	}
	return o
}

// A stream that the bridge made carries this metadata. It changes no other.
const (
	madeByKey   = "made-by"
	madeByValue = "zenduty-bridge"
)

// streamConfig is the stream as it should be.
func (p *Publisher) streamConfig() jetstream.StreamConfig { return p.opts.streamConfig() }

func (opts Options) streamConfig() jetstream.StreamConfig {
	o := opts.Stream
	config := jetstream.StreamConfig{
		Name:        o.Name,
		Description: "Zenduty webhooks, carried by zenduty-bridge",
		Subjects:    opts.subjects(),
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Replicas:    o.Replicas,
		MaxAge:      o.MaxAge,
		MaxBytes:    o.MaxBytes,
		Duplicates:  o.DuplicateWindow,
		AllowDirect: true,
		Metadata:    map[string]string{madeByKey: madeByValue},
	}
	if config.MaxBytes == 0 {
		config.MaxBytes = -1
	}
	if live := opts.Subject.liveMapping(); live != "" {
		config.RePublish = &jetstream.RePublish{Source: opts.Subject.Wildcard(), Destination: live}
	}
	return config
}

// subjects are those of incidents, of what cannot be keyed and of canaries.
func (opts Options) subjects() []string {
	return []string{opts.Subject.Wildcard(), QuarantinePrefix + ".*", CanaryPrefix + ".*"}
}

// StreamState is what the relay holds its receipts against.
type StreamState struct {
	// Created tells one stream from another of the same name: a stream that was
	// deleted and made again, or whose server lost its store, has another.
	Created time.Time
	// First is the sequence number of the first message, Last+1 if there is none:
	// what is below was removed. Last is the highest number given out: it never
	// falls, unless the server lost messages.
	First, Last uint64
	// DuplicateWindow is how long the stream knows a Nats-Msg-Id.
	DuplicateWindow time.Duration
}

// StreamName is the name of the stream that is published to.
func (p *Publisher) StreamName() string { return p.opts.Stream.Name }

// Stream makes the stream if it is missing, corrects one that the bridge made,
// warns of what is different in one that it did not make, and returns its state.
// From then on Publish uses the connection that stands now.
// Whoever has messages in flight must not call it: they could end up in the old
// stream or in the new one. The error is ErrNoRights when it never will succeed
// over this connection.
func (p *Publisher) Stream(ctx context.Context) (StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	p.lookedAt.Store(p.connection())
	info, err := p.ensureStream(ctx)
	if err != nil {
		return StreamState{}, fmt.Errorf("stream %s: %w", p.opts.Stream.Name, err)
	}
	first := info.State.FirstSeq
	if info.State.Msgs == 0 { // then it may be 0 or the next
		first = info.State.LastSeq + 1
	}
	return StreamState{Created: info.Created, First: first, Last: info.State.LastSeq, DuplicateWindow: info.Config.Duplicates}, nil
}

func (p *Publisher) ensureStream(ctx context.Context) (*jetstream.StreamInfo, error) {
	want := p.streamConfig()
	info, err := p.streamInfo(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return p.createStream(ctx, want)
	}
	if err != nil {
		return nil, fmt.Errorf("look up: %w", err)
	}
	drift := streamDrift(info.Config, want)
	news := p.driftIsNews(drift)
	switch {
	case len(drift) == 0:
	case info.Config.Metadata[madeByKey] == madeByValue:
		return p.updateStream(ctx, info, want, drift, news), nil
	case news:
		p.opts.Logger.Warn("the stream was not made by the bridge, which leaves it as it is", "stream", want.Name, "differs", drift)
	}
	return info, nil
}

// streamInfo asks the stream's leader.
func (p *Publisher) streamInfo(ctx context.Context) (info *jetstream.StreamInfo, err error) {
	return info, p.denied.ask(ctx, streamInfo, func(ctx context.Context) error {
		stream, err := p.js.Stream(ctx, p.opts.Stream.Name)
		if err == nil {
			info = stream.CachedInfo()
		}
		return err
	})
}

// driftIsNews tells whether the drift is another one than at the last look. The
// relay looks as often as a stream that does not cover the subjects refuses.
func (p *Publisher) driftIsNews(drift []string) bool {
	text := strings.Join(drift, "; ")
	p.mu.Lock()
	defer p.mu.Unlock()
	news := text != p.drift
	p.drift = text
	return news
}

func (p *Publisher) createStream(ctx context.Context, want jetstream.StreamConfig) (*jetstream.StreamInfo, error) {
	var stream jetstream.Stream
	err := p.denied.ask(ctx, streamCreate, func(ctx context.Context) (err error) {
		stream, err = p.js.CreateStream(ctx, want)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create on %s: %w", strings.Join(want.Subjects, ", "), err)
	}
	p.opts.Logger.Info("stream made", "stream", want.Name, "subjects", want.Subjects, "replicas", want.Replicas)
	return stream.CachedInfo(), nil
}

// updateStream tries, and returns the stream as it then is. One that stays as it
// was takes messages all the same, or refuses them and is then told so.
func (p *Publisher) updateStream(ctx context.Context, have *jetstream.StreamInfo, want jetstream.StreamConfig, drift []string, news bool) *jetstream.StreamInfo {
	changed := have.Config
	changed.Subjects, changed.RePublish = want.Subjects, want.RePublish
	changed.Replicas, changed.MaxAge, changed.MaxBytes, changed.Duplicates = want.Replicas, want.MaxAge, want.MaxBytes, want.Duplicates
	var stream jetstream.Stream
	err := p.denied.ask(ctx, streamUpdate, func(ctx context.Context) (err error) {
		stream, err = p.js.UpdateStream(ctx, changed)
		return err
	})
	if err == nil {
		p.opts.Logger.Info("stream updated", "stream", want.Name, "changed", drift)
		return stream.CachedInfo()
	}
	if news {
		p.opts.Logger.Error("stream not as it should be, and not to be changed", "stream", want.Name, "differs", drift, "error", err)
	}
	return have
}

// streamDrift lists what is different in the settings that the bridge answers
// for, each as "setting: is, should be".
func streamDrift(have, want jetstream.StreamConfig) []string {
	var drift []string
	compare := func(setting string, have, want any) {
		if h, w := fmt.Sprint(have), fmt.Sprint(want); h != w {
			drift = append(drift, fmt.Sprintf("%s: is %s, should be %s", setting, h, w))
		}
	}
	compare("subjects", slices.Sorted(slices.Values(have.Subjects)), slices.Sorted(slices.Values(want.Subjects)))
	compare("storage", have.Storage, want.Storage)
	compare("replicas", have.Replicas, want.Replicas)
	compare("max_age", have.MaxAge, want.MaxAge)
	compare("max_bytes", have.MaxBytes, want.MaxBytes)
	compare("duplicate_window", have.Duplicates, want.Duplicates)
	compare("republish", republish(have.RePublish), republish(want.RePublish))
	return drift
}

func republish(r *jetstream.RePublish) string {
	if r == nil {
		return "none"
	}
	return r.Source + " to " + r.Destination
}

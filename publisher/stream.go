package publisher

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
func (p *Publisher) streamConfig() jetstream.StreamConfig {
	o := p.opts.Stream
	config := jetstream.StreamConfig{
		Name:        o.Name,
		Description: "Zenduty webhooks, carried by zenduty-bridge",
		Subjects:    []string{p.opts.Subject.Wildcard(), QuarantinePrefix + ".*"},
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
	if live := p.opts.Subject.liveMapping(); live != "" {
		config.RePublish = &jetstream.RePublish{Source: p.opts.Subject.Wildcard(), Destination: live}
	}
	return config
}

// ensureStream makes the stream if it is missing, corrects one that the bridge
// made, and warns of what is different in one that it did not make.
func (p *Publisher) ensureStream() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	want := p.streamConfig()
	stream, err := p.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return p.createStream(ctx, want)
	}
	if err != nil {
		return fmt.Errorf("look up stream: %w", err)
	}
	have := stream.CachedInfo().Config
	drift := streamDrift(have, want)
	switch {
	case len(drift) == 0:
		return nil
	case have.Metadata[madeByKey] == madeByValue:
		return p.updateStream(ctx, have, want, drift)
	}
	p.opts.Logger.Warn("the stream was not made by the bridge, which leaves it as it is", "stream", want.Name, "differs", drift)
	return nil
}

func (p *Publisher) createStream(ctx context.Context, want jetstream.StreamConfig) error {
	if _, err := p.js.CreateStream(ctx, want); err != nil {
		return fmt.Errorf("create stream on %s: %w", strings.Join(want.Subjects, ", "), err)
	}
	p.opts.Logger.Info("stream made", "stream", want.Name, "subjects", want.Subjects, "replicas", want.Replicas)
	return nil
}

func (p *Publisher) updateStream(ctx context.Context, have, want jetstream.StreamConfig, drift []string) error {
	changed := have
	changed.Subjects, changed.RePublish = want.Subjects, want.RePublish
	changed.Replicas, changed.MaxAge, changed.MaxBytes, changed.Duplicates = want.Replicas, want.MaxAge, want.MaxBytes, want.Duplicates
	changed.Metadata = maps.Clone(have.Metadata)
	if _, err := p.js.UpdateStream(ctx, changed); err != nil {
		return fmt.Errorf("update stream (%s): %w", strings.Join(drift, "; "), err)
	}
	p.opts.Logger.Info("stream updated", "stream", want.Name, "changed", drift)
	return nil
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

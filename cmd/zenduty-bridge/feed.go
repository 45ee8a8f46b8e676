package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// feed is where webhooks come from: NATS as it goes, or a stream.
type feed struct {
	template   string   // of the bridge's subjects
	events     []string // only these event types; empty: all
	quarantine bool     // what could not be keyed as well
}

const eventPlaceholder = "{event_type}"

// liveSubjects are for a core subscription: the live feed's, or where the
// template leaves no room for one, those that the bridge publishes on.
func (f feed) liveSubjects() ([]string, error) {
	subject, err := publisher.ParseSubject(f.template)
	if err != nil {
		return nil, err
	}
	if subject.Live() == "" {
		return f.subjects(f.template)
	}
	upTo := strings.Index(f.template, eventPlaceholder) + len(eventPlaceholder)
	return f.subjects(f.template[:upTo])
}

// streamSubjects are those of the messages in the stream.
func (f feed) streamSubjects() ([]string, error) { return f.subjects(f.template) }

// subjects match what the template makes of the events, and the quarantine.
func (f feed) subjects(template string) ([]string, error) {
	templates := []string{template}
	if len(f.events) > 0 && strings.Contains(template, eventPlaceholder) {
		templates = nil
		for _, event := range f.events {
			templates = append(templates, strings.ReplaceAll(template, eventPlaceholder, publisher.Token(event)))
		}
	}
	var subjects []string
	for _, t := range templates {
		subject, err := publisher.ParseSubject(t)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(subjects, subject.Wildcard()) {
			subjects = append(subjects, subject.Wildcard())
		}
	}
	if f.quarantine {
		subjects = append(subjects, publisher.QuarantinePrefix+".*")
	}
	return subjects, nil
}

// liveBuffer is how many messages may wait to be printed.
const liveBuffer = 1 << 16

// subscribe returns what is published from now on. All subjects share one
// channel, which keeps the order in which the server sent the messages.
func subscribe(nc *nats.Conn, subjects []string) (<-chan *nats.Msg, error) {
	messages := make(chan *nats.Msg, liveBuffer)
	for _, subject := range subjects {
		if _, err := nc.ChanSubscribe(subject, messages); err != nil {
			return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
		}
	}
	if err := nc.FlushTimeout(5 * time.Second); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", strings.Join(subjects, ", "), err)
	}
	return messages, nil
}

// history is a stream's webhooks from a time on, the new ones when they come.
type history struct {
	messages jetstream.MessagesContext
	pending  uint64 // that were in the stream already
}

// openHistory reads the stream from a time on, in order, without leaving a trace
// of it in the server but a consumer that goes with the connection.
func openHistory(ctx context.Context, nc *nats.Conn, stream string, subjects []string, from time.Time) (*history, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	consumer, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &from,
		InactiveThreshold: time.Minute,
	})
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("no stream %s at %s: the bridge makes it when it first connects; --stream names another", stream, nc.ConnectedUrlRedacted())
	case err != nil:
		return nil, fmt.Errorf("read stream %s: %w", stream, err)
	}
	h := &history{pending: consumer.CachedInfo().NumPending}
	if h.messages, err = consumer.Messages(); err != nil {
		return nil, fmt.Errorf("read stream %s: %w", stream, err)
	}
	return h, nil
}

// receive sends each webhook to arrivals until ctx ends. It can outlast ctx while
// NATS is away, until the connection is closed.
func (h *history) receive(ctx context.Context, arrivals chan<- arrival) error {
	for {
		m, err := h.messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		a := arrival{Subject: m.Subject(), Header: m.Headers(), Body: m.Data()}
		if at, err := m.Metadata(); err == nil {
			a.Sequence, a.remaining = at.Sequence.Stream, at.NumPending
		}
		select {
		case arrivals <- a:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

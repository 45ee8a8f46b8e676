//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const streamName = "ZENDUTY"

// reader looks at a nats-server's stream.
type reader struct {
	nc *nats.Conn
	js jetstream.JetStream
}

func (n *natsServer) reader() (*reader, error) {
	nc, err := nats.Connect(n.url())
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	return &reader{nc, js}, err
}

func (r *reader) close() { r.nc.Close() }

// stream waits until the bridge has made the stream.
func (r *reader) stream(ctx context.Context) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		s, err := r.js.Stream(ctx, streamName)
		if err == nil || ctx.Err() != nil {
			return s, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// await waits until the stream has n messages, for as long as more come, and
// returns its state.
func (r *reader) await(ctx context.Context, n int64) (jetstream.StreamState, error) {
	s, err := r.stream(ctx)
	if err != nil {
		return jetstream.StreamState{}, err
	}
	for have, last := uint64(0), time.Now(); ; time.Sleep(50 * time.Millisecond) {
		info, err := s.Info(ctx)
		switch {
		case err != nil:
			return jetstream.StreamState{}, err
		case info.State.Msgs >= uint64(n):
			return info.State, nil
		case info.State.Msgs > have:
			have, last = info.State.Msgs, time.Now()
		case time.Since(last) > time.Minute:
			return info.State, fmt.Errorf("the stream has %d messages of %d, and for a minute no more have come", have, n)
		}
	}
}

// audit reads the whole stream, which must have n messages, and shows each to follow.
func (r *reader) audit(ctx context.Context, n int64, follow func(nats.Header) error) error {
	consumer, err := r.js.OrderedConsumer(ctx, streamName, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(4096))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for i := range n {
		msg, err := messages.Next(jetstream.NextMaxWait(20 * time.Second))
		if err == nil {
			err = follow(msg.Headers())
		}
		if err != nil {
			return fmt.Errorf("audit: message %d of %d: %w", i+1, n, err)
		}
	}
	state, err := r.await(ctx, n)
	if err == nil && state.Msgs != uint64(n) {
		err = fmt.Errorf("audit: %d messages for %d webhooks", state.Msgs, n)
	}
	return err
}

func eventOf(header nats.Header) (incident string, kind int) {
	return header.Get("ce-subject"), slices.Index(kinds[:], strings.TrimPrefix(header.Get("ce-type"), "com.zenduty.incident."))
}

// inOrder returns what follows a closed loop's messages: each incident's events in
// order, without a gap and without a second one. No two webhooks that the benchmark
// posts are the same event of an incident, so that none is lost either.
func inOrder() func(nats.Header) error {
	reached := map[string]int{} // of the incidents that are not over
	return func(header nats.Header) error {
		incident, kind := eventOf(header)
		if due := reached[incident]; kind != due {
			return fmt.Errorf("incident %s: %s when %s is due", incident, header.Get("ce-type"), kinds[due])
		}
		reached[incident]++
		if reached[incident] == len(kinds) {
			delete(reached, incident)
		}
		return nil
	}
}

// asAnswered returns what follows an open loop's messages, by their ids: each that
// was answered, once, and an event that was answered before a later one of its
// incident was sent is before that one. Those that were under way at the same time
// may have arrived either way.
func asAnswered(answers map[string]answer) func(nats.Header) error {
	type event struct {
		kind int
		sent time.Time
	}
	last := map[string]event{}
	return func(header nats.Header) error {
		id := header.Get(nats.MsgIdHdr)
		a, ok := answers[id]
		if !ok {
			return fmt.Errorf("id %s was not answered, or is there twice", id)
		}
		delete(answers, id)
		incident, kind := eventOf(header)
		before, seen := last[incident]
		answered := a.sent.Add(a.took)
		if seen && kind < before.kind && answered.Before(before.sent) {
			return fmt.Errorf("incident %s: %s is behind %s, which was sent %v after the answer",
				incident, kinds[kind], kinds[before.kind], before.sent.Sub(answered))
		}
		if !seen || kind > before.kind {
			last[incident] = event{kind, a.sent}
		}
		return nil
	}
}

// perSecond is the rate from the first message to the last.
func perSecond(s jetstream.StreamState) float64 {
	return float64(s.Msgs) / s.LastTime.Sub(s.FirstTime).Seconds()
}

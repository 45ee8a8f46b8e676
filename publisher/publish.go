package publisher

import (
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"github.com/zenduty-bridge/zenduty-bridge/publisher/tracing"
)

// Ack is JetStream's word that it has the message.
type Ack struct {
	Stream    string
	Sequence  uint64
	Duplicate bool // it had it already, under Sequence
}

// outcome is what waits for a message's acknowledgement.
type outcome struct {
	done      func(Ack, *Error)
	began     time.Time
	eventType string
	span      trace.Span // nil without tracing
}

// Publish sends m and returns. done is called exactly once, with an error or an
// acknowledgement, possibly before Publish returns; it must not block. After an
// error JetStream may still have the message, unless the error is permanent.
//
// A connection that was made since Stream last looked is not used: the server
// behind it may have lost what must be there before m.
func (p *Publisher) Publish(m *Message, done func(Ack, *Error)) {
	msg := &nats.Msg{Subject: p.subject(m), Header: header(m), Data: m.Data}
	span := p.startSpan(m, msg)
	p.mu.Lock()
	p.unacked[msg] = outcome{done: done, began: time.Now(), eventType: eventLabel(m), span: span}
	p.mu.Unlock()
	if err := p.hand(msg); err != nil {
		p.refused(p.js, msg, err)
	}
}

// hand gives msg to the client, whose error on a closed connection says so only
// in its text.
func (p *Publisher) hand(msg *nats.Msg) error {
	switch {
	case p.nc.IsClosed():
		return nats.ErrConnectionClosed
	case p.connection() != p.lookedAt.Load():
		return nats.ErrConnectionReconnecting
	}
	_, err := p.js.PublishMsgAsync(msg, noRetry)
	return err
}

var noRetry = jetstream.WithRetryAttempts(0)

// acked is called by the client for every acknowledgement.
func (p *Publisher) acked(_ jetstream.JetStream, msg *nats.Msg, ack *jetstream.PubAck) {
	o, ok := p.settle(msg)
	if !ok {
		return
	}
	p.metrics.published.WithLabelValues(o.eventType).Inc()
	tracing.Observe(p.metrics.seconds, time.Since(o.began).Seconds(), o.spanContext())
	answer := Ack{Stream: ack.Stream, Sequence: ack.Sequence, Duplicate: ack.Duplicate}
	o.endSpan(answer, nil)
	o.done(answer, nil)
}

// refused is called by the client for every publish without acknowledgement.
func (p *Publisher) refused(_ jetstream.JetStream, msg *nats.Msg, err error) {
	o, ok := p.settle(msg)
	if !ok {
		return
	}
	failure := classify(err)
	p.metrics.failed.WithLabelValues(failure.Reason).Inc()
	o.endSpan(Ack{}, failure)
	o.done(Ack{}, failure)
}

// settle takes a message off the unacknowledged, once.
func (p *Publisher) settle(msg *nats.Msg) (outcome, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, ok := p.unacked[msg]
	delete(p.unacked, msg)
	return o, ok
}

func (p *Publisher) failAll(err error) {
	p.mu.Lock()
	msgs := make([]*nats.Msg, 0, len(p.unacked))
	for msg := range p.unacked {
		msgs = append(msgs, msg)
	}
	p.mu.Unlock()
	for _, msg := range msgs {
		p.refused(p.js, msg, err)
	}
}

package publisher

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/zenduty-bridge/zenduty-bridge/publisher/tracing"
)

// startSpan begins the span of one attempt to publish m, from the publish to its
// outcome, and makes msg carry it, so that a consumer's span joins; nil without
// tracing. It is a child of m's, however long ago that ended: linked instead it would
// be a trace of its own, and a webhook that waited for NATS would be the one that
// cannot be followed from its sender to its consumer. So is a replay's.
//
// Names are OpenTelemetry's semantic conventions for messaging spans.
func (p *Publisher) startSpan(m *Message, msg *nats.Msg) trace.Span {
	if p.tracer == nil {
		return nil
	}
	parent := trace.ContextWithRemoteSpanContext(context.Background(), tracing.Parse(m.Traceparent))
	destination := p.destination(m)
	_, span := p.tracer.Start(parent, "publish "+destination, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", "nats"),
		semconv.MessagingOperationName("publish"),
		semconv.MessagingOperationTypeSend,
		semconv.MessagingDestinationName(msg.Subject),
		semconv.MessagingDestinationTemplate(destination),
		semconv.MessagingMessageID(m.MessageID()),
		semconv.MessagingMessageBodySize(len(m.Data)),
		attribute.String("zenduty_bridge.webhook.id", m.ID),
	))
	msg.Header[tracing.Header] = []string{tracing.Text(span.SpanContext())}
	return span
}

// destination is m's subject before what differs from webhook to webhook is filled in.
func (p *Publisher) destination(m *Message) string {
	name := p.opts.Subject.String()
	switch {
	case m.Quarantined:
		name = QuarantinePrefix + ".{source}"
	case m.Canary:
		name = CanaryPrefix + ".{source}"
	}
	if m.SubjectPrefix != "" {
		name = m.SubjectPrefix + "." + name
	}
	return name
}

// spanContext is not valid without a span.
func (o *outcome) spanContext() trace.SpanContext {
	if o.span == nil {
		return trace.SpanContext{}
	}
	return o.span.SpanContext()
}

// endSpan ends the span, if there is one, with the acknowledgement or the error.
func (o *outcome) endSpan(ack Ack, err *Error) {
	if o.span == nil {
		return
	}
	if err != nil {
		o.span.SetStatus(codes.Error, err.Error())
		o.span.SetAttributes(semconv.ErrorTypeKey.String(err.Reason))
	} else {
		o.span.SetAttributes(attribute.String("zenduty_bridge.stream.name", ack.Stream),
			attribute.Int64("zenduty_bridge.stream.sequence", int64(ack.Sequence)), attribute.Bool("zenduty_bridge.duplicate", ack.Duplicate))
	}
	o.span.End()
}

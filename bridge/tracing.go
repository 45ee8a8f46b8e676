package bridge

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher/tracing"
)

// append is the spool's Append, in a span of its own where webhooks are traced. Its
// event "commit" parts the time that the webhook waited for the group before it from
// that of its own group's write and fsync.
func (b *Bridge) append(ctx context.Context, r *spool.Record) (spool.Appended, error) {
	if b.tracer == nil {
		return b.spool.Append(ctx, r)
	}
	ctx, span := b.tracer.Start(ctx, "append", trace.WithAttributes(attribute.String("zenduty_bridge.webhook.id", idText(r.ID))))
	defer span.End()
	held, err := b.spool.Append(ctx, r)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		return held, err
	}
	span.AddEvent("commit", trace.WithTimestamp(held.Taken))
	span.SetAttributes(attribute.Bool("zenduty_bridge.duplicate", held.Duplicate))
	return held, nil
}

// observeLag counts the time from a webhook's arrival to its acknowledgement.
func (b *Bridge) observeLag(lag time.Duration, traceparent string) {
	var sc trace.SpanContext
	if b.tracer != nil {
		sc = tracing.Parse(traceparent)
	}
	tracing.Observe(b.lag, lag.Seconds(), sc)
}

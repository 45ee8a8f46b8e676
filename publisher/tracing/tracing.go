// Package tracing carries a webhook's trace through what holds only text: the spool's
// envelope and a message's header. It is W3C Trace Context's traceparent
// (https://www.w3.org/TR/trace-context/, section 3.2); tracestate is not carried.
package tracing

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header is the name of the header, in NATS's case-sensitive way (ADR-4).
const Header = "traceparent"

// length is a traceparent's of version 00. Later versions may be longer, and what
// they have more is not known here.
const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// Text is the traceparent of a span; empty if sc is not valid.
func Text(sc trace.SpanContext) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), sc), carrier)
	return carrier[Header]
}

// Parse reads a traceparent; the result is not valid if text is not.
func Parse(text string) trace.SpanContext {
	if len(text) != length {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{Header: text})
	return trace.SpanContextFromContext(ctx)
}

// Observe adds seconds to h, and if the span sc is recorded its trace as the exemplar.
func Observe(h prometheus.Histogram, seconds float64, sc trace.SpanContext) {
	exemplars, ok := h.(prometheus.ExemplarObserver)
	if !ok || !sc.IsSampled() {
		h.Observe(seconds)
		return
	}
	exemplars.ObserveWithExemplar(seconds, prometheus.Labels{"trace_id": sc.TraceID().String()})
}

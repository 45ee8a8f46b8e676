package ingress

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/publisher/tracing"
)

// errDeadline is the cause when the disk was too slow for the answer.
var errDeadline = errors.New("not on disk within the deadline")

// webhook answers POST /webhooks/{source}: read, verify, accept, 200.
// Its errors are answered by answerError.
func (s *Server) webhook(c echo.Context) error {
	began := time.Now()
	defer func() {
		tracing.Observe(s.metrics.seconds, time.Since(began).Seconds(), trace.SpanContextFromContext(c.Request().Context()))
	}()

	source := s.source(c.Param("source"))
	if source == nil {
		return errUnknownSource
	}
	err := s.take(c, source, began)
	if err != nil {
		c.Set(sourceOfRequest, source)
	}
	return err
}

// sourceOfRequest is the name under which a failed request has its source, which may be
// configured otherwise by now.
const sourceOfRequest = "source"

func (s *Server) take(c echo.Context, source *Source, began time.Time) error {
	buffer := newBuffer()
	if err := readBody(buffer, c.Response(), c.Request(), s.opts.MaxBodyBytes); err != nil {
		return err
	}
	match, err := source.verify(c.Request(), buffer.Bytes(), began)
	if err != nil {
		return s.failures.orTooMany(c.Request(), err)
	}
	source.metrics.matched(match)

	// The sender going away is no reason to stop: what arrived whole is kept.
	ctx, cancel := context.WithDeadlineCause(context.WithoutCancel(c.Request().Context()), began.Add(s.opts.AnswerDeadline), errDeadline)
	defer cancel()
	receipt, err := s.accepter.Accept(ctx, bridge.Webhook{
		Source: source.name, Rendering: match.Rendering, Key: match.Key, Body: match.Body, Received: began,
		Traceparent: traceparent(c.Request()),
	})
	if !receipt.Canary { // nor with an error: it was signed all the same
		source.metrics.used(match.Key, began)
	}
	if err != nil {
		return err // the spool may have the body still
	}
	reuse(buffer)
	source.metrics.took(receipt)
	describe(c, source.name, string(receipt.Status), receipt.ID)
	s.closeIfStopping(c.Response().Header())
	return c.JSONBlob(http.StatusOK, answer(receipt))
}

// answer is the body of a 200: the status (accepted, duplicate or quarantined) and
// the webhook's id, as in Nats-Msg-Id. Neither has a character that JSON escapes.
func answer(r bridge.Receipt) []byte {
	b := make([]byte, 0, 128)
	b = append(b, `{"status":"`...)
	b = append(b, r.Status...)
	b = append(b, `","id":"`...)
	b = append(b, r.ID...)
	return append(b, "\"}\n"...)
}

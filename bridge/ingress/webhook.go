package ingress

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
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
	reception, err := s.intake.begin(c.Response())
	if err != nil {
		return err
	}
	defer s.intake.end(reception)
	buffer := newBuffer()
	match, err := s.receive(c, source, reception, buffer, began)
	if err != nil {
		reuse(buffer)
		return err
	}
	source.metrics.matched(match)
	sender := connOf(c.Request().Context())
	s.connections.vouch(sender)
	defer s.connections.answered(sender)

	// The sender going away is no reason to stop: what arrived whole is kept.
	ctx, cancel := context.WithDeadlineCause(context.WithoutCancel(c.Request().Context()), began.Add(s.opts.AnswerDeadline), errDeadline)
	defer cancel()
	receipt, err := s.accepter.Accept(ctx, bridge.Webhook{
		Source: source.name, Rendering: match.Rendering, Key: match.Key, Body: match.Body, Received: began,
		Traceparent: traceparent(c.Request()), MaxAge: source.MaxAge,
	})
	if err != nil {
		return err // the spool may have the body still
	}
	reuse(buffer)
	source.metrics.took(receipt, match.Key)
	s.describe(c, source.name, string(receipt.Status), receipt.ID)
	s.closeIfStopping(c.Response().Header())
	return c.JSONBlob(http.StatusOK, answer(receipt))
}

// receive reads a body into buffer and verifies it, for a request that came at a time. A
// sender from elsewhere than the source allows gets the answer to a wrong key, and costs
// no more than its header.
func (s *Server) receive(c echo.Context, source *Source, r *reception, buffer *bytes.Buffer, at time.Time) (zenduty.Match, error) {
	if len(source.Allow) > 0 && !within(s.client(c.Request()), source.Allow) {
		return zenduty.Match{}, s.failures.orTooMany(s.client(c.Request()), errNotAllowed)
	}
	room := func(bytes int64) error { return s.intake.reserve(r, bytes) }
	err := readBody(buffer, c.Response(), c.Request(), s.opts.MaxBodyBytes, room)
	if s.intake.received(r) {
		return zenduty.Match{}, errEvicted
	}
	if err != nil {
		return zenduty.Match{}, err
	}
	return s.verify(c.Request(), source, r, buffer.Bytes(), at)
}

// verify checks credentials and signature of a request that came at a time, always both,
// so that the time it takes does not tell which of them is wrong. Python's renderings are
// made by turns: they take up to 0.1 µs a byte of a body that may have come as a
// thousandth of that, and several times its size in memory. A webhook that is signed as
// it was sent waits for nobody's.
func (s *Server) verify(request *http.Request, source *Source, r *reception, body []byte, at time.Time) (zenduty.Match, error) {
	signature := signatureOf(request)
	match, failure := source.Verifier.VerifyRaw(body, signature, at)
	if failure != nil && source.Verifier.Mode() == zenduty.ModeAuto {
		if err := s.intake.awaitTurn(request.Context(), r, len(body), at.Add(s.opts.AnswerDeadline)); err != nil {
			return zenduty.Match{}, err
		}
		match, failure = func() (zenduty.Match, error) {
			defer s.intake.endTurn()
			return source.Verifier.Verify(body, signature, at)
		}()
	}
	s.intake.verified(r)
	if err := source.BasicAuth.check(request); err != nil {
		failure = err
	}
	if failure != nil {
		return zenduty.Match{}, s.failures.orTooMany(s.client(request), failure)
	}
	return match, nil
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

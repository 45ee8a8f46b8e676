package ingress

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
)

// errDeadline is the cause when the disk was too slow for the answer.
var errDeadline = errors.New("not on disk within the deadline")

// webhook answers POST /webhooks/{source}: read, verify, accept, 200.
// Its errors are answered by answerError.
func (s *Server) webhook(c echo.Context) error {
	began := time.Now()
	defer func() { s.metrics.seconds.Observe(time.Since(began).Seconds()) }()

	name := c.Param("source")
	source, ok := s.sources[name]
	if !ok {
		return errUnknownSource
	}
	body, err := readBody(c.Response(), c.Request(), s.opts.MaxBodyBytes)
	if err != nil {
		return err
	}
	match, err := source.verify(c.Request(), body)
	if err != nil {
		return s.failures.orTooMany(c.Request(), err)
	}
	s.metrics.matches.WithLabelValues(name, string(match.Rendering), match.Key).Inc()

	// The sender going away is no reason to stop: what arrived whole is kept.
	ctx, cancel := context.WithDeadlineCause(context.WithoutCancel(c.Request().Context()), began.Add(s.opts.AnswerDeadline), errDeadline)
	defer cancel()
	receipt, err := s.accepter.Accept(ctx, bridge.Webhook{
		Source: name, Rendering: match.Rendering, Key: match.Key, Body: match.Body, Received: began,
	})
	if err != nil {
		return err
	}
	s.metrics.webhooks.WithLabelValues(name, string(receipt.Status)).Inc()
	return c.JSON(http.StatusOK, answer{Status: string(receipt.Status), ID: receipt.ID})
}

// answer is the body of a 200.
type answer struct {
	Status string `json:"status"` // accepted, duplicate or quarantined
	ID     string `json:"id"`     // the webhook's id, as in Nats-Msg-Id
}

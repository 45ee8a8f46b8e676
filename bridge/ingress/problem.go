package ingress

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

var errUnknownSource = errors.New("unknown source")

// problem is the body of every answer but 200 (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// refusal is how an error is answered and counted.
type refusal struct {
	err     error
	status  int
	outcome string // label of webhooks_total
	detail  string // empty: the error's own text, which then holds nothing but ours
}

const detailUnauthorized = "signature or credentials are missing, malformed or wrong"

// refusals, first match wins. An authentication's reason is counted, not told.
var refusals = []refusal{
	{errUnknownSource, http.StatusNotFound, "unknown_source", "no such source"},
	{echo.ErrNotFound, http.StatusNotFound, "not_found", "webhooks are posted to /webhooks/{source}"},
	{echo.ErrMethodNotAllowed, http.StatusMethodNotAllowed, "method_not_allowed", "webhooks are posted"},
	{errTooLarge, http.StatusRequestEntityTooLarge, "too_large", ""},
	{errUnreadable, http.StatusBadRequest, "unreadable", "the body cannot be read: bad transfer or content encoding, cut off, or too slow"},
	{errTooManyFailures, http.StatusTooManyRequests, "rate_limited", "too many failed authentications from this address"},
	{zenduty.ErrMissingSignature, http.StatusUnauthorized, "missing_signature", detailUnauthorized},
	{zenduty.ErrMalformedSignature, http.StatusUnauthorized, "malformed_signature", detailUnauthorized},
	{zenduty.ErrWrongSignature, http.StatusUnauthorized, "wrong_signature", detailUnauthorized},
	{zenduty.ErrKeyNotValid, http.StatusUnauthorized, "key_not_valid", detailUnauthorized},
	{errNoCredentials, http.StatusUnauthorized, "missing_credentials", detailUnauthorized},
	{errWrongCredentials, http.StatusUnauthorized, "wrong_credentials", detailUnauthorized},
	{spool.ErrFull, http.StatusServiceUnavailable, "spool_full", "no space, try again later"},
	{spool.ErrFailed, http.StatusServiceUnavailable, "spool_failed", "storage failed, try again later"},
	{spool.ErrClosed, http.StatusServiceUnavailable, "closing", "closing, try again"},
	{errDeadline, http.StatusServiceUnavailable, "deadline", "not on disk in time, try again"},
}

// unforeseen is the answer to what is not in the table: refused, to be retried.
var unforeseen = refusal{status: http.StatusServiceUnavailable, outcome: "error", detail: "try again later"}

func refusalOf(err error) refusal {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			if r.detail == "" {
				r.detail = err.Error()
			}
			return r
		}
	}
	return unforeseen
}

// answerError is the one place that makes an answer of an error.
func (s *Server) answerError(err error, c echo.Context) {
	r := refusalOf(err)
	source, name := s.sourceOf(c), unknownSource
	if source != nil {
		name = source.name
	}
	s.metrics.refused(source, r.outcome)
	s.logRefusal(c, name, r, err)
	describe(c, name, r.outcome, "")
	if c.Response().Committed {
		return
	}
	header := c.Response().Header()
	s.closeIfStopping(header)
	switch r.status {
	case http.StatusUnauthorized:
		header.Set(echo.HeaderWWWAuthenticate, challenge(source))
	case http.StatusTooManyRequests:
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(1/s.opts.FailedAuthRate))))
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", "5")
	}
	writeProblem(c.Response(), r)
}

func writeProblem(w http.ResponseWriter, r refusal) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(r.status)
	_ = json.NewEncoder(w).Encode(problem{ // the sender may be gone
		Type: "about:blank", Title: http.StatusText(r.status), Status: r.status, Detail: r.detail,
	})
}

// sourceOf is the source that the request began with, or else was meant for; nil if
// there is none of that name.
func (s *Server) sourceOf(c echo.Context) *Source {
	if source, ok := c.Get(sourceOfRequest).(*Source); ok {
		return source
	}
	return s.source(strings.TrimPrefix(c.Request().URL.Path, "/webhooks/"))
}

// challenge is what RFC 9110, section 11.6.1, wants with a 401.
func challenge(source *Source) string {
	if source != nil && source.BasicAuth != nil {
		return `Basic realm="zenduty-bridge", charset="UTF-8"`
	}
	return zenduty.SignatureHeader
}

// logRefusal says who was refused and why, without letting a flood fill the log.
func (s *Server) logRefusal(c echo.Context, source string, r refusal, err error) {
	s.refusals.Do(func() {
		s.opts.Logger.Warn("webhook refused", "source", source, "remote", c.Request().RemoteAddr,
			"status", r.status, "outcome", r.outcome, "error", fmt.Sprintf("%.200s", err))
	})
}

package ingress

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

var (
	errUnknownSource = errors.New("unknown source")
	errPanic         = errors.New("panic")
)

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
	detail  string
}

const (
	detailUnauthorized = "signature or credentials are missing, malformed or wrong"
	detailUnreadable   = "the body cannot be read: bad transfer or content encoding, cut off, or too slow"
	detailBusy         = "too many requests at once, try again"
)

// refusals, first match wins. An authentication's reason is counted, not told.
var refusals = []refusal{
	{errUnknownSource, http.StatusNotFound, "unknown_source", "no such source"},
	{echo.ErrNotFound, http.StatusNotFound, "not_found", "webhooks are posted to /webhooks/{source}"},
	{echo.ErrMethodNotAllowed, http.StatusMethodNotAllowed, "method_not_allowed", "webhooks are posted"},
	{errTooLarge, http.StatusRequestEntityTooLarge, "too_large", "the body is too large, as sent or unpacked"},
	{errSlow, http.StatusBadRequest, "body_timeout", detailUnreadable},
	{errUnreadable, http.StatusBadRequest, "unreadable", detailUnreadable},
	{errTooManyFailures, http.StatusTooManyRequests, "rate_limited", "too many failed authentications from this address"},
	{zenduty.ErrMissingSignature, http.StatusUnauthorized, "missing_signature", detailUnauthorized},
	{zenduty.ErrMalformedSignature, http.StatusUnauthorized, "malformed_signature", detailUnauthorized},
	{zenduty.ErrWrongSignature, http.StatusUnauthorized, "wrong_signature", detailUnauthorized},
	{zenduty.ErrKeyNotValid, http.StatusUnauthorized, "key_not_valid", detailUnauthorized},
	{errNoCredentials, http.StatusUnauthorized, "missing_credentials", detailUnauthorized},
	{errWrongCredentials, http.StatusUnauthorized, "wrong_credentials", detailUnauthorized},
	{errNotAllowed, http.StatusUnauthorized, "not_allowed", detailUnauthorized},
	{bridge.ErrStale, http.StatusUnprocessableEntity, "stale", "authentic, but its event is older than is taken here"},
	{errBusy, http.StatusServiceUnavailable, "busy", detailBusy},
	{errEvicted, http.StatusServiceUnavailable, "evicted", detailBusy},
	{spool.ErrFull, http.StatusServiceUnavailable, "spool_full", "no space, try again later"},
	{spool.ErrFailed, http.StatusServiceUnavailable, "spool_failed", "storage failed, try again later"},
	{spool.ErrClosed, http.StatusServiceUnavailable, "closing", "closing, try again"},
	{errDeadline, http.StatusServiceUnavailable, "deadline", "not on disk in time, try again"},
	{errPanic, http.StatusInternalServerError, "error", "an error of the bridge"},
}

// unforeseen is the answer to what is not in the table: refused, to be retried.
var unforeseen = refusal{status: http.StatusServiceUnavailable, outcome: "error", detail: "try again later"}

func refusalOf(err error) refusal {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
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
	s.describe(c, name, r.outcome, "")
	if c.Response().Committed {
		return
	}
	if r.status == http.StatusTooManyRequests && !errors.Is(err, errNotAllowed) { // whose body is not read, and held in memory over HTTP/2
		s.failures.hold(c.Request().Context())
	}
	header := c.Response().Header()
	s.closeIfStopping(header)
	switch r.status {
	case http.StatusUnauthorized:
		header.Set(echo.HeaderWWWAuthenticate, challenge(source))
	case http.StatusRequestEntityTooLarge:
		r.detail = fmt.Sprintf("%s: at most %d bytes are taken", r.detail, s.opts.MaxBodyBytes)
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
		s.opts.Logger.Warn("webhook refused", "source", source, "client", s.client(c.Request()), "remote", c.Request().RemoteAddr,
			"status", r.status, "outcome", r.outcome, "error", fmt.Sprintf("%.200s", err))
	})
}

// recovered makes an error of a handler's panic, whose stack is for the log alone.
func (s *Server) recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p) // net/http's own way to end a connection
			default:
				s.opts.Logger.Error("panic in a handler", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				err = errPanic
			}
		}()
		return next(c)
	}
}

package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// Problem is the body of every answer of the API but 2xx (RFC 9457).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"` // what is wrong, and the remedy
}

// ErrStopping is why a bridge that was told to stop is not ready.
var ErrStopping = errors.New("stopping")

var (
	errBadRequest  = errors.New("bad request")
	errNoRoute     = errors.New("no such route; the API is described at " + apiPrefix + "/openapi.yaml")
	errMethod      = errors.New("this route does not take that method")
	errCrossOrigin = errors.New("a page of another origin asks for that: type the address, or copy it into the browser's address bar")
)

// problem is how an error is answered. The text of a fault of the bridge's own may have
// paths in it: detail is what is told in its place, and the log has the rest.
type problem struct {
	err    error
	status int
	detail string // "": the error's own text
}

// problems, first match wins.
var problems = []problem{
	{errBadRequest, http.StatusBadRequest, ""},
	{bridge.ErrBadID, http.StatusBadRequest, ""},
	{bridge.ErrBadReplay, http.StatusBadRequest, ""},
	{errNoToken, http.StatusUnauthorized, ""},
	{errWrongToken, http.StatusUnauthorized, ""},
	{errExposed, http.StatusForbidden, ""},
	{errBeyond, http.StatusForbidden, ""},
	{errHost, http.StatusForbidden, ""},
	{errCrossOrigin, http.StatusForbidden, ""},
	{errNoRoute, http.StatusNotFound, ""},
	{bridge.ErrNotHeld, http.StatusNotFound, ""},
	{bridge.ErrNotQuarantined, http.StatusNotFound, ""},
	{bridge.ErrNoReplay, http.StatusNotFound, ""},
	{bridge.ErrReplayRuns, http.StatusConflict, ""},
	{bridge.ErrReplayDone, http.StatusConflict, ""},
	{errMethod, http.StatusMethodNotAllowed, ""},
	{bridge.ErrUnkeyable, http.StatusConflict, ""},
	{ErrStopping, http.StatusServiceUnavailable, "the bridge is stopping"},
	{spool.ErrFull, http.StatusServiceUnavailable, "the spool or its disk is full"},
	{spool.ErrClosed, http.StatusServiceUnavailable, "the spool is closed: the bridge is stopping"},
	{spool.ErrFailed, http.StatusServiceUnavailable, "the spool has failed: the bridge's log says how"},
	{spool.ErrDamaged, http.StatusInternalServerError, "the spool is damaged: the bridge's log says where, and zenduty-bridge spool verify what else is"},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "it was not done within the time that an answer has"},
	{context.Canceled, http.StatusServiceUnavailable, "the request was given up"}, // nobody is there to read it
}

func problemOf(err error) problem {
	for _, p := range problems {
		if errors.Is(err, p.err) {
			return p
		}
	}
	return problem{status: http.StatusInternalServerError, detail: "a fault of the bridge itself: its log says more"}
}

// retryAfter is when to come again after a 503, in seconds.
const retryAfter = "5"

// answerError is the one place that makes an answer of an error.
func answerError(w http.ResponseWriter, err error) {
	p := problemOf(err)
	w.Header().Set("Content-Type", "application/problem+json")
	switch p.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="zenduty-bridge"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(Problem{ // the asker may be gone
		Type: "about:blank", Title: http.StatusText(p.status), Status: p.status, Detail: cmp.Or(p.detail, err.Error()),
	})
}

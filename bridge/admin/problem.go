package admin

import (
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

var (
	errBadRequest  = errors.New("bad request")
	errNoRoute     = errors.New("no such route; the API is described at " + apiPrefix + "/openapi.yaml")
	errMethod      = errors.New("this route does not take that method")
	errCrossOrigin = errors.New("a page of another origin asks for that: type the address, or copy it into the browser's address bar")
)

// problems is how errors are answered, first match wins; others are 500.
var problems = []struct {
	err    error
	status int
}{
	{errBadRequest, http.StatusBadRequest},
	{bridge.ErrBadID, http.StatusBadRequest},
	{bridge.ErrBadReplay, http.StatusBadRequest},
	{errNoToken, http.StatusUnauthorized},
	{errWrongToken, http.StatusUnauthorized},
	{errExposed, http.StatusForbidden},
	{errBeyond, http.StatusForbidden},
	{errHost, http.StatusForbidden},
	{errCrossOrigin, http.StatusForbidden},
	{errNoRoute, http.StatusNotFound},
	{bridge.ErrNotHeld, http.StatusNotFound},
	{bridge.ErrNotQuarantined, http.StatusNotFound},
	{bridge.ErrNoReplay, http.StatusNotFound},
	{bridge.ErrReplayRuns, http.StatusConflict},
	{bridge.ErrReplayDone, http.StatusConflict},
	{errMethod, http.StatusMethodNotAllowed},
	{bridge.ErrUnkeyable, http.StatusConflict},
	{spool.ErrClosed, http.StatusServiceUnavailable},
	{spool.ErrFailed, http.StatusServiceUnavailable},
	{context.DeadlineExceeded, http.StatusServiceUnavailable},
	{context.Canceled, http.StatusServiceUnavailable}, // nobody is there to read it
}

func statusOf(err error) int {
	for _, p := range problems {
		if errors.Is(err, p.err) {
			return p.status
		}
	}
	return http.StatusInternalServerError
}

// answerError is the one place that makes an answer of an error. Its text is told:
// whoever may ask is an operator.
func answerError(w http.ResponseWriter, err error) {
	status := statusOf(err)
	w.Header().Set("Content-Type", "application/problem+json")
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="zenduty-bridge"`)
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Problem{ // the asker may be gone
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: err.Error(),
	})
}

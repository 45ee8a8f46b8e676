package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
)

// Webhooks tells of those that are held, as *bridge.Bridge does.
type Webhooks interface {
	Trace(ctx context.Context, q bridge.Query) (bridge.Trace, error)
	Body(ctx context.Context, id string) ([]byte, error)
}

func webhookRoutes(s Webhooks) []route {
	if s == nil {
		return nil
	}
	searching := make(chan struct{}, 1) // full while a search goes over all that is held
	search := func(ctx context.Context, q bridge.Query) (bridge.Trace, error) {
		if q.ID != "" { // which is one look
			return s.Trace(ctx, q)
		}
		select {
		case searching <- struct{}{}:
			defer func() { <-searching }()
			return s.Trace(ctx, q)
		case <-ctx.Done():
			return bridge.Trace{}, fmt.Errorf("wait for the end of another search: %w", ctx.Err())
		}
	}
	return []route{
		{method: "GET", path: "/webhooks", handle: func(w http.ResponseWriter, r *http.Request) error {
			q, err := readQuery(r.URL.Query())
			if err != nil {
				return err
			}
			trace, err := search(r.Context(), q)
			if err != nil {
				return err
			}
			return writeJSON(w, http.StatusOK, trace)
		}},
		{method: "GET", path: "/webhooks/{id}/body", guarded: true, handle: func(w http.ResponseWriter, r *http.Request) error {
			body, err := s.Body(r.Context(), r.PathValue("id"))
			if err != nil {
				return err
			}
			w.Header().Set("Content-Type", "application/octet-stream") // whatever it looks like, it is for no browser to show
			_, _ = w.Write(body)                                       // the asker may be gone
			return nil
		}},
	}
}

// readQuery wants exactly one of id, incident and number.
func readQuery(values url.Values) (q bridge.Query, err error) {
	q = bridge.Query{ID: values.Get("id"), Incident: values.Get("incident"), Source: values.Get("source")}
	ways := 0
	for _, way := range []string{"id", "incident", "number"} {
		if values.Get(way) != "" {
			ways++
		}
	}
	if ways != 1 {
		return q, fmt.Errorf("%w: give one of id, incident and number", errBadRequest)
	}
	if text := values.Get("number"); text != "" {
		if q.Number, err = strconv.ParseInt(text, 10, 64); err != nil || q.Number < 1 {
			return q, fmt.Errorf("%w: number must be a whole number above 0", errBadRequest)
		}
	}
	q.Limit, err = readLimit(values)
	return q, err
}

// Bounds of a list.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func readLimit(values url.Values) (int, error) {
	text := values.Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, fmt.Errorf("%w: limit must be a whole number from 1 to %d", errBadRequest, maxLimit)
	}
	return limit, nil
}

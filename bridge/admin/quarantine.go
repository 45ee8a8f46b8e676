package admin

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
)

// Quarantine is what could not be keyed or published, as *bridge.Bridge keeps it.
type Quarantine interface {
	Quarantine(ctx context.Context, from uint64, limit int) (bridge.QuarantinePage, error)
	Quarantined(ctx context.Context, id string) (bridge.Held, error)
	Retry(ctx context.Context, id string) (bridge.Held, error)
	Drop(ctx context.Context, id string) error
}

func quarantineRoutes(q Quarantine) []route {
	if q == nil {
		return nil
	}
	return []route{
		{method: "GET", path: "/quarantine", handle: func(w http.ResponseWriter, r *http.Request) error {
			return listQuarantine(q, w, r)
		}},
		{method: "GET", path: "/quarantine/{id}", handle: func(w http.ResponseWriter, r *http.Request) error {
			held, err := q.Quarantined(r.Context(), r.PathValue("id"))
			if err != nil {
				return err
			}
			return writeJSON(w, http.StatusOK, held)
		}},
		{method: "POST", path: "/quarantine/{id}/retry", guarded: true, handle: func(w http.ResponseWriter, r *http.Request) error {
			held, err := q.Retry(r.Context(), r.PathValue("id"))
			if err != nil {
				return err
			}
			return writeJSON(w, http.StatusAccepted, held)
		}},
		{method: "DELETE", path: "/quarantine/{id}", guarded: true, handle: func(w http.ResponseWriter, r *http.Request) error {
			if err := q.Drop(r.Context(), r.PathValue("id")); err != nil {
				return err
			}
			w.WriteHeader(http.StatusNoContent)
			return nil
		}},
	}
}

func listQuarantine(q Quarantine, w http.ResponseWriter, r *http.Request) error {
	values := r.URL.Query()
	limit, err := readLimit(values)
	if err != nil {
		return err
	}
	from := uint64(0)
	if text := values.Get("from"); text != "" {
		if from, err = strconv.ParseUint(text, 10, 64); err != nil {
			return fmt.Errorf("%w: from must be the next of the page before", errBadRequest)
		}
	}
	page, err := q.Quarantine(r.Context(), from, limit)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, page)
}

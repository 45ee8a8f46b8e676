package admin

import (
	"context"
	"net/http"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/health"
)

// Audits tells what was found by the last look, and does not look.
type Audits interface {
	Audit(ctx context.Context) (health.Audit, error)
}

func auditRoutes(a Audits) []route {
	if a == nil {
		return nil
	}
	return []route{{method: "GET", path: "/audit", handle: func(w http.ResponseWriter, r *http.Request) error {
		audit, err := a.Audit(r.Context())
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, audit)
	}}}
}

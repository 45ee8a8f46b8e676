package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// Statuses tells how a whole bridge is, without waiting for NATS for long.
type Statuses interface {
	Status(ctx context.Context) (Status, error)
}

// Status is how a bridge is at the moment Now, by its clock.
type Status struct {
	Version string    `json:"version"`
	Commit  string    `json:"commit"`
	Started time.Time `json:"started"`
	Now     time.Time `json:"now"`

	bridge.Report
	Replay  *bridge.Replay             `json:"replay,omitempty"` // the one that runs
	NATS    publisher.ConnectionReport `json:"nats"`
	Stream  publisher.StreamReport     `json:"stream"`
	Sources []Source                   `json:"sources"` // by name
}

// Source is a sender and what has come from it since the bridge was started.
type Source struct {
	Name      string `json:"name"`
	Signature string `json:"signature"` // auto, raw or none
	// LastWebhook is when the last was answered with 200 since the bridge was started,
	// canaries aside.
	LastWebhook time.Time         `json:"last_webhook,omitzero"`
	Webhooks    map[string]uint64 `json:"webhooks"` // requests by outcome, as in zenduty_bridge_webhooks_total; without those that are 0
	Matches     []Match           `json:"matches"`  // authentic webhooks
	Keys        []Key             `json:"keys"`     // in the order of the configuration
}

// Key is a signing key and when it was last of use.
type Key struct {
	Name      string    `json:"name"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	State     KeyState  `json:"state"`
	LastUsed  time.Time `json:"last_used,omitzero"` // since the bridge was started, canaries aside
}

// KeyState is whether a key is valid.
type KeyState string

// A key is in one of three states.
const (
	KeyNotYetValid KeyState = "not_yet_valid"
	KeyValid       KeyState = "valid"
	KeyExpired     KeyState = "expired"
)

// Match is what signatures were found to be of.
type Match struct {
	Rendering string `json:"rendering"`
	Key       string `json:"key"` // its name
	Webhooks  uint64 `json:"webhooks"`
}

func statusRoutes(s Statuses) []route {
	if s == nil {
		return nil
	}
	return []route{{method: "GET", path: "/status", handle: func(w http.ResponseWriter, r *http.Request) error {
		status, err := s.Status(r.Context())
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, status)
	}}}
}

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/config"
)

// healthcheckCommand asks a running bridge; a container's health check.
type healthcheckCommand struct {
	Admin   string        `env:"ZENDUTY_BRIDGE_ADMIN" default:"${admin}" placeholder:"URL" help:"Where the running bridge's admin API is."`
	Timeout time.Duration `default:"3s" help:"How long the answer may take."`
}

// Run asks /readyz and fails with the reason it gives.
func (c *healthcheckCommand) Run(p *program) error {
	ctx, cancel := context.WithTimeout(p.ctx, c.Timeout)
	defer cancel()
	url := strings.TrimSuffix(c.Admin, "/") + "/readyz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usageError{fmt.Errorf("--admin: %w", err)}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no bridge answers: %w", err)
	}
	defer response.Body.Close()
	reason, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", strings.TrimSpace(string(reason)))
	}
	return nil
}

// adminDefault is --admin's default, in one place with the configuration's.
func adminDefault() string { return config.Default().Admin }

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	if err := c.check(); err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithTimeout(p.ctx, c.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Admin, "/")+"/readyz", nil)
	if err != nil {
		return usageError{fmt.Errorf("--admin: %w", err)}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no bridge answers: %w (start it, or say with --admin or ZENDUTY_BRIDGE_ADMIN where its admin_listen is)", err)
	}
	defer response.Body.Close()
	reason, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	switch {
	case err != nil:
		return fmt.Errorf("ask %s: %w", c.Admin, err)
	case response.StatusCode == http.StatusServiceUnavailable:
		return fmt.Errorf("not ready: %s", strings.TrimSpace(string(reason)))
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s says %s: that is not a bridge's admin_listen; --admin or ZENDUTY_BRIDGE_ADMIN names it", c.Admin, response.Status)
	}
	return nil
}

func (c *healthcheckCommand) check() error {
	u, err := url.Parse(c.Admin)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("--admin %s: not where a bridge's admin API is: give a URL such as %s", c.Admin, adminDefault())
	case c.Timeout <= 0:
		return errors.New("--timeout must be above 0")
	}
	return nil
}

// adminDefault is --admin's default, in one place with the configuration's.
func adminDefault() string { return config.Default().Admin }

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
	CAFile  string        `name:"admin-ca-file" env:"ZENDUTY_BRIDGE_ADMIN_CA_FILE" placeholder:"FILE" help:"Authorities or certificates to trust there, besides the system's (PEM)."`
	Timeout time.Duration `default:"3s" help:"How long the answer may take."`
}

// Run asks /readyz and fails with the reason it gives.
func (c *healthcheckCommand) Run(p *program) error {
	if err := c.check(); err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithTimeout(p.ctx, c.Timeout)
	defer cancel()
	operators, err := newAdminHTTP(c.Admin, c.CAFile)
	if err != nil {
		return err
	}
	_, err = askReady(ctx, operators, c.Admin)
	if silent := new(url.Error); errors.As(err, &silent) {
		return fmt.Errorf("%w (start it, or say with --admin or ZENDUTY_BRIDGE_ADMIN where its admin_listen is)", err)
	}
	return err
}

// askReady asks /readyz of the admin address at a URL; nil if a webhook would be taken.
// With an error, runs tells whether it is a bridge that gives it as the reason.
func askReady(ctx context.Context, operators *http.Client, admin string) (runs bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(admin, "/")+"/readyz", nil)
	if err != nil {
		return false, usageError{fmt.Errorf("--admin: %w", err)}
	}
	response, err := operators.Do(request)
	if err != nil {
		return false, fmt.Errorf("no bridge answers: %w", err)
	}
	defer response.Body.Close()
	reason, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	switch {
	case err != nil:
		return false, fmt.Errorf("ask %s: %w", admin, err)
	case response.StatusCode == http.StatusServiceUnavailable:
		return true, fmt.Errorf("not ready: %s", strings.TrimSpace(string(reason)))
	case response.StatusCode != http.StatusOK:
		return false, fmt.Errorf("%s says %s: that is not a bridge's admin_listen; --admin or ZENDUTY_BRIDGE_ADMIN names it", admin, response.Status)
	}
	return true, nil
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

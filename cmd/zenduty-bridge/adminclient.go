package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/admin"
	"github.com/zenduty-bridge/zenduty-bridge/config"
)

// adminFlags say where a running bridge is and how to prove to it who asks. Names
// and variables are those of serve, so that one set of them serves both.
type adminFlags struct {
	Admin     *string `env:"ZENDUTY_BRIDGE_ADMIN" placeholder:"URL" help:"Where the running bridge's admin API is (${admin})."`
	CAFile    *string `name:"admin-ca-file" env:"ZENDUTY_BRIDGE_ADMIN_CA_FILE" placeholder:"FILE" help:"Authorities or certificates to trust there, besides the system's (PEM), for an https URL."`
	TokenFile *string `name:"admin-token-file" env:"ZENDUTY_BRIDGE_ADMIN_TOKEN_FILE" placeholder:"FILE" help:"File with the bridge's admin_token, if it has one. ZENDUTY_BRIDGE_ADMIN_TOKEN gives the token itself."`
}

// adminClient asks a running bridge's API.
type adminClient struct {
	url   string // with a slash at the end
	token config.Secret
	http  *http.Client
}

// adminTimeout is above the time within which the API answers.
const adminTimeout = 30 * time.Second

func (f adminFlags) client(p *program) (*adminClient, error) {
	cfg, err := config.Load(config.Flags{Admin: f.Admin, AdminTokenFile: f.TokenFile, AdminCAFile: f.CAFile}, func(name string) (string, bool) {
		if name != "ZENDUTY_BRIDGE_ADMIN_TOKEN" {
			return "", false // of no use here, so that a wrong setting of it does no harm
		}
		return p.getenv(name)
	})
	if err = config.Without(err, config.ErrNoKey); err != nil {
		return nil, usageError{err}
	}
	client, err := newAdminHTTP(cfg.Admin, cfg.AdminCAFile)
	if err != nil {
		return nil, err
	}
	client.Timeout = adminTimeout
	return &adminClient{url: strings.TrimSuffix(cfg.Admin, "/") + "/api/v1/", token: cfg.AdminToken, http: client}, nil
}

// get asks for a path below /api/v1 and reads the answer's JSON into out.
func (c *adminClient) get(ctx context.Context, path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, out)
}

// do sends in as JSON, if it is not nil, and reads the answer into out, if that is
// not nil: into a *[]byte as it is, else from JSON. An answer that is not 2xx is an
// *apiError.
func (c *adminClient) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if !c.token.IsZero() {
		r.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	response, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return c.unreachable(err)
	}
	return c.read(response, text, out)
}

func (c *adminClient) read(response *http.Response, text []byte, out any) error {
	if response.StatusCode/100 != 2 {
		return c.refused(response, text)
	}
	switch out := out.(type) {
	case nil:
	case *[]byte:
		*out = text
	default:
		if err := json.Unmarshal(text, out); err != nil {
			return fmt.Errorf("the answer of %s is none of a bridge's: %w", c.url, err)
		}
	}
	return nil
}

// unreachable is for no answer, or half of one.
func (c *adminClient) unreachable(err error) error {
	var late net.Error
	var failed *url.Error
	switch isLate := errors.As(err, &late) && late.Timeout(); {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted before %s had answered: %w", c.url, context.Canceled)
	case isLate:
		return fmt.Errorf("%s does not answer within %s: the bridge or its disk is busy, or nothing gets there (try again, see the bridge's log, or say with --admin or ZENDUTY_BRIDGE_ADMIN where it is)", c.url, c.http.Timeout)
	case errors.As(err, &failed):
		err = failed.Err // the URL is told once
	}
	return fmt.Errorf("no bridge answers at %s: %w (start it, or say with --admin or ZENDUTY_BRIDGE_ADMIN where it is)", c.url, err)
}

// apiError is an answer that is not 2xx.
type apiError struct {
	admin.Problem
	url string
}

// Error is what the bridge says, which includes the remedy.
func (e *apiError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("%s answers %d %s: is that the admin address of a bridge of this version?", e.url, e.Status, e.Title)
	}
	return e.Detail
}

func (c *adminClient) refused(response *http.Response, text []byte) error {
	e := &apiError{url: c.url}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/problem+json") {
		_ = json.Unmarshal(text, &e.Problem) // what is not there is not told
	}
	e.Status, e.Title = response.StatusCode, http.StatusText(response.StatusCode)
	return e
}

// isStatus tells whether a bridge answered with that status.
func isStatus(err error, status int) bool {
	var e *apiError
	return errors.As(err, &e) && e.Status == status
}

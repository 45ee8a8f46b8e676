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
	"syscall"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// target is a source of a bridge, and how to prove to it who is posting.
type target struct {
	url            string
	key            string // empty: not signed
	user, password string // Basic auth if user is not empty
	timeout        time.Duration
	client         *http.Client
}

// newTarget completes a URL without a path by the default source's. connections
// is how many requests may be under way at once.
func newTarget(rawURL string, timeout time.Duration, connections int, trust trusting) (*target, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usageError{fmt.Errorf("--url %s: not the URL of a source: give one such as %s", rawURL, defaultURL)}
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = defaultPath
	}
	transport, err := newTransport(u, trust)
	if err != nil {
		return nil, usageError{fmt.Errorf("certificates to trust: %w", err)}
	}
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = connections, connections
	return &target{
		url: u.String(), timeout: timeout,
		client: &http.Client{Transport: transport, CheckRedirect: dontFollow},
	}, nil
}

const (
	defaultPath = "/webhooks/zenduty"
	defaultURL  = "http://127.0.0.1:8080" + defaultPath
)

// dontFollow: a redirect is not a 200, and Zenduty is not known to follow one.
func dontFollow(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// answer is what a bridge said to one webhook.
type answer struct {
	Status  int    // of HTTP; 0 if there was no answer
	Outcome string // the word of a 200, the reason of any other answer or of none
	ID      string // the webhook's, from a 200
}

func (a answer) taken() bool { return a.Status == http.StatusOK }

// post sends one webhook and reads the answer, within the time-out.
func (t *target) post(ctx context.Context, body []byte) answer {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return answer{Outcome: err.Error()}
	}
	request.Header.Set("Content-Type", "application/json")
	if t.key != "" {
		request.Header.Set(zenduty.SignatureHeader, zenduty.Sign(t.key, body))
	}
	if t.user != "" {
		request.SetBasicAuth(t.user, t.password)
	}
	response, err := t.client.Do(request)
	if err != nil {
		return answer{Outcome: t.unanswered(err)}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return answer{Outcome: t.unanswered(err)}
	}
	return readAnswer(response.StatusCode, text)
}

// readAnswer understands a bridge's JSON, and makes do without.
func readAnswer(status int, text []byte) answer {
	var said struct {
		Status any    `json:"status"` // a word in a 200, the number in a problem (RFC 9457)
		ID     string `json:"id"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(text, &said) // a proxy in between may answer anything
	a := answer{Status: status, ID: said.ID, Outcome: http.StatusText(status)}
	word, _ := said.Status.(string)
	for _, outcome := range []string{said.Title, said.Detail, word} {
		if outcome != "" {
			a.Outcome = visible(outcome)
		}
	}
	return a
}

// unanswered says why there is no answer, in the same words each time: ports and
// addresses would make every one another outcome.
func (t *target) unanswered(err error) string {
	var number syscall.Errno
	var named *net.DNSError
	var outer *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %s", t.timeout)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before the answer"
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &named):
		return named.Error()
	case errors.As(err, &outer):
		return outer.Err.Error()
	}
	return err.Error()
}

package integration

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// What the configuration says of proxies, networks, ages and sizes is what a bridge goes
// by.
func TestLimitsAreConfigured(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bridge.yaml")
	text := "sources:\n  zenduty:\n    allow: [192.0.2.0/24]\n    max_age: 1h\n" +
		"ingress:\n  trusted_proxies: [127.0.0.1]\n  max_header_bytes: 4KiB\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b := startBridge(t, t.TempDir(), "--config", file)
	const client = "X-Forwarded-For"
	created := func(at time.Time) []byte {
		date := at.UTC().Format(time.RFC3339)
		return []byte(`{"payload": {"event_type": "triggered", "incident": {"unique_id": "i", "creation_date": "` + date + `"}}}`)
	}
	fresh, old := created(time.Now()), created(time.Now().Add(-2*time.Hour))
	for _, test := range []struct {
		name        string
		body        []byte
		header, say string
		status      int
		problem     string // in its text
	}{
		{"allowed", fresh, client, "192.0.2.7", http.StatusOK, ""},
		{"not allowed", fresh, client, "198.51.100.7", http.StatusUnauthorized, "signature or credentials"},
		{"the proxy's own", fresh, "X-Other", "192.0.2.7", http.StatusUnauthorized, "signature or credentials"},
		{"old", old, client, "192.0.2.7", http.StatusUnprocessableEntity, "older than is taken"},
		{"header too large", fresh, client, "192.0.2.7" + strings.Repeat(", 127.0.0.1", 5000), http.StatusRequestHeaderFieldsTooLarge, ""},
	} {
		request, err := http.NewRequest(http.MethodPost, b.url, bytes.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(test.header, test.say)
		request.Header.Set(zenduty.SignatureHeader, zenduty.Sign(signingKey, test.body))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var problem struct{ Detail string }
		_ = json.NewDecoder(response.Body).Decode(&problem) // not every answer is one
		response.Body.Close()
		if response.StatusCode != test.status || !strings.Contains(problem.Detail, test.problem) {
			t.Errorf("%s: %d %q, want %d", test.name, response.StatusCode, problem.Detail, test.status)
		}
	}
}

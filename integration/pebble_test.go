package integration

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// pebble is Let's Encrypt's ACME server for tests, with a DNS in which every name is
// 127.0.0.1.
type pebble struct {
	*process
	directory  string // URL
	management string // URL
}

// pebbleProgram finds a program of pebble's module.
func pebbleProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		unavailable(t, name+" is not here (go install github.com/letsencrypt/pebble/v2/cmd/"+name+"@v2.10.1)")
	}
	return path
}

// startPebble runs one that asks for proofs at the port of an address.
func startPebble(t *testing.T, proofs string) *pebble {
	t.Helper()
	server, dns := pebbleProgram(t, "pebble"), pebbleProgram(t, "pebble-challtestsrv")
	listen, management, resolver, control := freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	start(t, exec.Command(dns, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dnsserver", resolver, "-management", control,
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""), func(string) {})
	files := newPair(t, time.Hour)
	_, port, err := net.SplitHostPort(proofs)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management, "certificate": files.cert, "privateKey": files.key,
		"httpPort": 1, "tlsPort": json.Number(port),
		"retryAfter": map[string]int{"authz": 1, "order": 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "pebble.json")
	if err := os.WriteFile(config, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(server, "-config", config, "-dnsserver", resolver)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	p := &pebble{directory: "https://" + listen + "/dir", management: "https://" + management}
	p.process = start(t, cmd, func(string) {})
	eventually(t, 20*time.Second, "pebble answers", func() bool {
		response, err := operatorClient.Get(p.directory)
		if err == nil {
			response.Body.Close()
		}
		return err == nil
	})
	return p
}

// roots are what its certificates go back to.
func (p *pebble) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	response, err := operatorClient.Get(p.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%v: %s", err, text)
	}
	return pool
}

// A real ACME server issues a certificate to the bridge, which proves its name on the
// port that it takes webhooks on. One that is kept from before and expires soon is renewed
// at once, and shown; a good one is used again after a restart, also if the authority is
// gone.
func TestACME(t *testing.T) {
	listen := freeAddress(t)
	authority := startPebble(t, listen)
	t.Setenv("SSL_CERT_FILE", ca.file(t)) // of the bridge: pebble's own certificate is by that authority
	n := startNATS(t)
	const name = "bridge.example.com"
	b := startBridge(t, t.TempDir(), append(slices.Clone(quick), "--listen", listen, "--nats-url", n.url(), "--acme-domains", name+", other.example.com",
		"--acme-email", "ops@example.com", "--acme-directory", authority.directory, "--acme-accept-terms", "true", "--audit-canary-interval", "1s")...)
	const expiry = `zenduty_bridge_tls_certificate_expiry_timestamp_seconds{listener="ingress"}`
	eventually(t, time.Minute, "both certificates are issued", func() bool { return b.metric(expiry) > 0 })

	sender := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: authority.roots(t), ServerName: name}, ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}}
	l := fixtureLoad(t, 3)
	take := func(events []*event) {
		t.Helper()
		for _, e := range events {
			a := exchange(sender, b.url, e.body)
			if e.id = a.ID; a.code != http.StatusOK {
				t.Errorf("%d %v", a.code, a.err)
			}
		}
	}
	take(l[0])
	eventually(t, 20*time.Second, "a canary has come back", func() bool {
		return b.metric("zenduty_bridge_canary_last_success_timestamp_seconds") > 0
	})
	cache, err := os.Stat(filepath.Join(b.dataDir, "acme"))
	if err != nil || cache.Mode().Perm() != 0o700 {
		t.Errorf("the cache is %v, %v", cache, err)
	}
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	files := newPair(t, time.Hour)
	old := files.issue(t, time.Hour, name) // of the tests' authority, which the sender does not trust
	kept := readFile(t, files.key) + readFile(t, files.cert)
	if err := os.WriteFile(filepath.Join(b.dataDir, "acme", name), []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	b = b.again(t)
	eventually(t, time.Minute, "the certificate is renewed", func() bool { return b.metric(expiry) > float64(old.NotAfter.Unix()) })
	if got := b.said("certificate in use"); got != 3 { // the old one, the renewed one, and the other name's
		t.Errorf("%d certificates were in use", got)
	}
	take(l[1])
	before := b.metric(expiry)
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	authority.kill()
	b = b.again(t)
	eventually(t, 20*time.Second, "the certificates are there again", func() bool { return b.metric(expiry) == before })
	take(l[2])
	b.awaitDelivered()
	c, err := tls.Dial("tcp", listen, &tls.Config{ServerName: "third.example.com"})
	if err == nil {
		c.Close()
		t.Error("a name that was not asked for is served")
	}
}

package integration

import (
	"crypto/x509"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// address is where the bridge takes webhooks, host:port.
func (b *bridgeProcess) address() string {
	_, rest, _ := strings.Cut(b.url, "://")
	address, _, _ := strings.Cut(rest, "/")
	return address
}

// Certificates are replaced under load, over HTTP/1.1 and HTTP/2, on connections that
// are kept and on new ones: every post is taken, and the last certificate is shown.
func TestCertificateIsReplacedUnderLoad(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := startNATS(t)
	files := newPair(t, time.Hour)
	b := startQuick(t, n.url(), files.ingress()...)
	old, modern := startTraffic(t, b.url), startTrafficOver(t, b.url, true)
	var last *x509.Certificate
	for range rounds(4, 2) {
		last = files.issue(t, time.Hour)
		eventually(t, 30*time.Second, "the new certificate is shown", func() bool { return shown(t, b.address()).Equal(last) })
		old.await(200)
		modern.await(200)
	}
	if err := os.WriteFile(files.cert, []byte("-----BEGIN CERTIFICATE-----\nMII"), 0o600); err != nil {
		t.Fatal(err)
	}
	const fault = "the certificate's files cannot be used, the one read before stays in use"
	eventually(t, 30*time.Second, "the log tells of a file at fault", func() bool { return b.said(fault) == 1 })
	b.signal(syscall.SIGHUP)
	eventually(t, 10*time.Second, "the log tells of it again, as it was asked", func() bool { return b.said(fault) == 2 })
	if !shown(t, b.address()).Equal(last) {
		t.Error("another certificate is shown than the last whole one")
	}
	l := append(old.stop(), modern.stop()...)
	old.allTaken(answersWithin)
	modern.allTaken(answersWithin)
	if posts := old.count(http.StatusOK) + modern.count(http.StatusOK); posts < 1000 {
		t.Errorf("only %d posts", posts)
	}
	if got := b.metric(`zenduty_bridge_tls_certificate_expiry_timestamp_seconds{listener="ingress"}`); got != float64(last.NotAfter.Unix()) {
		t.Errorf("the metric says %v", got)
	}
	b.awaitDelivered()
	auditClean(t, n.url(), l)
}

// Both listeners with TLS, and every command by it.
func TestCommandsOverTLS(t *testing.T) {
	t.Parallel()
	n := startRoomyNATS(t)
	files := newPair(t, 90*24*time.Hour)
	b := startQuick(t, n.url(), slices.Concat(files.ingress(), files.admin(), []string{"--nats-stream-duplicate-window", "2m"})...)
	eventually(t, time.Minute, "the stream is made", func() bool { return b.said("stream made") > 0 })
	if !strings.HasPrefix(b.admin, "https://") {
		t.Fatalf("the admin address is %s", b.admin)
	}
	byName := strings.Replace(b.admin, "127.0.0.1", "localhost", 1)
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"healthcheck --admin " + b.admin + " --admin-ca-file " + ca.file(t), 0, ""},
		{"healthcheck --admin " + byName + " --admin-ca-file " + files.cert, 0, ""},
		{"healthcheck --admin " + b.admin, 1, "certificate signed by unknown authority"},
		{"healthcheck --admin " + strings.Replace(b.admin, "https", "http", 1), 1, "400 Bad Request"},
		{"healthcheck --admin " + b.admin + " --admin-ca-file " + files.key, 2, "--admin-ca-file: "},
		{"status --admin " + b.admin + " --admin-ca-file " + files.cert, 0, ""},
		{"status --admin " + b.admin, 1, "certificate signed by unknown authority"},
		{"send --url " + b.url + " --ca-file " + files.cert, 0, ""},
		{"send --url " + b.url, 1, "were not taken"},
	} {
		if _, log, code := runBridge(t, strings.Fields(test.args)...); code != test.code || !strings.Contains(log, test.says) {
			t.Errorf("%s: exit code %d, want %d and %q: %s", test.args, code, test.code, test.says, log)
		}
	}
	d := doctor(t, slices.Concat([]string{"--admin", b.admin, "--admin-ca-file", files.cert, "--listen", b.address(), "--nats-url", n.url(),
		"--nats-stream-duplicate-window", "2m"}, files.ingress(), files.admin())...)
	if got := d.found(); len(got) != 0 {
		t.Errorf("found %v", d.Findings)
	}
	if canary := d.Findings[len(d.Findings)-1]; canary.Check != "canary" || !strings.Contains(canary.What, "was in the stream") {
		t.Errorf("%+v", canary)
	}
	b.awaitDelivered()
}

// A certificate that nobody should accept any more is served, told of, and no hindrance
// to the bridge's own canaries.
func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	n := startRoomyNATS(t)
	files := newPair(t, -time.Minute)
	b := startBridge(t, t.TempDir(), slices.Concat(files.ingress(), []string{"--nats-url", n.url(), "--audit-interval", "1s", "--audit-canary-interval", "1s"})...)
	if b.said("the certificate in use has expired: senders will refuse to connect") != 1 {
		t.Error("it is not said at the start")
	}
	eventually(t, 20*time.Second, "the audit finds it", func() bool {
		return b.metric(`zenduty_bridge_audit_findings{check="certificate",severity="error"}`) == 1
	})
	eventually(t, 20*time.Second, "a canary has come back", func() bool {
		return b.metric("zenduty_bridge_canary_last_success_timestamp_seconds") > 0
	})
	if _, err := post(b.url, fixtureLoad(t, 1)[0][0]); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("a sender that looks at the certificate: %v", err)
	}
	if got := doctor(t, files.ingress()...).found(); !slices.Contains(got, "certificate error") {
		t.Errorf("doctor found %v", got)
	}
	files.issue(t, 3*24*time.Hour)
	eventually(t, 20*time.Second, "it is less of a fault", func() bool {
		return b.metric(`zenduty_bridge_audit_findings{check="certificate",severity="warning"}`) == 1 &&
			b.metric(`zenduty_bridge_audit_findings{check="certificate",severity="error"}`) == 0
	})
	if code, err := post(b.url, fixtureLoad(t, 1)[0][0]); code != http.StatusOK {
		t.Errorf("%d %v", code, err)
	}
}

// Another program understands what the bridge speaks: curl, if it is here, over both
// protocols.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		unavailable(t, "curl is not here")
	}
	b := startBridge(t, t.TempDir(), newPair(t, time.Hour).ingress()...)
	for flag, want := range map[string]string{"--http1.1": "1.1 401", "--http2": "2 401"} {
		out, err := exec.Command(curl, "-sS", flag, "--cacert", ca.file(t), "-d", "{}", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", b.url).CombinedOutput()
		if string(out) != want || err != nil {
			t.Errorf("curl %s: %s, %v, want %s", flag, out, err, want)
		}
	}
}

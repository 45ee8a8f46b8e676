package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/certificate"
	"github.com/zenduty-bridge/zenduty-bridge/config"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// The listeners by the names that the log and the metrics know them by.
const (
	listenerIngress = "ingress"
	listenerAdmin   = "admin"
)

// certificates are those of a service's listeners.
type certificates struct {
	ingress, admin certificate.Source // nil: plain HTTP

	files []*certificate.Files // of these, those from files
	acme  *certificate.ACME    // of these, the one that is issued; nil if none is
}

func openCertificates(c config.Config, log *slog.Logger, r prometheus.Registerer) (certificates, error) {
	var opened certificates
	for _, l := range []struct {
		name   string
		tls    config.ServerTLS
		source *certificate.Source
	}{{listenerIngress, c.TLS, &opened.ingress}, {listenerAdmin, c.AdminTLS, &opened.admin}} {
		if l.tls == (config.ServerTLS{}) {
			continue
		}
		files, err := certificate.Open(l.tls.CertFile, l.tls.KeyFile, certificate.Options{Listener: l.name, Logger: log, Registerer: r})
		if err != nil {
			return opened, usageError{err}
		}
		opened.files = append(opened.files, files)
		*l.source = files
	}
	if names := c.ACME.Names(); len(names) > 0 {
		acme, err := certificate.NewACME(certificate.Account{
			Directory: c.ACME.Directory, Email: c.ACME.Email, Names: names,
			CacheDir: cmp.Or(c.ACME.CacheDir, filepath.Join(c.DataDir, "acme")),
		}, certificate.Options{Listener: listenerIngress, Logger: log, Registerer: r})
		if err != nil {
			return opened, err
		}
		opened.ingress, opened.acme = acme, acme
	}
	return opened, nil
}

// ingressTLS is nil for plain HTTP.
func (c certificates) ingressTLS() *tls.Config {
	switch {
	case c.ingress == nil:
		return nil
	case c.acme != nil:
		return certificate.ServerConfig(c.ingress, "h2", "http/1.1", certificate.ACMEProtocol)
	}
	return certificate.ServerConfig(c.ingress, "h2", "http/1.1")
}

// secureAdmin is l itself for plain HTTP.
func (c certificates) secureAdmin(l net.Listener) net.Listener {
	if c.admin == nil {
		return l
	}
	return tls.NewListener(l, certificate.ServerConfig(c.admin, "http/1.1"))
}

// watch looks after all of them until ctx ends.
func (s *service) watch(ctx context.Context) {
	for _, files := range s.certificates.files {
		s.watches.Go(func() { files.Watch(ctx) })
	}
	if acme := s.certificates.acme; acme != nil {
		s.watches.Go(func() { acme.Watch(ctx) })
	}
}

// reread takes up what the files hold now, without waiting for the next look. Nobody
// waits for it: a file may be on a disk that does not answer.
func (c certificates) reread() {
	for _, files := range c.files {
		go files.Reread()
	}
}

// scheme is that of a listener's URLs.
func scheme(source certificate.Source) string {
	if source == nil {
		return "http"
	}
	return "https"
}

// showing is what a listener shows to who connects.
type showing struct {
	listener     string
	names        int // that are to have a certificate of their own; 0: whatever there is
	certificates func() []*x509.Certificate
}

func (c certificates) showing() (list []showing) {
	if c.ingress != nil {
		list = append(list, showing{listenerIngress, len(c.ingress.Names()), c.ingress.Shown})
	}
	if c.admin != nil {
		list = append(list, showing{listenerAdmin, 0, c.admin.Shown})
	}
	return list
}

// configured is what a bridge of this configuration shows, as far as files tell.
func configured(c config.Config) (list []showing) {
	for _, l := range []struct {
		name string
		tls  config.ServerTLS
	}{{listenerIngress, c.TLS}, {listenerAdmin, c.AdminTLS}} {
		if l.tls != (config.ServerTLS{}) {
			list = append(list, showing{l.name, 0, func() []*x509.Certificate {
				chain, _ := certificate.ReadFile(l.tls.CertFile) // of a file at fault none is shown
				return chain[:min(len(chain), 1)]
			}})
		}
	}
	return list
}

// audit finds the certificate that is missing, or expires first.
func (s showing) audit(now time.Time) publisher.Finding {
	f := publisher.Finding{
		Check: "certificate", On: s.listener, Severity: publisher.SeverityOK,
		Why: "who connects to an expired certificate refuses it: webhooks are lost, and commands fail",
	}
	shown := s.certificates()
	if len(shown) < max(1, s.names) {
		f.Severity, f.What = publisher.SeverityWarning, "the "+s.listener+" listener has no certificate yet"
		f.Remedy = "see what the log says of it; the name must lead here, and the port be reached as 443 from outside"
		return f
	}
	first := shown[0]
	for _, c := range shown[1:] {
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	left := first.NotAfter.Sub(now)
	f.What = fmt.Sprintf("the certificate of the %s listener (%s) is valid until %s", s.listener, strings.Join(first.DNSNames, ", "), first.NotAfter.Format(time.RFC3339))
	switch {
	case left <= 0:
		f.Severity, f.What = publisher.SeverityError, fmt.Sprintf("the certificate of the %s listener has expired at %s", s.listener, first.NotAfter.Format(time.RFC3339))
	case left < expiresSoon:
		f.Severity, f.What = publisher.SeverityWarning, fmt.Sprintf("the certificate of the %s listener expires at %s", s.listener, first.NotAfter.Format(time.RFC3339))
	default:
		f.Why = ""
	}
	if f.Severity != publisher.SeverityOK {
		f.Remedy = "put a new one in the place of its files, which are read again by themselves, or see why the authority issues none"
	}
	return f
}

// trusting is how a client trusts the server at a host; nil: by the system's authorities.
type trusting func(host string) (*tls.Config, error)

// trustFile is nil without a file.
func trustFile(path string) trusting {
	if path == "" {
		return nil
	}
	return func(host string) (*tls.Config, error) { return certificate.TrustFile(host, path) }
}

// trustShown trusts exactly what the ingress shows, besides the system's authorities.
func trustShown(list []showing) trusting {
	for _, s := range list {
		if s.listener == listenerIngress {
			return func(host string) (*tls.Config, error) { return certificate.Trust(host, s.certificates, nil), nil }
		}
	}
	return nil
}

// newTransport is for requests to one URL.
func newTransport(u *url.URL, trust trusting) (*http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if trust == nil || u.Scheme != "https" {
		return transport, nil
	}
	var err error
	transport.TLSClientConfig, err = trust(u.Hostname())
	return transport, err
}

// newAdminHTTP is for requests to a bridge's admin address. It follows no redirect: the
// token is not for others.
func newAdminHTTP(admin, caFile string) (*http.Client, error) {
	u, err := url.Parse(admin)
	if err != nil {
		return nil, usageError{fmt.Errorf("--admin: %w", err)}
	}
	transport, err := newTransport(u, trustFile(caFile))
	if err != nil {
		return nil, usageError{fmt.Errorf("--admin-ca-file: %w", err)}
	}
	return &http.Client{Transport: transport, CheckRedirect: dontFollow}, nil
}

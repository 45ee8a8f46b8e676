package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// domainName is a host name as certificates of the Web have it: two labels at least
// (RFC 1123, section 2.1), in lower case.
var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (c Config) checkTLS(f *faults) {
	c.TLS.check(f, "tls")
	c.AdminTLS.check(f, "admin_tls")
	c.ACME.check(f)
	if c.ACME.Domains != "" && c.TLS != (ServerTLS{}) {
		f.add("acme.domains", "is set as well as tls; keep one way to a certificate")
	}
}

func (s ServerTLS) check(f *faults, key string) {
	if (s.CertFile == "") != (s.KeyFile == "") {
		f.add(key, "cert_file and key_file go together; set both or neither")
	}
}

func (a ACME) check(f *faults) {
	if a.Domains == "" {
		if a.Email != "" || a.CacheDir != "" || a.AcceptTerms {
			f.add("acme.domains", "is missing, but other settings of acme are given")
		}
		return
	}
	names := a.Names()
	if len(names) == 0 {
		f.add("acme.domains", "is empty; name at least one domain, or leave it out")
	}
	for _, name := range names {
		switch {
		case strings.Contains(name, "*"):
			f.add("acme.domains", "has a wildcard, which cannot be proved on a port (RFC 8555, section 7.1.3); write the names out, or use tls.cert_file")
		case net.ParseIP(strings.Trim(name, "[]")) != nil:
			f.add("acme.domains", "has an address; give the domain name that Zenduty posts to")
		case !domainName.MatchString(name) || len(name) > 253:
			f.add("acme.domains", "must be domain names separated by commas, such as bridge.example.com")
		}
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		f.add("acme.directory", "must be an https URL without credentials, such as https://acme-v02.api.letsencrypt.org/directory")
	}
	if a.Email != "" && (strings.Count(a.Email, "@") != 1 || strings.ContainsAny(a.Email, " ,<>")) {
		f.add("acme.email", "must be one address, such as ops@example.com")
	}
	if !a.AcceptTerms {
		f.add("acme.accept_terms", "must be true: read the certificate authority's terms of service, which acme.directory links to; nothing is issued to who does not accept them")
	}
}

// checkPair tries a certificate's files as serve will, unless one of them is known to
// be at fault.
func (l *loader) checkPair(key string, s ServerTLS) {
	if s.CertFile == "" || s.KeyFile == "" || l.faults.cover(key+".cert_file") || l.faults.cover(key+".key_file") {
		return
	}
	_, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
	switch {
	case err == nil:
	case holdsNoCertificate(s.CertFile):
		l.reject(key+".cert_file", "%w", errNoCertificate)
	case strings.Contains(err.Error(), "does not match"): // crypto/tls has no error to tell it by
		l.reject(key+".key_file", "is not the key of the certificate in cert_file; give the two that were issued together, the server's certificate first")
	default:
		l.reject(key+".key_file", "holds no private key in PEM (BEGIN PRIVATE KEY) without a pass phrase")
	}
}

func holdsNoCertificate(path string) bool {
	text, err := os.ReadFile(path)
	return err != nil || !x509.NewCertPool().AppendCertsFromPEM(text)
}

var errNoCertificate = errors.New("holds no certificate in PEM (BEGIN CERTIFICATE)")

// checkCA tries a file of certificates to trust.
func (l *loader) checkCA(key, path string) {
	if path != "" && !l.faults.cover(key) && holdsNoCertificate(path) {
		l.reject(key, "%w", errNoCertificate)
	}
}

package certificate

import (
	"crypto/tls"
	"crypto/x509"
)

// Source is where a listener's certificate comes from: Files or ACME.
type Source interface {
	// GetCertificate is tls.Config's.
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Shown are the certificates that who connects now is shown, one for each name
	// that has one of its own. They are not to be changed.
	Shown() []*x509.Certificate
	// Names are those that the source is to have a certificate for; nil where that is
	// whatever the certificate says.
	Names() []string
}

// suites are those of Go's for TLS 1.2 that keep what was said from who learns the key
// later, and whose encryption is authenticated (RFC 9325, section 4.2). Those of TLS 1.3
// are not for choice.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// ServerConfig is for a server that speaks TLS 1.2 and up and shows what source has.
// protocols are those of ALPN (RFC 7301), the preferred one first.
func ServerConfig(source Source, protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: suites, NextProtos: protocols,
		GetCertificate: source.GetCertificate,
	}
}

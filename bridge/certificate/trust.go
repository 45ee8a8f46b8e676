package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// Trust is for a client of the server at host, a name or an address, whose certificates
// are known: it trusts exactly those, whatever names are in them, and besides what the
// roots vouch for under that host. Nil roots are the system's. known is asked at every
// handshake.
func Trust(host string, known func() []*x509.Certificate, roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: host,
		// Go's own check knows roots only; VerifyConnection makes it, and is called
		// also when a session is resumed.
		InsecureSkipVerify: true, //nolint:gosec // see VerifyConnection
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("the server shows no certificate")
			}
			leaf := s.PeerCertificates[0]
			for _, c := range known() {
				if c.Equal(leaf) {
					return nil
				}
			}
			between := x509.NewCertPool()
			for _, c := range s.PeerCertificates[1:] {
				between.AddCert(c)
			}
			_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: host})
			return err
		},
	}
}

// TrustFile is Trust of the certificates in a PEM file, which are roots as well, besides
// those of the system.
func TrustFile(host, path string) (*tls.Config, error) {
	known, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	for _, c := range known {
		roots.AddCert(c)
	}
	return Trust(host, func() []*x509.Certificate { return known }, roots), nil
}

// ReadFile reads the certificates in a PEM file, of which there is one at least.
func ReadFile(path string) (list []*x509.Certificate, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: %w", path, errNoCertificate)
	}
	return list, nil
}

var errNoCertificate = errors.New("no certificate in it")

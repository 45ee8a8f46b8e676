package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority issues the certificates of this package's tests. Every client here trusts it.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	roots       *x509.CertPool
}

var ca = newAuthority()

func newAuthority() authority {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "zenduty-bridge's tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := authority{roots: x509.NewCertPool()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		panic(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	a.roots.AddCert(a.certificate)
	return a
}

// clientTLS trusts the authority.
func clientTLS() *tls.Config { return &tls.Config{RootCAs: ca.roots} }

// operatorClient asks admin addresses.
var operatorClient = &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS()}}

// pair is the files of a certificate and its key.
type pair struct{ cert, key string }

// newPair makes files for 127.0.0.1, in a directory of their own.
func newPair(t *testing.T, lasts time.Duration) pair {
	t.Helper()
	dir := t.TempDir()
	p := pair{cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
	p.issue(t, lasts)
	return p
}

// issue puts another certificate into the files, by rename, and returns it.
func (p pair) issue(t *testing.T, lasts time.Duration, names ...string) *x509.Certificate {
	t.Helper()
	number, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: number, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(lasts),
		DNSNames: append(names, "localhost"), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, p.cert, "CERTIFICATE", der)
	writePEM(t, p.key, "PRIVATE KEY", secret)
	issued, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func writePEM(t *testing.T, path, what string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: what, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// file is the authority's certificate in a file.
func (a authority) file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	writePEM(t, path, "CERTIFICATE", a.certificate.Raw)
	return path
}

// ingress and admin are the arguments of a bridge that uses the files.
func (p pair) ingress() []string { return []string{"--tls-cert-file", p.cert, "--tls-key-file", p.key} }

func (p pair) admin() []string {
	return []string{"--admin-tls-cert-file", p.cert, "--admin-tls-key-file", p.key}
}

// shown is the certificate that a server shows.
func shown(t *testing.T, address string) *x509.Certificate {
	t.Helper()
	c, err := tls.Dial("tcp", address, clientTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

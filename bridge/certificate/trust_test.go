package certificate

import (
	"crypto/x509"
	"path/filepath"
	"testing"
)

func TestTrust(t *testing.T) {
	root := issue(t, nil, nil)
	between := issue(t, root, func(c *x509.Certificate) { c.IsCA = true })
	server := issue(t, between, nil, "bridge.example", "127.0.0.2")
	other := issue(t, nil, nil, "bridge.example")
	dir := t.TempDir()
	chain := &issued{leaf: server.leaf, pem: server.pem, cert: append(append([]byte{}, server.cert...), between.cert...)}
	addr := echo(t, ServerConfig(watch(t, chain)))
	for _, test := range []struct {
		name string
		host string
		file []byte
		ok   bool
	}{
		{"an authority, and the name", "bridge.example", root.cert, true},
		{"an authority, and the address", "127.0.0.2", root.cert, true},
		{"an authority, and another name", "other.example", root.cert, false},
		{"an authority, and another address", "127.0.0.1", root.cert, false},
		{"the certificate itself, whatever the name", "127.0.0.1", server.cert, true},
		{"the certificate itself, among others", "other.example", append(append([]byte{}, other.cert...), server.cert...), true},
		{"another certificate of that name", "bridge.example", other.cert, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(dir, "ca.pem")
			write(t, path, test.file)
			config, err := TrustFile(test.host, path)
			if err != nil {
				t.Fatal(err)
			}
			c, err := dial(addr, config)
			if (err == nil) != test.ok {
				t.Errorf("%v", err)
			}
			if c != nil {
				c.Close()
			}
		})
	}
	write(t, filepath.Join(dir, "none.pem"), server.pem)
	if _, err := TrustFile("bridge.example", filepath.Join(dir, "none.pem")); err == nil {
		t.Error("a file without a certificate is taken")
	}
}

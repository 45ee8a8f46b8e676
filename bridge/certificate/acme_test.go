package certificate

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Before a certificate is issued nobody waits for it, and after that each name has its
// own. (How they are issued is tried on the real program.)
func TestACME(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "acme")
	registry := prometheus.NewRegistry()
	a, err := NewACME(Account{Directory: "https://127.0.0.1:1/", Names: []string{"a.example", "b.example"}, CacheDir: dir},
		Options{Listener: "ingress", Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	get := func(name string) (*tls.Certificate, error) {
		return a.GetCertificate(&tls.ClientHelloInfo{ServerName: name, SupportedProtos: []string{"h2", "http/1.1"}})
	}
	expiry := func() float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return families[0].Metric[0].GetGauge().GetValue()
	}
	if _, err := get("a.example"); !errors.Is(err, errNotIssued) {
		t.Error(err)
	}
	if _, err := get("c.example"); !errors.Is(err, errOtherName) {
		t.Error(err)
	}
	if _, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: "a.example", SupportedProtos: []string{ACMEProtocol}}); err == nil || errors.Is(err, errNotIssued) {
		t.Errorf("a challenge that nobody has set: %v", err)
	}
	first, second := issue(t, nil, nil, "a.example"), issue(t, nil, nil, "b.example")
	a.take("a.example", &tls.Certificate{Leaf: first.leaf})
	if expiry() != 0 || testutil.CollectAndCount(registry) != 1 {
		t.Error("it is exported as if all names had a certificate")
	}
	a.take("b.example", &tls.Certificate{Leaf: second.leaf})
	for name, want := range map[string]*issued{"a.example": first, "A.Example.": first, "": first, "b.example": second} {
		if c, err := get(name); err != nil || !c.Leaf.Equal(want.leaf) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if len(a.Shown()) != 2 || expiry() != float64(first.leaf.NotAfter.Unix()) {
		t.Errorf("shown are %d, expiry is %v", len(a.Shown()), expiry())
	}
}

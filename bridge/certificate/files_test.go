package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// However the files are replaced, the new pair is taken up.
func TestFilesAreTakenUp(t *testing.T) {
	first, second := issue(t, nil, nil, "a.example"), issue(t, nil, nil, "a.example")
	t.Run("written over, the certificate first", func(t *testing.T) {
		w := watch(t, first)
		write(t, w.cert, second.cert)
		time.Sleep(20 * time.Millisecond) // some looks
		write(t, w.key, second.pem)
		w.shows(t, second)
	})
	t.Run("renamed", func(t *testing.T) {
		w := watch(t, first)
		for path, text := range map[string][]byte{w.cert: second.cert, w.key: second.pem} {
			write(t, path+".new", text)
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}
		w.shows(t, second)
	})
	t.Run("by a link, as Kubernetes does", func(t *testing.T) {
		dir := t.TempDir()
		for name, c := range map[string]*issued{"..1": first, "..2": second} {
			if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, name, "tls.crt"), c.cert)
			write(t, filepath.Join(dir, name, "tls.key"), c.pem)
		}
		link := func(to, name string) {
			if err := errors.Join(os.Symlink(to, filepath.Join(dir, "tmp")), os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, name))); err != nil {
				t.Fatal(err)
			}
		}
		link("..1", "..data")
		link("..data/tls.crt", "tls.crt")
		link("..data/tls.key", "tls.key")
		w := &watched{cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
		w.open(t)
		w.shows(t, first)
		link("..2", "..data")
		w.shows(t, second)
	})
	t.Run("asked to", func(t *testing.T) {
		w := watch(t, first)
		write(t, w.cert, second.cert)
		write(t, w.key, second.pem)
		if err := w.Reload(); err != nil || !w.Shown()[0].Equal(second.leaf) {
			t.Errorf("%v, shows %v", err, w.Shown()[0].SerialNumber)
		}
	})
}

// What is no whole pair leaves the old one in use, and the log says so once.
func TestBadFilesAreNotTakenUp(t *testing.T) {
	root := issue(t, nil, nil)
	first, second := issue(t, root, nil, "a.example"), issue(t, root, nil, "a.example")
	chain := append(append([]byte{}, second.cert...), root.cert...)
	for name, spoil := range map[string]func(t *testing.T, w *watched){
		"another's key":  func(t *testing.T, w *watched) { write(t, w.key, second.pem) },
		"half a key":     func(t *testing.T, w *watched) { write(t, w.key, first.pem[:100]) },
		"half a chain":   func(t *testing.T, w *watched) { write(t, w.key, second.pem); write(t, w.cert, chain[:len(chain)-100]) },
		"emptied":        func(t *testing.T, w *watched) { write(t, w.cert, nil) },
		"something else": func(t *testing.T, w *watched) { write(t, w.cert, []byte("hello")) },
		"only the key":   func(t *testing.T, w *watched) { write(t, w.cert, first.pem) },
		"taken away":     func(t *testing.T, w *watched) { _ = os.Remove(w.cert) },
		"a directory":    func(t *testing.T, w *watched) { _ = os.Remove(w.key); _ = os.Mkdir(w.key, 0o700) },
		"a broken encoding": func(t *testing.T, w *watched) {
			write(t, w.cert, []byte(strings.Replace(string(first.cert), "MII", "AAA", 1)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, first)
			spoil(t, w)
			const fault = "the certificate's files cannot be used"
			eventually(t, "the fault is told", func() bool { return w.log.count(fault) > 0 })
			time.Sleep(30 * time.Millisecond) // more looks
			if n := w.log.count(fault); n != 1 {
				t.Errorf("it is told %d times", n)
			}
			if err := w.Reload(); err == nil || !w.Shown()[0].Equal(first.leaf) {
				t.Errorf("Reload: %v; shown is %v", err, w.Shown()[0].SerialNumber)
			}
			if w.log.count("PRIVATE") > 0 {
				t.Error("the log has the key")
			}
			_ = os.Remove(w.key) // the directory
			write(t, w.key, second.pem)
			write(t, w.cert, chain)
			w.shows(t, second)
		})
	}
}

// A pair that is back as it was is told of, since its fault was.
func TestFaultIsMended(t *testing.T) {
	first := issue(t, nil, nil, "a.example")
	w := watch(t, first)
	write(t, w.key, nil)
	eventually(t, "the fault is told", func() bool { return w.log.count("cannot be used") == 1 })
	write(t, w.key, first.pem)
	eventually(t, "its end is told", func() bool { return w.log.count("certificate in use") == 2 })
}

// Who asks is told of a fault at once, and each time.
func TestReread(t *testing.T) {
	first, second := issue(t, nil, nil, "a.example"), issue(t, nil, nil, "a.example")
	dir := t.TempDir()
	w := &watched{cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
	write(t, w.cert, first.cert)
	write(t, w.key, first.pem)
	var err error
	if w.Files, err = Open(w.cert, w.key, Options{Logger: w.log.logger()}); err != nil {
		t.Fatal(err)
	}
	write(t, w.key, second.pem)
	for n := range 2 {
		if w.Reread(); w.log.count("cannot be used") != n+1 || !w.Shown()[0].Equal(first.leaf) {
			t.Errorf("the fault is told %d times, want %d; shown is %v", w.log.count("cannot be used"), n+1, w.Shown()[0].SerialNumber)
		}
	}
	write(t, w.cert, second.cert)
	if w.Reread(); !w.Shown()[0].Equal(second.leaf) {
		t.Errorf("shown is %v", w.Shown()[0].SerialNumber)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	a, b := issue(t, nil, nil, "a.example"), issue(t, nil, nil, "a.example")
	cert, key, other := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "other")
	write(t, cert, a.cert)
	write(t, key, a.pem)
	write(t, other, b.pem)
	if _, err := Open(cert, other, Options{}); err == nil || !strings.Contains(err.Error(), "no certificate with its key") {
		t.Errorf("another's key: %v", err)
	}
	if _, err := Open(cert, filepath.Join(dir, "none"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no key: %v", err)
	}
	if _, err := Open(cert, key, Options{}); err != nil {
		t.Error(err)
	}
}

// A certificate that cannot be good is served nevertheless, and the log warns of it.
func TestTimesAreWarnedOf(t *testing.T) {
	for what, change := range map[string]func(*x509.Certificate){
		"has expired":      func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
		"is not valid yet": func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) },
	} {
		w := watch(t, issue(t, nil, change, "a.example"))
		if w.log.count("level=WARN msg=\"the certificate in use "+what) != 1 {
			t.Errorf("%s: %s", what, w.log.text.String())
		}
	}
}

// A connection that stands goes on when another certificate is taken up, and the next
// one is shown that.
func TestConnectionsOutliveTheirCertificate(t *testing.T) {
	first, second := issue(t, nil, nil, "127.0.0.1"), issue(t, nil, nil, "127.0.0.1")
	w := watch(t, first)
	addr := echo(t, ServerConfig(w, "h2"))
	trust := func(c *issued) *tls.Config {
		roots := x509.NewCertPool()
		roots.AddCert(c.leaf)
		return &tls.Config{RootCAs: roots}
	}
	before, err := dial(addr, trust(first))
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	write(t, w.cert, second.cert)
	write(t, w.key, second.pem)
	w.shows(t, second)
	if err := ping(before); err != nil {
		t.Errorf("the connection from before: %v", err)
	}
	after, err := dial(addr, trust(second))
	if err != nil {
		t.Fatal(err)
	}
	after.Close()
}

// TLS 1.2 with forward secrecy is the least that is spoken.
func TestServerConfig(t *testing.T) {
	c := issue(t, nil, nil, "127.0.0.1")
	addr := echo(t, ServerConfig(watch(t, c), "h2", "http/1.1"))
	roots := x509.NewCertPool()
	roots.AddCert(c.leaf)
	for name, test := range map[string]struct {
		client *tls.Config
		ok     bool
	}{
		"TLS 1.3":         {&tls.Config{MinVersion: tls.VersionTLS13}, true},
		"TLS 1.2":         {&tls.Config{MaxVersion: tls.VersionTLS12}, true},
		"TLS 1.1":         {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		"CBC":             {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
		"no ECDHE":        {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, false},
		"another's name":  {&tls.Config{ServerName: "b.example"}, false},
		"unknown ALPN":    {&tls.Config{NextProtos: []string{"spdy/3"}}, false},
		"ALPN of HTTP/2":  {&tls.Config{NextProtos: []string{"h2"}}, true},
		"ALPN of HTTP/11": {&tls.Config{NextProtos: []string{"http/1.1"}}, true},
	} {
		test.client.RootCAs = roots
		conn, err := dial(addr, test.client)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if conn != nil {
			conn.Close()
		}
	}
}

func TestMetric(t *testing.T) {
	c := issue(t, nil, nil, "a.example")
	dir, registry := t.TempDir(), prometheus.NewRegistry()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	write(t, cert, c.cert)
	write(t, key, c.pem)
	for _, listener := range []string{"ingress", "admin"} {
		if _, err := Open(cert, key, Options{Listener: listener, Registerer: registry}); err != nil {
			t.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].Metric) != 2 {
		t.Fatalf("%v, %v", families, err)
	}
	for _, m := range families[0].Metric {
		if got := m.GetGauge().GetValue(); got != float64(c.leaf.NotAfter.Unix()) {
			t.Errorf("%v: %v", m.Label, got)
		}
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

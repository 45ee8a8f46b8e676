package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// issued is a certificate of a test, and its key.
type issued struct {
	leaf      *x509.Certificate
	key       *ecdsa.PrivateKey
	cert, pem []byte // PEM of the certificate, and of the key
}

var serial int64

// issue makes one by an authority, or one that vouches for itself if that is nil.
func issue(t *testing.T, by *issued, change func(*x509.Certificate), names ...string) *issued {
	t.Helper()
	serial++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		BasicConstraintsValid: true, IsCA: by == nil,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	if change != nil {
		change(c)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.leaf, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{
		leaf: leaf, key: key,
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// log is what was logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// watched is a pair of files that a test replaces.
type watched struct {
	*Files
	log       log
	cert, key string
}

// watch opens the files of c and watches them until the test ends.
func watch(t *testing.T, c *issued) *watched {
	t.Helper()
	dir := t.TempDir()
	w := &watched{cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
	write(t, w.cert, c.cert)
	write(t, w.key, c.pem)
	w.open(t)
	return w
}

func (w *watched) open(t *testing.T) {
	t.Helper()
	var err error
	if w.Files, err = Open(w.cert, w.key, Options{Listener: "test", Interval: 5 * time.Millisecond, Logger: w.log.logger()}); err != nil {
		t.Fatal(err)
	}
	var watching sync.WaitGroup
	ctx := t.Context() // ends before the cleanups
	watching.Go(func() { w.Watch(ctx) })
	t.Cleanup(watching.Wait)
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for: %s", what)
		}
	}
}

// shows waits until c is in use.
func (w *watched) shows(t *testing.T, c *issued) {
	t.Helper()
	eventually(t, "the certificate is in use", func() bool { return w.Shown()[0].Equal(c.leaf) })
}

// echo is a TLS server that says back what it is told.
func echo(t *testing.T, config *tls.Config) (addr string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

// dial connects and says something there and back.
func dial(addr string, config *tls.Config) (*tls.Conn, error) {
	c, err := tls.Dial("tcp", addr, config)
	if err == nil {
		err = ping(c)
	}
	return c, err
}

func ping(c net.Conn) error {
	_, err := io.WriteString(c, "x")
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 1))
	}
	return err
}

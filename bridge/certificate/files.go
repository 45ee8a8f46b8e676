package certificate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options for Open and NewACME; the zero value of each is its default.
type Options struct {
	Listener   string                // who shows the certificate, for the log and the metric's label
	Interval   time.Duration         // between two looks at the files, or at what ACME has; default 5 s
	Logger     *slog.Logger          // default slog.Default
	Registerer prometheus.Registerer // default none
}

func (o Options) withDefaults() Options {
	if o.Interval == 0 {
		o.Interval = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = o.Logger.With("listener", o.Listener)
	return o
}

// Files is a certificate and its key from two PEM files. What replaces them is taken
// up as soon as both are whole and belong together, however it is put there: written
// over, renamed, or by a link that is turned elsewhere. Until then, and for good if they
// never do, the old ones are shown. Connections that stand are not touched.
type Files struct {
	certFile, keyFile string
	opts              Options
	current           atomic.Pointer[pair]

	mu      sync.Mutex // of a reload
	failing string     // why the last look by Watch failed
	told    bool       // the log has it
}

// pair is a certificate with its key.
type pair struct {
	certificate *tls.Certificate
	sum         [sha256.Size]byte // of the files
}

// Open reads the two files. An expired certificate is taken, with a warning: those who
// connect may not mind, and the next one is taken up as it comes.
func Open(certFile, keyFile string, opts Options) (*Files, error) {
	f := &Files{certFile: certFile, keyFile: keyFile, opts: opts.withDefaults()}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	register(f.opts, f)
	return f, nil
}

// GetCertificate is tls.Config's.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.current.Load().certificate, nil
}

// Shown is the certificate in use.
func (f *Files) Shown() []*x509.Certificate {
	return []*x509.Certificate{f.current.Load().certificate.Leaf}
}

// Names is nil: the certificate says them.
func (f *Files) Names() []string { return nil }

// Reload reads the files and, if they hold another pair, shows that from now on. After
// an error everything is as it was.
func (f *Files) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reload()
}

// reload: f.mu is held.
func (f *Files) reload() error {
	read, err := readPair(f.certFile, f.keyFile)
	if err != nil {
		return err
	}
	old := f.current.Load()
	if old != nil && old.sum == read.sum && !f.told {
		return nil
	}
	f.current.Store(read)
	f.failing, f.told = "", false
	announce(f.opts.Logger, read.certificate.Leaf)
	return nil
}

// Watch looks at the files now and again until ctx ends. Contents are compared rather
// than waited for, since what a file system tells of changes differs by how a file is
// replaced, and is nothing over a network.
func (f *Files) Watch(ctx context.Context) {
	ticker := time.NewTicker(f.opts.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.look()
		}
	}
}

// look tells of a fault once, and only if it is there at two looks in a row: a
// certificate is written before its key, or the other way round.
func (f *Files) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.reload()
	switch {
	case err == nil:
		f.failing = ""
	case f.failing != err.Error():
		f.failing, f.told = err.Error(), false
	case !f.told:
		f.tell(err)
	}
}

// Reread is a look that was asked for, by someone who says that the files are whole: it
// tells of a fault at once, and each time.
func (f *Files) Reread() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.reload(); err != nil {
		f.tell(err)
	}
}

func (f *Files) tell(err error) {
	f.failing, f.told = err.Error(), true
	f.opts.Logger.Error("the certificate's files cannot be used, the one read before stays in use", "error", err,
		"not_after", f.current.Load().certificate.Leaf.NotAfter)
}

// readPair reads two files that must be whole and belong together.
func readPair(certFile, keyFile string) (*pair, error) {
	certificate, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate's key: %w", err)
	}
	if cut(certificate) || cut(key) {
		return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, errCut)
	}
	both, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s are no certificate with its key: %w", certFile, keyFile, err)
	}
	sum := sha256.New()
	fmt.Fprintln(sum, len(certificate))
	sum.Write(certificate)
	sum.Write(key)
	return &pair{certificate: &both, sum: [sha256.Size]byte(sum.Sum(nil))}, nil
}

var errCut = errors.New("one of them ends within a PEM block")

// cut tells whether text ends in the middle of a block. crypto/tls would do with the
// blocks before it, and so with a chain that is half written.
func cut(text []byte) bool {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return bytes.Contains(text, []byte("-----BEGIN"))
		}
		text = rest
	}
}

// announce logs what is shown from now on.
func announce(log *slog.Logger, leaf *x509.Certificate) {
	level, text := slog.LevelInfo, "certificate in use"
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		level, text = slog.LevelWarn, "the certificate in use has expired: senders will refuse to connect"
	case now.Before(leaf.NotBefore):
		level, text = slog.LevelWarn, "the certificate in use is not valid yet: senders will refuse to connect"
	}
	log.Log(context.Background(), level, text, "names", leaf.DNSNames, "not_before", leaf.NotBefore, "not_after", leaf.NotAfter)
}

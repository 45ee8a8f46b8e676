package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/crypto/acme/autocert"
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

// kept is a cache that holds a certificate from some time on, as if the manager, or that
// of another process, had renewed it then.
type kept struct {
	first, second *issued
	renewal       time.Time
}

func (k *kept) Get(context.Context, string) ([]byte, error) {
	if time.Now().Before(k.renewal) {
		return slices.Concat(k.first.pem, k.first.cert), nil
	}
	return slices.Concat(k.second.pem, k.second.cert), nil
}

func (*kept) Put(context.Context, string, []byte) error { return nil }
func (*kept) Delete(context.Context, string) error      { return nil }

// What is renewed is shown within an interval, and told of.
func TestACMERenewalIsTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		var l log
		a, err := NewACME(Account{Directory: "https://127.0.0.1:1/", Names: []string{"a.example"}, CacheDir: t.TempDir()},
			Options{Listener: "ingress", Interval: 10 * time.Minute, Logger: l.logger()})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		first := issue(t, nil, nil, "a.example") // for 90 days, of which the manager leaves 30
		second := issue(t, nil, func(c *x509.Certificate) { c.NotAfter = begun.Add(150 * day) }, "a.example")
		a.manager.Cache = &kept{first: first, second: second, renewal: begun.Add(59 * day)}
		ctx, stop := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { a.Watch(ctx) })
		shows := func(at time.Duration, want *issued) {
			t.Helper()
			time.Sleep(time.Until(begun.Add(at)))
			synctest.Wait()
			c, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: "a.example"})
			if err != nil || !c.Leaf.Equal(want.leaf) {
				t.Errorf("%v after the start: %v, %v", at, c, err)
			}
		}
		shows(time.Second, first)
		shows(59*day, first)
		shows(60*day+time.Hour+11*time.Minute, second) // the manager renews at some time of an hour
		if got := l.count("certificate in use"); got != 2 {
			t.Errorf("the log tells of %d certificates", got)
		}
		stop()
		watching.Wait()
	})
}

// refusing is an authority that answers nothing but errors, and when it was asked.
type refusing struct{ asked []time.Time }

func (r *refusing) RoundTrip(*http.Request) (*http.Response, error) {
	r.asked = append(r.asked, time.Now())
	return nil, errors.New("closed today")
}

// An authority that refuses is asked more and more seldom.
func TestACMERefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l log
		a, err := NewACME(Account{Directory: "https://authority.example/", Names: []string{"a.example"}, CacheDir: t.TempDir()},
			Options{Listener: "ingress", Logger: l.logger()})
		if err != nil {
			t.Fatal(err)
		}
		authority := &refusing{}
		a.manager.Client.HTTPClient = &http.Client{Transport: authority}
		a.manager.Cache = nothing{}
		ctx, stop := context.WithTimeout(t.Context(), 4*time.Hour)
		defer stop()
		a.Watch(ctx)
		var waits []string
		for i, at := range authority.asked[1:] {
			waits = append(waits, at.Sub(authority.asked[i]).String())
		}
		if diff := cmp.Diff([]string{"1m5s", "2m10s", "4m20s", "8m40s", "17m20s", "34m40s", "1h0m0s", "1h0m0s"}, waits); diff != "" {
			t.Error(diff)
		}
		if l.count("no certificate is issued") != 1 {
			t.Errorf("it is not told once:\n%s", l.text.String())
		}
	})
}

// nothing is a cache that keeps nothing.
type nothing struct{}

func (nothing) Get(context.Context, string) ([]byte, error) { return nil, autocert.ErrCacheMiss }
func (nothing) Put(context.Context, string, []byte) error   { return nil }
func (nothing) Delete(context.Context, string) error        { return nil }

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/ingress"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
	"github.com/zenduty-bridge/zenduty-bridge/config"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
	"github.com/zenduty-bridge/zenduty-bridge/publisher/embedded"
)

// Turning the configuration into each package's Options, and nothing else.

// orNone: in the configuration 0 means none, in Options 0 means the default.
func orNone(v time.Duration) time.Duration {
	if v == 0 {
		return -1
	}
	return v
}

func spoolOptions(c config.Config, log *slog.Logger, r prometheus.Registerer) spool.Options {
	return spool.Options{
		MaxBytes:     int64(c.Spool.MaxBytes),
		Retention:    orNone(c.Spool.Retention),
		BallastBytes: int64(c.Spool.BallastBytes),
		Logger:       log, Registerer: r,
	}
}

func bridgeOptions(c config.Config, log *slog.Logger, r prometheus.Registerer, tp trace.TracerProvider) bridge.Options {
	return bridge.Options{
		Sources: slices.Collect(maps.Keys(c.Sources)),
		Window:  c.Relay.Window, BackoffMin: c.Relay.BackoffMin, BackoffMax: c.Relay.BackoffMax,
		Logger: log, Registerer: r, TracerProvider: tp,
	}
}

func ingressOptions(c config.Config, secure *tls.Config, log *slog.Logger, r prometheus.Registerer, tp trace.TracerProvider) ingress.Options {
	i := c.Ingress
	return ingress.Options{
		MaxBodyBytes: int64(i.MaxBodyBytes), HeaderTimeout: i.HeaderTimeout, BodyTimeout: i.BodyTimeout,
		IdleTimeout: i.IdleTimeout, AnswerDeadline: i.AnswerDeadline,
		FailedAuthRate: i.FailedAuthRate, FailedAuthBurst: i.FailedAuthBurst,
		MaxHeaderBytes: int(i.MaxHeaderBytes), MaxConnections: i.MaxConnections, MaxConnectionsPerAddress: i.MaxConnectionsPerAddress,
		MaxConcurrentRequests: i.MaxConcurrentRequests, MaxUnverifiedBytes: int64(i.MaxUnverifiedBytes),
		TrustedProxies: i.TrustedProxies.Prefixes(),
		TLS:            secure, Logger: log, Registerer: r, TracerProvider: tp,
	}
}

func newSources(c config.Config, log *slog.Logger) (map[string]*ingress.Source, error) {
	sources := map[string]*ingress.Source{}
	for name, s := range c.Sources {
		keys := make([]zenduty.Key, len(s.Keys))
		for i, k := range s.Keys {
			keys[i] = zenduty.Key{Name: k.Name, Secret: k.Key.Reveal(), NotBefore: k.NotBefore, NotAfter: k.NotAfter}
		}
		verifier, err := zenduty.NewVerifier(zenduty.Mode(s.Signature), keys)
		if err != nil {
			return nil, usageError{fmt.Errorf("sources.%s: %w", name, err)}
		}
		if s.Signature != config.SignatureNone && !hasValidKey(s, time.Now()) {
			log.Error("no key of the source is valid now, its webhooks are refused: give it the key that Zenduty signs with, or mend not_before and not_after", "source", name)
		}
		source := &ingress.Source{Verifier: verifier, Allow: s.Allow.Prefixes(), MaxAge: s.MaxAge}
		if s.BasicAuth != nil {
			source.BasicAuth = ingress.NewBasicAuth(s.BasicAuth.Username, s.BasicAuth.Password.Reveal())
		}
		if s.Signature == config.SignatureNone {
			log.Warn("signatures are not checked: whoever reaches this source can post incidents", "source", name, "basic_auth", s.BasicAuth != nil)
		}
		sources[name] = source
	}
	return sources, nil
}

func embeddedOptions(c config.Config, log *slog.Logger) embedded.Options {
	return embedded.Options{
		Listen: c.NATS.Listen, StoreDir: filepath.Join(c.DataDir, "nats"),
		User: c.NATS.User, Password: c.NATS.Password.Reveal(), Token: c.NATS.Token.Reveal(),
		MaxPayload: int32(c.Ingress.MaxBodyBytes) + publisher.HeaderRoom, Logger: log,
	}
}

// publisherOptions: server is the embedded one, or nil.
func publisherOptions(c config.Config, server *embedded.Server, log *slog.Logger, r prometheus.Registerer, tp trace.TracerProvider) (publisher.Options, error) {
	subject, err := publisher.ParseSubject(c.NATS.Subject)
	if err != nil {
		return publisher.Options{}, usageError{fmt.Errorf("nats.subject: %w", err)}
	}
	o := publisher.Options{
		URL: c.NATS.URL, Subject: subject, Services: c.Services,
		Stream: publisher.StreamOptions{
			Name: c.NATS.Stream.Name, Replicas: c.NATS.Stream.Replicas, MaxAge: c.NATS.Stream.MaxAge,
			MaxBytes: int64(c.NATS.Stream.MaxBytes), DuplicateWindow: c.NATS.Stream.DuplicateWindow,
		},
		AckTimeout: c.Relay.AckTimeout, Logger: log, Registerer: r, TracerProvider: tp,
	}
	if server != nil {
		o.URL, o.InProcess = server.URL(), server
		c.NATS = config.NATS{User: c.NATS.User, Password: c.NATS.Password, Token: c.NATS.Token} // all that it asks for
	}
	o.Auth, err = natsAuth(c.NATS)
	return o, err
}

// natsAuth is how the connection proves who it is, and to whom it talks.
func natsAuth(c config.NATS) ([]nats.Option, error) {
	var options []nats.Option
	switch {
	case c.CredentialsFile != "":
		options = append(options, nats.UserCredentials(c.CredentialsFile))
	case c.NKeySeedFile != "":
		option, err := nats.NkeyOptionFromSeed(c.NKeySeedFile)
		if err != nil {
			return nil, usageError{fmt.Errorf("nats.nkey_seed_file %s: %w", c.NKeySeedFile, err)}
		}
		options = append(options, option)
	case c.User != "":
		options = append(options, nats.UserInfo(c.User, c.Password.Reveal()))
	case !c.Token.IsZero():
		options = append(options, nats.Token(c.Token.Reveal()))
	}
	tlsConfig, err := natsTLS(c.TLS)
	if tlsConfig != nil {
		options = append(options, nats.Secure(tlsConfig))
	}
	return options, err
}

// natsTLS is nil when nothing asks for it; a tls:// URL then does by itself.
func natsTLS(c config.TLS) (*tls.Config, error) {
	if c == (config.TLS{}) {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, usageError{fmt.Errorf("nats.tls.ca_file: %w", err)}
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usageError{fmt.Errorf("nats.tls.ca_file: %s: %w", c.CAFile, errors.New("no certificate in it"))}
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, usageError{fmt.Errorf("nats.tls.cert_file: %w", err)}
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

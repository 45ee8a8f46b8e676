package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenduty-bridge/zenduty-bridge/config"
)

// natsFlags say which NATS holds the webhooks and how to get in. Names, variables
// and the file are those of serve, so that one set of them serves both.
type natsFlags struct {
	Config  *string `env:"ZENDUTY_BRIDGE_CONFIG" placeholder:"FILE" help:"The bridge's configuration file, to take the settings of NATS from."`
	Stream  *string `aliases:"nats-stream-name" env:"ZENDUTY_BRIDGE_NATS_STREAM_NAME" group:"NATS" placeholder:"NAME" help:"The bridge's stream (ZENDUTY)."`
	Subject *string `name:"nats-subject" env:"ZENDUTY_BRIDGE_NATS_SUBJECT" group:"NATS" placeholder:"SUBJECT" help:"The bridge's template of subjects, if it was changed."`

	URL             *string `name:"nats-url" env:"NATS_URL" group:"NATS" placeholder:"URL" help:"NATS servers, separated by commas (nats://127.0.0.1:4222)."`
	CredentialsFile *string `name:"nats-creds" env:"NATS_CREDS" group:"NATS" placeholder:"FILE" help:"NATS credentials file."`
	User            *string `name:"nats-user" env:"NATS_USER" group:"NATS" placeholder:"NAME" help:"NATS user. Its password comes from NATS_PASSWORD or a file."`
	PasswordFile    *string `name:"nats-password-file" env:"NATS_PASSWORD_FILE" group:"NATS" placeholder:"FILE" help:"File with the NATS user's password."`
	TokenFile       *string `name:"nats-token-file" env:"NATS_TOKEN_FILE" group:"NATS" placeholder:"FILE" help:"File with the NATS token. NATS_TOKEN gives the token itself."`
	NKeySeedFile    *string `name:"nats-nkey" env:"NATS_NKEY" group:"NATS" placeholder:"FILE" help:"File with the NKey seed for NATS."`
	CAFile          *string `name:"nats-ca" env:"NATS_CA" group:"NATS" placeholder:"FILE" help:"Authorities that NATS's certificate may come from (PEM)."`
	CertFile        *string `name:"nats-cert" env:"NATS_CERT" group:"NATS" placeholder:"FILE" help:"Client certificate for NATS (PEM)."`
	KeyFile         *string `name:"nats-key" env:"NATS_KEY" group:"NATS" placeholder:"FILE" help:"Private key of the client certificate (PEM)."`
}

// load reads NATS's part of the configuration. Without a URL it is where a bridge
// with these settings has its embedded server.
func (f natsFlags) load(p *program) (config.NATS, error) {
	cfg, err := config.Load(config.Flags{
		Config: f.Config, NATSStreamName: f.Stream, NATSSubject: f.Subject,
		NATSURL: f.URL, NATSCredentialsFile: f.CredentialsFile, NATSUser: f.User, NATSPasswordFile: f.PasswordFile,
		NATSTokenFile: f.TokenFile, NATSNKeySeedFile: f.NKeySeedFile,
		NATSTLSCAFile: f.CAFile, NATSTLSCertFile: f.CertFile, NATSTLSKeyFile: f.KeyFile,
	}, p.getenvOfNATS)
	if err = config.Without(err, config.ErrNoKey); err != nil {
		return cfg.NATS, usageError{err}
	}
	if cfg.NATS.URL == "" {
		cfg.NATS.URL = "nats://" + reachable(cfg.NATS.Listen)
	}
	return cfg.NATS, nil
}

// getenvOfNATS hides the signing key, which is of no use here, so that a wrong
// setting of it does no harm.
func (p *program) getenvOfNATS(name string) (string, bool) {
	if strings.HasPrefix(name, "ZENDUTY_SIGNING_KEY") {
		return "", false
	}
	return p.getenv(name)
}

// reachable is the address to connect to of a server that listens at an address.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// connectNATS connects, or says what to do about it. The connection is kept up for
// ever; note is told what happens to it, by goroutines of the connection.
func connectNATS(c config.NATS, note func(format string, args ...any)) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name("zenduty-bridge tail"), nats.Timeout(5 * time.Second),
		nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(500 * time.Millisecond), nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				note("disconnected from NATS, trying again: %v", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { note("connected again to %s", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrSlowConsumer) {
				err = fmt.Errorf("webhooks come faster than they are printed, some are left out (--since prints all): %w", err)
			}
			note("NATS: %v", err)
		}),
	}
	auth, err := natsAuth(c)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(c.URL, append(options, auth...)...)
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return nil, fmt.Errorf("NATS at %s lets nobody in like that: %w (see --nats-creds, --nats-user, --nats-token-file, --nats-nkey)", c.URL, err)
	case err != nil:
		return nil, fmt.Errorf("no NATS answers at %s: %w (start the bridge, or say with --nats-url or NATS_URL where its NATS is)", c.URL, err)
	}
	return nc, nil
}

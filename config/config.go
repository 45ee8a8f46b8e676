// Package config holds what an operator can set.
//
// A setting comes from the highest of four layers that gives it: flags, the
// environment, a YAML file, the defaults. [Load] puts the layers together, reads
// the files that hold secrets and checks the result; [Settings] lists every
// setting with its names and its default.
//
// Secrets come from the file, from files it names, or from the environment, never
// from flags, which every user of the machine can see in the process list. No
// error of this package quotes a value it read, so that a secret put in the wrong
// place does not end up in a log; the place (file and line, flag or variable) and
// the dotted name of the setting say where to look.
package config

import (
	"log/slog"
	"strings"
	"time"
)

// Ways to check a source's signature.
const (
	SignatureAuto = "auto" // the raw body, then the two renderings Zenduty's guide allows for
	SignatureRaw  = "raw"  // the raw body only
	SignatureNone = "none" // unsigned webhooks are taken
)

// Forms a log line can have.
const (
	LogAuto = "auto" // text on a terminal, JSON otherwise
	LogText = "text"
	LogJSON = "json"
)

// DefaultSource is the source whose key ZENDUTY_SIGNING_KEY gives.
const DefaultSource = "zenduty"

// defaultKeyName is the name of a source's only key when it was given none.
const defaultKeyName = "default"

// answerLimit is the time Zenduty gives a receiver to answer; an answer at or
// after it counts as none.
const answerLimit = 3 * time.Second

// Config is everything an operator can set. Sizes are in bytes. Printing one
// does not show its secrets.
type Config struct {
	Listen      string `yaml:"listen"`       // address of the webhook endpoint, host:port
	AdminListen string `yaml:"admin_listen"` // address of health, metrics and the operator's API, host:port
	Admin       string `yaml:"admin"`        // URL at which commands reach the operator's API of a running bridge
	AdminPprof  bool   `yaml:"admin_pprof"`  // the operator's address serves profiles of the running program
	// AdminOpenMetrics shows metrics to other machines without TLS and AdminToken.
	AdminOpenMetrics bool   `yaml:"admin_open_metrics"`
	DataDir          string `yaml:"data_dir"` // directory of the spool and of the embedded NATS server

	// AdminToken is asked for by calls to the operator's API that change something or
	// show a webhook's body. The empty one is none: they are then answered on loopback
	// only. AdminTokenFile, a file that holds it, is empty after Load.
	AdminToken     Secret `yaml:"admin_token"`
	AdminTokenFile string `yaml:"admin_token_file"`

	AdminTLS    ServerTLS `yaml:"admin_tls"`     // of AdminListen; empty: plain HTTP
	AdminCAFile string    `yaml:"admin_ca_file"` // what commands trust at Admin besides the system's authorities

	TLS  ServerTLS `yaml:"tls"` // of Listen; empty: plain HTTP, unless ACME has domains
	ACME ACME      `yaml:"acme"`

	// Sources are the senders, by the name in their path /webhooks/{source}.
	Sources map[string]Source `yaml:"sources"`

	Ingress Ingress `yaml:"ingress"`
	Spool   Spool   `yaml:"spool"`
	Relay   Relay   `yaml:"relay"`
	NATS    NATS    `yaml:"nats"`
	Audit   Audit   `yaml:"audit"`

	// Services maps a Zenduty service's unique_id to the subject token used in its place.
	Services map[string]string `yaml:"services"`

	Log Log `yaml:"log"`
}

// Source is one sender and how it proves itself. It needs a key, unless
// Signature is SignatureNone. BasicAuth, if not nil, is asked for as well.
type Source struct {
	Signature string     `yaml:"signature"` // SignatureAuto, SignatureRaw or SignatureNone
	Keys      []Key      `yaml:"keys"`      // all are tried, so that a key can be rotated
	BasicAuth *BasicAuth `yaml:"basic_auth,omitempty"`

	Allow  Networks      `yaml:"allow"`   // where its requests come from; none: anywhere
	MaxAge time.Duration `yaml:"max_age"` // of an event when its webhook comes; 0: any
}

// Key is a signing key, given as text or as a file that holds it. After Load, Key
// is the text and KeyFile is empty.
type Key struct {
	Name    string `yaml:"name"` // appears in metrics; required and unique when a source has several keys
	Key     Secret `yaml:"key"`
	KeyFile string `yaml:"key_file"`
	// NotBefore and NotAfter bound the time in which it is valid, both included; zero
	// is no bound.
	NotBefore time.Time `yaml:"not_before"`
	NotAfter  time.Time `yaml:"not_after"`
}

// Expired tells whether the key is not valid any more.
func (k Key) Expired(at time.Time) bool { return !k.NotAfter.IsZero() && at.After(k.NotAfter) }

// Valid tells whether the key is valid.
func (k Key) Valid(at time.Time) bool { return !at.Before(k.NotBefore) && !k.Expired(at) }

// BasicAuth is a user name and a password as in RFC 7617, the password given as
// text or as a file that holds it. After Load, PasswordFile is empty.
type BasicAuth struct {
	Username     string `yaml:"username"`
	Password     Secret `yaml:"password"`
	PasswordFile string `yaml:"password_file"`
}

// Ingress bounds what a webhook may cost.
type Ingress struct {
	MaxBodyBytes    Bytes         `yaml:"max_body_bytes"`
	HeaderTimeout   time.Duration `yaml:"header_timeout"`
	BodyTimeout     time.Duration `yaml:"body_timeout"`
	IdleTimeout     time.Duration `yaml:"idle_timeout"`      // of a kept-alive connection
	AnswerDeadline  time.Duration `yaml:"answer_deadline"`   // 503 when not on disk by then; below Zenduty's 3 s
	FailedAuthRate  float64       `yaml:"failed_auth_rate"`  // per second and address
	FailedAuthBurst int           `yaml:"failed_auth_burst"` // per address
	LameDuck        time.Duration `yaml:"lame_duck"`         // how long webhooks are taken after the signal to stop; 0: not at all

	MaxHeaderBytes           Bytes `yaml:"max_header_bytes"`
	MaxConnections           int   `yaml:"max_connections"`             // of which one makes way for a new one
	MaxConnectionsPerAddress int   `yaml:"max_connections_per_address"` // likewise; 0: any number
	MaxConcurrentRequests    int   `yaml:"max_concurrent_requests"`
	MaxUnverifiedBytes       Bytes `yaml:"max_unverified_bytes"` // of bodies that are not verified yet

	TrustedProxies Networks `yaml:"trusted_proxies"` // whose X-Forwarded-For is believed
}

// Spool bounds the queue on disk.
type Spool struct {
	MaxBytes     Bytes         `yaml:"max_bytes"`
	Retention    time.Duration `yaml:"retention"`     // how long relayed webhooks are kept; 0: not at all
	BallastBytes Bytes         `yaml:"ballast_bytes"` // freed when the disk is full; at least 4 MiB and 4 times MaxBodyBytes
}

// Relay paces the way from the spool to NATS.
type Relay struct {
	Window       int           `yaml:"window"`      // publishes that may be unacknowledged at once
	AckTimeout   time.Duration `yaml:"ack_timeout"` // until an unacknowledged publish counts as unknown
	BackoffMin   time.Duration `yaml:"backoff_min"`
	BackoffMax   time.Duration `yaml:"backoff_max"`
	DrainTimeout time.Duration `yaml:"drain_timeout"` // for publishes under way at shutdown; 0: do not wait
}

// NATS says where webhooks go. At most one way to authenticate may be set. The embedded
// server asks for User and Password, or for Token, if they are set; beyond loopback they
// must be.
type NATS struct {
	URL             string `yaml:"url"`    // servers, separated by commas; empty: the embedded server. Holds no credentials after Load
	Listen          string `yaml:"listen"` // address of the embedded server, host:port; not used when URL is set
	CredentialsFile string `yaml:"credentials_file"`
	User            string `yaml:"user"`
	Password        Secret `yaml:"password"`
	PasswordFile    string `yaml:"password_file"` // empty after Load
	Token           Secret `yaml:"token"`
	TokenFile       string `yaml:"token_file"` // empty after Load
	NKeySeedFile    string `yaml:"nkey_seed_file"`
	TLS             TLS    `yaml:"tls"`
	Subject         string `yaml:"subject"` // template of a webhook's subject, see Placeholders
	Stream          Stream `yaml:"stream"`
}

// TLS names PEM files for the connection to NATS. CertFile and KeyFile go together.
type TLS struct {
	CAFile   string `yaml:"ca_file"`
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// ServerTLS names the PEM files of a certificate, its chain behind it, and of its key.
// They go together.
type ServerTLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// ACME has the certificate of Listen from an authority (RFC 8555, and RFC 8737 for
// how it is asked), in place of files. Without Domains it is not used.
type ACME struct {
	Domains     string `yaml:"domains"` // separated by commas, see Names
	Email       string `yaml:"email"`   // the account's; may be empty
	Directory   string `yaml:"directory"`
	CacheDir    string `yaml:"cache_dir"`    // empty: acme below DataDir
	AcceptTerms bool   `yaml:"accept_terms"` // the authority's terms of service; nothing is issued without
}

// Names are the Domains, in lower case.
func (a ACME) Names() []string {
	var names []string
	for name := range strings.SplitSeq(a.Domains, ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Stream is the JetStream stream that takes the webhooks.
type Stream struct {
	Name            string        `yaml:"name"`
	Replicas        int           `yaml:"replicas"`  // 1 to 5
	MaxAge          time.Duration `yaml:"max_age"`   // 0: kept for ever
	MaxBytes        Bytes         `yaml:"max_bytes"` // 0: no limit
	DuplicateWindow time.Duration `yaml:"duplicate_window"`
}

// Audit says how often a running bridge looks after itself; 0: never.
type Audit struct {
	Interval       time.Duration `yaml:"interval"`
	CanaryInterval time.Duration `yaml:"canary_interval"` // at which a canary is sent the whole way
}

// Log says what is logged and how.
type Log struct {
	Level  slog.Level `yaml:"level"`
	Format string     `yaml:"format"` // LogAuto, LogText or LogJSON
}

// Default returns the configuration of a bridge that was told nothing. It has no
// source yet, so Validate refuses it. The caller owns it.
func Default() Config {
	return Config{
		Listen:      ":8080",
		AdminListen: "127.0.0.1:8081",
		Admin:       "http://127.0.0.1:8081",
		DataDir:     "./data",
		ACME:        ACME{Directory: "https://acme-v02.api.letsencrypt.org/directory"},
		Sources:     map[string]Source{},
		Ingress: Ingress{
			MaxBodyBytes:    1 * mebibyte,
			HeaderTimeout:   5 * time.Second,
			BodyTimeout:     10 * time.Second,
			IdleTimeout:     2 * time.Minute,
			AnswerDeadline:  2500 * time.Millisecond,
			FailedAuthRate:  1,
			FailedAuthBurst: 20,
			LameDuck:        time.Second,

			MaxHeaderBytes:        16 * kibibyte,
			MaxConnections:        3000,
			MaxConcurrentRequests: 1024,
			MaxUnverifiedBytes:    64 * mebibyte,
		},
		Spool:    Spool{MaxBytes: 8 * gibibyte, Retention: 24 * time.Hour, BallastBytes: 64 * mebibyte},
		Relay:    defaultRelay(),
		NATS:     defaultNATS(),
		Audit:    Audit{Interval: 5 * time.Minute},
		Services: map[string]string{},
		Log:      Log{Level: slog.LevelInfo, Format: LogAuto},
	}
}

func defaultRelay() Relay {
	return Relay{
		Window:       4096,
		AckTimeout:   5 * time.Second,
		BackoffMin:   100 * time.Millisecond,
		BackoffMax:   5 * time.Second,
		DrainTimeout: 5 * time.Second,
	}
}

func defaultNATS() NATS {
	return NATS{
		Listen:  "127.0.0.1:4222",
		Subject: "zenduty.incident.{event_type}.{service}",
		Stream:  Stream{Name: "ZENDUTY", Replicas: 1, DuplicateWindow: 2 * time.Minute},
	}
}

// fill gives every source and key what its author may leave out.
func (c *Config) fill() {
	for name, source := range c.Sources {
		if source.Signature == "" {
			source.Signature = SignatureAuto
		}
		if len(source.Keys) == 1 && source.Keys[0].Name == "" {
			source.Keys[0].Name = defaultKeyName
		}
		c.Sources[name] = source
	}
}

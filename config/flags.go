package config

import "reflect"

// Flags are the settings that can come from the command line and the environment.
// Its tags are those of github.com/alecthomas/kong, which fills it; a flag wins
// over its variable. All are texts, which Load reads as it reads those of the file.
// nil means not given, and so does an empty text, because that is what an unset
// variable becomes in a Compose file.
//
// Every setting that is a single value is here, save for secrets and what belongs
// to one source. A flag is named after its setting (spool.max_bytes is
// --spool-max-bytes and ZENDUTY_BRIDGE_SPOOL_MAX_BYTES), except where the nats
// command has a name for it.
type Flags struct {
	Config           *string `name:"config" env:"ZENDUTY_BRIDGE_CONFIG" placeholder:"FILE" help:"Configuration file (YAML)."`
	Listen           *string `name:"listen" env:"ZENDUTY_BRIDGE_LISTEN" setting:"listen" placeholder:"ADDRESS" help:"Address of the webhook endpoint."`
	AdminListen      *string `name:"admin-listen" env:"ZENDUTY_BRIDGE_ADMIN_LISTEN" setting:"admin_listen" placeholder:"ADDRESS" help:"Address of health, metrics and the operator's API."`
	Admin            *string `name:"admin" env:"ZENDUTY_BRIDGE_ADMIN" setting:"admin" placeholder:"URL" help:"Where commands reach a running bridge."`
	AdminPprof       *string `name:"admin-pprof" env:"ZENDUTY_BRIDGE_ADMIN_PPROF" setting:"admin_pprof" placeholder:"BOOL" help:"true: serve profiles of the program under /debug/pprof/ of the operator's address."`
	AdminOpenMetrics *string `name:"admin-open-metrics" env:"ZENDUTY_BRIDGE_ADMIN_OPEN_METRICS" setting:"admin_open_metrics" placeholder:"BOOL" help:"true: show /metrics of the operator's address to other machines without TLS and token."`
	DataDir          *string `name:"data-dir" env:"ZENDUTY_BRIDGE_DATA_DIR" setting:"data_dir" placeholder:"DIR" help:"Directory of the spool and of the embedded NATS server."`

	AdminTokenFile *string `name:"admin-token-file" env:"ZENDUTY_BRIDGE_ADMIN_TOKEN_FILE" setting:"admin_token_file" placeholder:"FILE" help:"File with the token of the operator's API. ZENDUTY_BRIDGE_ADMIN_TOKEN gives the token itself."`

	AdminTLSCertFile *string `name:"admin-tls-cert-file" env:"ZENDUTY_BRIDGE_ADMIN_TLS_CERT_FILE" setting:"admin_tls.cert_file" group:"TLS" placeholder:"FILE" help:"Certificate of the operator's address, with its chain (PEM)."`
	AdminTLSKeyFile  *string `name:"admin-tls-key-file" env:"ZENDUTY_BRIDGE_ADMIN_TLS_KEY_FILE" setting:"admin_tls.key_file" group:"TLS" placeholder:"FILE" help:"Its private key (PEM)."`
	AdminCAFile      *string `name:"admin-ca-file" env:"ZENDUTY_BRIDGE_ADMIN_CA_FILE" setting:"admin_ca_file" group:"TLS" placeholder:"FILE" help:"Authorities or certificates that commands trust at --admin, besides the system's (PEM)."`
	TLSCertFile      *string `name:"tls-cert-file" env:"ZENDUTY_BRIDGE_TLS_CERT_FILE" setting:"tls.cert_file" group:"TLS" placeholder:"FILE" help:"Certificate of the webhook endpoint, with its chain (PEM)."`
	TLSKeyFile       *string `name:"tls-key-file" env:"ZENDUTY_BRIDGE_TLS_KEY_FILE" setting:"tls.key_file" group:"TLS" placeholder:"FILE" help:"Its private key (PEM)."`
	ACMEDomains      *string `name:"acme-domains" env:"ZENDUTY_BRIDGE_ACME_DOMAINS" setting:"acme.domains" group:"TLS" placeholder:"NAMES" help:"Names to get a certificate for by ACME, separated by commas, in place of files."`
	ACMEEmail        *string `name:"acme-email" env:"ZENDUTY_BRIDGE_ACME_EMAIL" setting:"acme.email" group:"TLS" placeholder:"ADDRESS" help:"Where the certificate authority writes to."`
	ACMEDirectory    *string `name:"acme-directory" env:"ZENDUTY_BRIDGE_ACME_DIRECTORY" setting:"acme.directory" group:"TLS" placeholder:"URL" help:"The certificate authority's ACME directory."`
	ACMECacheDir     *string `name:"acme-cache-dir" env:"ZENDUTY_BRIDGE_ACME_CACHE_DIR" setting:"acme.cache_dir" group:"TLS" placeholder:"DIR" help:"Where the account's key and the certificates are kept; acme below the data directory if not given."`
	ACMEAcceptTerms  *string `name:"acme-accept-terms" env:"ZENDUTY_BRIDGE_ACME_ACCEPT_TERMS" setting:"acme.accept_terms" group:"TLS" placeholder:"BOOL" help:"true: you accept the certificate authority's terms of service."`

	IngressMaxBodyBytes    *string `name:"ingress-max-body-bytes" env:"ZENDUTY_BRIDGE_INGRESS_MAX_BODY_BYTES" setting:"ingress.max_body_bytes" group:"Ingress" placeholder:"SIZE" help:"Largest webhook that is taken."`
	IngressHeaderTimeout   *string `name:"ingress-header-timeout" env:"ZENDUTY_BRIDGE_INGRESS_HEADER_TIMEOUT" setting:"ingress.header_timeout" group:"Ingress" placeholder:"DURATION" help:"Time a sender has for its request header."`
	IngressBodyTimeout     *string `name:"ingress-body-timeout" env:"ZENDUTY_BRIDGE_INGRESS_BODY_TIMEOUT" setting:"ingress.body_timeout" group:"Ingress" placeholder:"DURATION" help:"Time a sender has for header and body of a request."`
	IngressIdleTimeout     *string `name:"ingress-idle-timeout" env:"ZENDUTY_BRIDGE_INGRESS_IDLE_TIMEOUT" setting:"ingress.idle_timeout" group:"Ingress" placeholder:"DURATION" help:"Time an idle connection is kept."`
	IngressAnswerDeadline  *string `name:"ingress-answer-deadline" env:"ZENDUTY_BRIDGE_INGRESS_ANSWER_DEADLINE" setting:"ingress.answer_deadline" group:"Ingress" placeholder:"DURATION" help:"A webhook that is not on disk by then is refused with 503; below 3s."`
	IngressFailedAuthRate  *string `name:"ingress-failed-auth-rate" env:"ZENDUTY_BRIDGE_INGRESS_FAILED_AUTH_RATE" setting:"ingress.failed_auth_rate" group:"Ingress" placeholder:"NUMBER" help:"Failed authentications per second that an address may make."`
	IngressFailedAuthBurst *string `name:"ingress-failed-auth-burst" env:"ZENDUTY_BRIDGE_INGRESS_FAILED_AUTH_BURST" setting:"ingress.failed_auth_burst" group:"Ingress" placeholder:"NUMBER" help:"Failed authentications that an address may make at once."`
	IngressLameDuck        *string `name:"ingress-lame-duck" env:"ZENDUTY_BRIDGE_INGRESS_LAME_DUCK" setting:"ingress.lame_duck" group:"Ingress" placeholder:"DURATION" help:"Time webhooks are still taken after the signal to stop."`

	IngressMaxHeaderBytes           *string `name:"ingress-max-header-bytes" env:"ZENDUTY_BRIDGE_INGRESS_MAX_HEADER_BYTES" setting:"ingress.max_header_bytes" group:"Ingress" placeholder:"SIZE" help:"Largest request header that is read."`
	IngressMaxConnections           *string `name:"ingress-max-connections" env:"ZENDUTY_BRIDGE_INGRESS_MAX_CONNECTIONS" setting:"ingress.max_connections" group:"Ingress" placeholder:"NUMBER" help:"Connections that may be open; above that the one of least use makes way."`
	IngressMaxConnectionsPerAddress *string `name:"ingress-max-connections-per-address" env:"ZENDUTY_BRIDGE_INGRESS_MAX_CONNECTIONS_PER_ADDRESS" setting:"ingress.max_connections_per_address" group:"Ingress" placeholder:"NUMBER" help:"Connections that one address may have open; 0 any number."`
	IngressMaxConcurrentRequests    *string `name:"ingress-max-concurrent-requests" env:"ZENDUTY_BRIDGE_INGRESS_MAX_CONCURRENT_REQUESTS" setting:"ingress.max_concurrent_requests" group:"Ingress" placeholder:"NUMBER" help:"Requests that may be under way; above that the slowest body makes way."`
	IngressMaxUnverifiedBytes       *string `name:"ingress-max-unverified-bytes" env:"ZENDUTY_BRIDGE_INGRESS_MAX_UNVERIFIED_BYTES" setting:"ingress.max_unverified_bytes" group:"Ingress" placeholder:"SIZE" help:"Memory for large bodies that are not verified yet; above that the slowest makes way."`
	IngressTrustedProxies           *string `name:"ingress-trusted-proxies" env:"ZENDUTY_BRIDGE_INGRESS_TRUSTED_PROXIES" setting:"ingress.trusted_proxies" group:"Ingress" placeholder:"NETWORKS" help:"Networks of the proxies whose X-Forwarded-For is believed, separated by commas."`

	SpoolMaxBytes     *string `name:"spool-max-bytes" env:"ZENDUTY_BRIDGE_SPOOL_MAX_BYTES" setting:"spool.max_bytes" group:"Spool" placeholder:"SIZE" help:"Space the spool may take."`
	SpoolRetention    *string `name:"spool-retention" env:"ZENDUTY_BRIDGE_SPOOL_RETENTION" setting:"spool.retention" group:"Spool" placeholder:"DURATION" help:"How long relayed webhooks are kept for replay and healing."`
	SpoolBallastBytes *string `name:"spool-ballast-bytes" env:"ZENDUTY_BRIDGE_SPOOL_BALLAST_BYTES" setting:"spool.ballast_bytes" group:"Spool" placeholder:"SIZE" help:"Space set aside, freed when the disk is full."`

	RelayWindow       *string `name:"relay-window" env:"ZENDUTY_BRIDGE_RELAY_WINDOW" setting:"relay.window" group:"Relay" placeholder:"NUMBER" help:"Publishes that may be unacknowledged at once."`
	RelayAckTimeout   *string `name:"relay-ack-timeout" env:"ZENDUTY_BRIDGE_RELAY_ACK_TIMEOUT" setting:"relay.ack_timeout" group:"Relay" placeholder:"DURATION" help:"Time after which an unacknowledged publish counts as unknown."`
	RelayBackoffMin   *string `name:"relay-backoff-min" env:"ZENDUTY_BRIDGE_RELAY_BACKOFF_MIN" setting:"relay.backoff_min" group:"Relay" placeholder:"DURATION" help:"Shortest wait before a failed publish is tried again."`
	RelayBackoffMax   *string `name:"relay-backoff-max" env:"ZENDUTY_BRIDGE_RELAY_BACKOFF_MAX" setting:"relay.backoff_max" group:"Relay" placeholder:"DURATION" help:"Longest wait before a failed publish is tried again."`
	RelayDrainTimeout *string `name:"relay-drain-timeout" env:"ZENDUTY_BRIDGE_RELAY_DRAIN_TIMEOUT" setting:"relay.drain_timeout" group:"Relay" placeholder:"DURATION" help:"Time publishes under way have at shutdown."`

	NATSURL                   *string `name:"nats-url" env:"NATS_URL" setting:"nats.url" group:"NATS" placeholder:"URL" help:"NATS servers, separated by commas. Without it the embedded server is used."`
	NATSListen                *string `name:"nats-listen" env:"ZENDUTY_BRIDGE_NATS_LISTEN" setting:"nats.listen" group:"NATS" placeholder:"ADDRESS" help:"Address of the embedded NATS server. Beyond loopback it needs a user or a token."`
	NATSCredentialsFile       *string `name:"nats-creds" env:"NATS_CREDS" setting:"nats.credentials_file" group:"NATS" placeholder:"FILE" help:"NATS credentials file."`
	NATSUser                  *string `name:"nats-user" env:"NATS_USER" setting:"nats.user" group:"NATS" placeholder:"NAME" help:"NATS user. Its password comes from NATS_PASSWORD or a file."`
	NATSPasswordFile          *string `name:"nats-password-file" env:"NATS_PASSWORD_FILE" setting:"nats.password_file" group:"NATS" placeholder:"FILE" help:"File with the NATS user's password."`
	NATSTokenFile             *string `name:"nats-token-file" env:"NATS_TOKEN_FILE" setting:"nats.token_file" group:"NATS" placeholder:"FILE" help:"File with the NATS token. NATS_TOKEN gives the token itself."`
	NATSNKeySeedFile          *string `name:"nats-nkey" env:"NATS_NKEY" setting:"nats.nkey_seed_file" group:"NATS" placeholder:"FILE" help:"File with the NKey seed for NATS."`
	NATSTLSCAFile             *string `name:"nats-ca" env:"NATS_CA" setting:"nats.tls.ca_file" group:"NATS" placeholder:"FILE" help:"Authorities that NATS's certificate may come from (PEM)."`
	NATSTLSCertFile           *string `name:"nats-cert" env:"NATS_CERT" setting:"nats.tls.cert_file" group:"NATS" placeholder:"FILE" help:"Client certificate for NATS (PEM)."`
	NATSTLSKeyFile            *string `name:"nats-key" env:"NATS_KEY" setting:"nats.tls.key_file" group:"NATS" placeholder:"FILE" help:"Private key of the client certificate (PEM)."`
	NATSSubject               *string `name:"nats-subject" env:"ZENDUTY_BRIDGE_NATS_SUBJECT" setting:"nats.subject" group:"NATS" placeholder:"SUBJECT" help:"Template of the subject; knows {event_type}, {service}, {source} and {incident}."`
	NATSStreamName            *string `name:"nats-stream-name" env:"ZENDUTY_BRIDGE_NATS_STREAM_NAME" setting:"nats.stream.name" group:"NATS" placeholder:"NAME" help:"JetStream stream that takes the webhooks."`
	NATSStreamReplicas        *string `name:"nats-stream-replicas" env:"ZENDUTY_BRIDGE_NATS_STREAM_REPLICAS" setting:"nats.stream.replicas" group:"NATS" placeholder:"NUMBER" help:"Copies the stream keeps, 1 to 5."`
	NATSStreamMaxAge          *string `name:"nats-stream-max-age" env:"ZENDUTY_BRIDGE_NATS_STREAM_MAX_AGE" setting:"nats.stream.max_age" group:"NATS" placeholder:"DURATION" help:"How long the stream keeps a webhook; 0 for ever."`
	NATSStreamMaxBytes        *string `name:"nats-stream-max-bytes" env:"ZENDUTY_BRIDGE_NATS_STREAM_MAX_BYTES" setting:"nats.stream.max_bytes" group:"NATS" placeholder:"SIZE" help:"Space the stream may take; 0 without limit."`
	NATSStreamDuplicateWindow *string `name:"nats-stream-duplicate-window" env:"ZENDUTY_BRIDGE_NATS_STREAM_DUPLICATE_WINDOW" setting:"nats.stream.duplicate_window" group:"NATS" placeholder:"DURATION" help:"Time in which NATS itself drops a webhook sent twice."`

	AuditInterval       *string `name:"audit-interval" env:"ZENDUTY_BRIDGE_AUDIT_INTERVAL" setting:"audit.interval" group:"Audit" placeholder:"DURATION" help:"Time between two audits of disk, clock, NATS and stream; 0 for none."`
	AuditCanaryInterval *string `name:"audit-canary-interval" env:"ZENDUTY_BRIDGE_AUDIT_CANARY_INTERVAL" setting:"audit.canary_interval" group:"Audit" placeholder:"DURATION" help:"Time between two canaries that are sent the whole way; 0 for none."`

	LogLevel  *string `name:"log-level" env:"ZENDUTY_BRIDGE_LOG_LEVEL" setting:"log.level" group:"Log" complete:"debug,info,warn,error" placeholder:"LEVEL" help:"What is logged: debug, info, warn or error."`
	LogFormat *string `name:"log-format" env:"ZENDUTY_BRIDGE_LOG_FORMAT" setting:"log.format" group:"Log" complete:"auto,text,json" placeholder:"FORMAT" help:"How it is logged: auto (text on a terminal, else JSON), text or json."`
}

// flag is one field of Flags.
type flag struct {
	setting, name, env, help string
	text                     string // "" when not given
}

// place names the flag and its variable: which of them gave the value is not known.
func (f flag) place() string { return "--" + f.name + " or " + f.env }

// all lists the flags in the order of the struct.
func (f Flags) all() []flag {
	v := reflect.ValueOf(f)
	list := make([]flag, v.NumField())
	for i := range list {
		tag := v.Type().Field(i).Tag
		list[i] = flag{setting: tag.Get("setting"), name: tag.Get("name"), env: tag.Get("env"), help: tag.Get("help")}
		if text := v.Field(i).Interface().(*string); text != nil {
			list[i].text = *text
		}
	}
	return list
}

package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What several faults say.
const (
	wantKey     = "no signing key: set ZENDUTY_SIGNING_KEY (or ZENDUTY_SIGNING_KEY_FILE, or sources.<name>.keys in the configuration file) to the webhook's signing key from Zenduty"
	wantToken   = "must be one subject token: not empty, without . * > white space or control characters, not starting with $"
	wantList    = "must be a list, each entry in a line that begins with -"
	wantMapping = "must be a mapping, each entry in a line such as `name: value`"
	wantSecret  = "is empty or white space only; set it to the secret"
	wantOwnKey  = "is the same as sources.other.keys[1].key, so that whoever has a webhook of one source could post it to the other; give each source a key of its own, as Zenduty gives each webhook"
	wantServers = "must be one or more servers separated by commas, such as nats://host:4222 or tls://host:4222"
)

// badFiles holds, for every file in testdata/bad, the lines of its error less the
// file's name before the colon. A line without a place begins with a colon and a space.
var badFiles = map[string][]string{
	"empty": {" is empty, where {} would mean the defaults; --config or ZENDUTY_BRIDGE_CONFIG names this file"},
	"acme": {
		"9: acme.domains: has a wildcard, which cannot be proved on a port (RFC 8555, section 7.1.3); write the names out, or use tls.cert_file",
		"9: acme.domains: has an address; give the domain name that Zenduty posts to",
		"9: acme.domains: must be domain names separated by commas, such as bridge.example.com",
		"11: acme.directory: must be an https URL without credentials, such as https://acme-v02.api.letsencrypt.org/directory",
		"10: acme.email: must be one address, such as ops@example.com",
		"8: acme.accept_terms: must be true: read the certificate authority's terms of service, which acme.directory links to; nothing is issued to who does not accept them",
		"9: acme.domains: is set as well as tls; keep one way to a certificate",
	},
	"acme_empty": {
		"6: acme.domains: is empty; name at least one domain, or leave it out",
	},
	"acme_no_domain": {
		"5: acme.domains: is missing, but other settings of acme are given",
	},
	"addresses": {
		"5: listen: must be host:port, such as 127.0.0.1:8080, or :port for all addresses",
		"6: admin_listen: has no valid port; it must be a number from 0 to 65535",
		"10: nats.listen: has no valid port; it must be a number from 0 to 65535",
		"7: admin: must be an http or https URL without credentials, such as http://127.0.0.1:8081",
		"8: data_dir: is empty; name a directory",
	},
	"admin_token": {
		"6: admin_token_file: is set as well as admin_token; remove one of the two",
		"5: admin_token: must be one word of visible ASCII characters, such as openssl rand -hex 32 gives",
	},
	"admin_token_empty": {
		"5: admin_token: " + wantSecret,
	},
	"alias_of_itself": {
		"1: x: unknown setting; known here: listen, admin_listen, admin, admin_pprof, admin_open_metrics, data_dir, admin_token, admin_token_file, admin_tls, admin_ca_file, tls, acme, sources, ingress, spool, relay, nats, audit, services, log",
		"4: sources.zenduty: unknown setting in column 3; known here: signature, keys, basic_auth, allow, max_age",
	},
	"answer_deadline_zero": {
		"6: ingress.answer_deadline: must be above 0",
	},
	"audit": {
		"6: audit.interval: must be 0 (never) or at least 1s",
		"7: audit.canary_interval: must be 0 (never) or at least 1s",
	},
	"basic_auth_colon": {
		"6: sources.zenduty.basic_auth.username: contains a colon, which a user name cannot (RFC 7617, section 2)",
		"8: sources.zenduty.basic_auth.password_file: is set as well as password; remove one of the two",
	},
	"basic_auth_empty": {
		"5: sources.zenduty.basic_auth.username: is empty; give the user name set in Zenduty",
		"5: sources.zenduty.basic_auth.password: is missing; set password or password_file",
	},
	"binary": {
		"5: is not UTF-8 text without control characters",
	},
	"colon_in_value": {
		"6: not valid YAML: mapping values are not allowed in this context",
	},
	"duplicate_setting": {
		"7: listen: is given twice, first in line 5",
	},
	"duplicate_source": {
		"5: sources.zenduty: is given twice, first in line 2",
	},
	"empty_key": {
		"4: sources.zenduty.keys[0].key: " + wantSecret,
		"4: sources.zenduty.keys[0].name: is missing; several keys need a name each",
		"6: sources.zenduty.keys[1].key: " + wantSecret,
	},
	"empty_source": {
		"2: sources.zenduty.keys: " + wantKey,
	},
	"ingress": {
		"6: ingress.max_body_bytes: must be at least 1",
		"7: ingress.header_timeout: must be above 0",
		"8: ingress.body_timeout: must be above 0",
		"9: ingress.idle_timeout: must be above 0",
		"10: ingress.answer_deadline: must be below 3s, Zenduty's limit for an answer",
		"11: ingress.failed_auth_rate: must be above 0",
		"12: ingress.failed_auth_burst: must be at least 1",
		"13: ingress.lame_duck: must not be negative",
	},
	"ingress_limits": {
		"6: ingress.max_header_bytes: must be 1KiB to 1MiB",
		"7: ingress.max_connections: must be at least 1",
		"8: ingress.max_connections_per_address: must be 0 (any number) or above",
		"9: ingress.max_concurrent_requests: must be at least 1",
		"10: ingress.max_unverified_bytes: must be at least 1MiB and twice ingress.max_body_bytes, or the largest webhook might not fit",
		"13: ingress.trusted_proxies[1]: is every address, and every sender could then choose its own; name the proxies' networks",
	},
	"key_and_file": {
		"5: sources.zenduty.keys[0].key_file: is set as well as key; remove one of the two",
	},
	"key_file_blank": {
		"4: sources.zenduty.keys[0].key_file: names an empty file",
	},
	"key_file_directory": {
		"4: sources.zenduty.keys[0].key_file: names a directory, not a file",
	},
	"key_file_empty": {
		"4: sources.zenduty.keys[0].key_file: names an empty file",
	},
	"key_file_missing": {
		"4: sources.zenduty.keys[0].key_file: cannot be read: no such file or directory",
	},
	"key_file_utf16": {
		"4: sources.zenduty.keys[0].key_file: names a file that is not UTF-8 text without a byte order mark",
	},
	"key_is_list": {
		"4: sources.zenduty.keys[0].key: must be a single value",
	},
	"key_is_mapping": {
		"4: sources.zenduty.keys[0].key: must be a single value",
	},
	"key_is_null": {
		"4: sources.zenduty.keys[0].key: has no value; give one or take the line out",
	},
	"key_missing": {
		"4: sources.zenduty.keys[0].key: is missing; set key or key_file",
	},
	"key_names": {
		"4: sources.zenduty.keys[0].name: is missing; several keys need a name each",
		"6: sources.zenduty.keys[2].name: is the name of sources.zenduty.keys[1] too; names must differ",
		"7: sources.zenduty.keys[3].name: must be 1 to 63 of A-Z, a-z, 0-9, ., _ and -, the first a letter or digit",
	},
	"key_of_two_sources": {
		"4: sources.zenduty.keys[0].key: " + wantOwnKey,
		"6: sources.zenduty.keys[2].key: " + wantOwnKey,
	},
	"key_times": {
		"5: sources.zenduty.keys[0].not_before: must be a time with its zone as RFC 3339 has it, such as 2026-03-31T00:00:00Z",
		"6: sources.zenduty.keys[1].not_after: must be a time with its zone as RFC 3339 has it, such as 2026-03-31T00:00:00Z",
		"8: sources.zenduty.keys[3].not_before: has no value; give one or take the line out",
		"7: sources.zenduty.keys[2].not_after: is before not_before, so the key would never be valid; swap them or take one out",
	},
	"keys_is_mapping": {
		"4: sources.zenduty.keys: " + wantList,
	},
	"keys_is_text": {
		"3: sources.zenduty.keys: " + wantList,
	},
	"list_at_root": {
		"1: " + wantMapping,
	},
	"log_format": {
		"6: log.format: must be one of auto, text, json",
	},
	"merge_key": {
		"7: relay: merge keys (<<) are not supported; write the settings out",
	},
	"name_not_text": {
		"3: sources: an entry's name must be plain text",
		"5: sources: an entry's name must be plain text",
	},
	"names_not_shown": {
		"3: services.?: " + wantToken,
		"3: services.?: " + wantToken,
	},
	"nats_password_alone": {
		"5: nats.user: is missing, but a password is set",
	},
	"nats_password_empty": {
		"7: nats.password: " + wantSecret,
	},
	"nats_tls": {
		"6: nats.credentials_file: names an empty file",
		"8: nats.tls.ca_file: cannot be read: no such file or directory",
		"9: nats.tls.cert_file: names a directory, not a file",
		"7: nats.tls: cert_file and key_file go together; set both or neither",
	},
	"nats_two_ways": {
		"6: nats.token: is set as well as nats.credentials_file; keep one way to authenticate",
	},
	"nats_url": {
		"6: nats.url: " + wantServers,
	},
	"nats_url_and_user": {
		"6: nats.url: holds credentials while nats.user is set; keep one",
	},
	"nats_url_port": {
		"6: nats.url: " + wantServers,
	},
	"nats_url_users": {
		"6: nats.url: holds credentials that are not the same for all servers; give them in settings of their own instead, such as nats.user",
	},
	"nats_url_websocket": {
		"6: nats.url: mixes WebSocket servers with others; nats.go connects to one sort only",
	},
	"nats_user_alone": {
		"5: nats.password: is missing; set NATS_PASSWORD or nats.password_file, or, if nats.user is a token, NATS_TOKEN in its place",
	},
	"no_key": {
		"2: sources.zenduty.keys: " + wantKey,
	},
	"no_key_other": {
		"2: sources.other.keys: no signing key: set sources.other.keys in the configuration file to the webhook's signing key from Zenduty",
	},
	"no_source": {
		": sources: " + wantKey,
	},
	"networks": {
		"5: sources.zenduty.allow[0]: must be networks such as 10.0.0.0/8 or fd00::/8, or single addresses",
		"8: sources.other.allow: must be networks such as 10.0.0.0/8 or fd00::/8, or single addresses",
		"10: ingress.trusted_proxies[0]: must be a single value",
		"6: sources.zenduty.max_age: must not be negative",
	},
	"not_utf8": {
		"4: is not UTF-8 text without control characters",
	},
	"number_is_secret": {
		"6: relay.window: must be a whole number",
	},
	"relay": {
		"6: relay.window: must be at least 1",
		"7: relay.ack_timeout: must be above 0",
		"5: relay.backoff_max: must be at least relay.backoff_min",
		"9: relay.drain_timeout: must not be negative",
	},
	"same_address": {
		"6: admin_listen: is the same address as listen; give it another port",
	},
	"secret_as_name": {
		"4: sources.zenduty.keys[0]: unknown setting in column 9; known here: name, key, key_file, not_before, not_after",
	},
	"secret_as_source_name": {
		"2: sources.?: a source's name must be 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit",
	},
	"secret_twice_as_name": {
		"2: nats: unknown setting in column 3; known here: url, listen, credentials_file, user, password, password_file, token, token_file, nkey_seed_file, tls, subject, stream",
		"3: nats: is given twice, first in line 2",
	},
	"services": {
		"10: services.?: an alias stands for an empty name; give the service's unique_id",
		"6: services.a: " + wantToken,
		"7: services.b: " + wantToken,
		"8: services.c: " + wantToken,
		"9: services.d: " + wantToken,
	},
	"signature_none_with_key": {
		"3: sources.zenduty.keys: would not be used, because signature is none; remove one of the two",
	},
	"signature_unknown": {
		"5: sources.zenduty.signature: must be one of auto, raw, none",
	},
	"source_is_text": {
		"2: sources.zenduty: " + wantMapping,
	},
	"source_name": {
		"2: sources.Zenduty: a source's name must be 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit",
	},
	"space_left_out": {
		"4: sources.zenduty.keys[0]: " + wantMapping,
	},
	"spool": {
		"7: spool.retention: must not be negative",
		"6: spool.max_bytes: must be above 0 and at least ingress.max_body_bytes, or the largest webhook would never fit",
	},
	"spool_ballast": {
		"8: spool.ballast_bytes: must be at least 4MiB and 4 times ingress.max_body_bytes, or a full disk might not heal",
	},
	"spool_no_ballast": {
		"6: spool.ballast_bytes: must be at least 4MiB and 4 times ingress.max_body_bytes, or a full disk might not heal",
	},
	"stream": {
		"12: nats.stream.max_bytes: must be a size such as 1048576, 64KB or 1MiB",
		`8: nats.stream.name: must be 1 to 255 characters, without . * > / \ white space or control characters`,
		"9: nats.stream.replicas: must be 1 to 5",
		"10: nats.stream.max_age: must be 0 (for ever) or at least 100ms",
		"11: nats.stream.duplicate_window: must be at least 1s",
	},
	"stream_embedded": {
		"7: nats.stream.replicas: must be 1 for the embedded server; set nats.url to a cluster for more",
	},
	"stream_window": {
		"6: nats.stream.duplicate_window: must not be above nats.stream.max_age",
	},
	"subject_empty_token": {
		"6: nats.subject: token 2 must not be empty or contain * > white space or control characters",
	},
	"subject_canary": {
		"6: nats.subject: can give a subject of canaries (zenduty.canary.*); use other fixed tokens or another number of them",
	},
	"subject_first": {
		"6: nats.subject: must begin with a fixed token without $, or the stream would take in NATS's own subjects",
	},
	"subject_mixed": {
		"6: nats.subject: token 2 mixes a placeholder with other text; a placeholder must be a whole token",
	},
	"subject_quarantine": {
		"6: nats.subject: can give a subject of the quarantine (zenduty.quarantine.*); use other fixed tokens or another number of them",
	},
	"subject_reserved": {
		"6: nats.subject: must begin with a fixed token without $, or the stream would take in NATS's own subjects",
	},
	"subject_unknown": {
		"6: nats.subject: token 2 is not a known placeholder; known are {event_type}, {service}, {source}, {incident}",
	},
	"subject_wildcard": {
		"6: nats.subject: token 2 must not be empty or contain * > white space or control characters",
	},
	"syntax": {
		"3: not valid YAML: did not find expected ',' or ']'",
	},
	"syntax_indent": {
		"4: not valid YAML: did not find expected key",
	},
	"tag": {
		"4: sources.zenduty.keys[0].key: tags are not supported; quote a value that begins with !",
	},
	"text_at_root": {
		"1: " + wantMapping,
	},
	"two_documents": {
		"5: a second document begins; keep one in a file",
	},
	"tls": {
		"9: admin_tls.key_file: is not the key of the certificate in cert_file; give the two that were issued together, the server's certificate first",
		"10: admin_ca_file: holds no certificate in PEM (BEGIN CERTIFICATE)",
		"5: tls: cert_file and key_file go together; set both or neither",
	},
	"tls_files": {
		"11: admin_ca_file: cannot be read: no such file or directory",
		"10: admin_tls.key_file: holds no private key in PEM (BEGIN PRIVATE KEY) without a pass phrase",
		"6: tls.cert_file: holds no certificate in PEM (BEGIN CERTIFICATE)",
	},
	"unknown_anchor": {
		"4: not valid YAML: an alias names an unknown anchor; quote a value that begins with *",
	},
	"unknown_in_source": {
		"3: sources.zenduty.kyes: unknown setting; known here: signature, keys, basic_auth, allow, max_age",
		"2: sources.zenduty.keys: " + wantKey,
	},
	"unknown_may_be_secret": {
		"7: sources.zenduty.basic_auth: unknown setting in column 7; known here: username, password, password_file",
	},
	"unknown_section": {
		"5: spol: unknown setting; known here: listen, admin_listen, admin, admin_pprof, admin_open_metrics, data_dir, admin_token, admin_token_file, admin_tls, admin_ca_file, tls, acme, sources, ingress, spool, relay, nats, audit, services, log",
	},
	"unknown_setting": {
		"6: spool.max_size: unknown setting; known here: max_bytes, retention, ballast_bytes",
	},
	"wrong_types": {
		"6: spool.max_bytes: must be a size such as 1048576, 64KB or 1MiB",
		"7: spool.retention: must be a duration with its unit, such as 250ms, 5s or 24h",
		"9: relay.window: must be a whole number",
		"11: ingress.failed_auth_rate: must be a number",
		"13: log.level: must be debug, info, warn or error",
		"14: listen: must be a single value",
		"15: services: " + wantMapping,
		"16: nats: " + wantMapping,
	},
}

func TestBadFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(paths) != len(badFiles) {
		t.Fatalf("%d files for %d rows, %v", len(paths), len(badFiles), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			_, err := Load(Flags{Config: &path}, nil)
			if err == nil {
				t.Fatal("no error")
			}
			var want []string
			for _, line := range badFiles[name] {
				if !strings.HasPrefix(line, ": ") {
					line = path + ":" + line
				}
				want = append(want, strings.TrimPrefix(line, ": "))
			}
			if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), "S3cret") {
				t.Error("the error shows the secret")
			}
		})
	}
}

// Faults of flags and variables, which are read alike, name both.
func TestBadFlags(t *testing.T) {
	tests := []struct {
		name  string
		flags Flags
		env   env
		want  []string
	}{
		{"bool", Flags{AdminPprof: ptr("yes")}, nil, []string{"--admin-pprof or ZENDUTY_BRIDGE_ADMIN_PPROF: admin_pprof: must be true or false"}},
		{"number", Flags{RelayWindow: ptr("S3cret$")}, nil, []string{"--relay-window or ZENDUTY_BRIDGE_RELAY_WINDOW: relay.window: must be a whole number"}},
		{"not a number", Flags{IngressFailedAuthRate: ptr("NaN")}, nil, []string{"--ingress-failed-auth-rate or ZENDUTY_BRIDGE_INGRESS_FAILED_AUTH_RATE: ingress.failed_auth_rate: must be a number"}},
		{"deadline", Flags{IngressAnswerDeadline: ptr("3s")}, nil, []string{"--ingress-answer-deadline or ZENDUTY_BRIDGE_INGRESS_ANSWER_DEADLINE: ingress.answer_deadline: must be below 3s, Zenduty's limit for an answer"}},
		{"several", Flags{Listen: ptr("8080"), LogLevel: ptr("loud")}, nil, []string{
			"--log-level or ZENDUTY_BRIDGE_LOG_LEVEL: log.level: must be debug, info, warn or error",
			"--listen or ZENDUTY_BRIDGE_LISTEN: listen: must be host:port, such as 127.0.0.1:8080, or :port for all addresses",
		}},
		{"URL", Flags{NATSURL: ptr("nats://u:S3cret$@a:b")}, nil, []string{"--nats-url or NATS_URL: nats.url: " + wantServers}},
		{"token file", Flags{NATSTokenFile: ptr("S3cret$")}, nil, []string{"--nats-token-file or NATS_TOKEN_FILE: nats.token_file: cannot be read: no such file or directory"}},
		{"token twice", Flags{NATSTokenFile: ptr("testdata/secret.txt")}, env{envNATSToken: "S3cret$"}, []string{"--nats-token-file or NATS_TOKEN_FILE: nats.token_file: NATS_TOKEN is set as well; unset one"}},
		{"blank password", Flags{NATSUser: ptr("u")}, env{envNATSPassword: " "}, []string{"NATS_PASSWORD: nats.password: " + wantSecret}},
		{"blank key", Flags{}, env{envSigningKey: " \t\n"}, []string{"ZENDUTY_SIGNING_KEY: sources.zenduty.keys[0].key: " + wantSecret}},
		{"key twice", Flags{}, env{envSigningKey: "S3cret$", envSigningKeyFile: "x"}, []string{"ZENDUTY_SIGNING_KEY and ZENDUTY_SIGNING_KEY_FILE: sources.zenduty.keys: both variables are set; unset one"}},
		{"key in place of its file", Flags{}, env{envSigningKeyFile: "S3cret$"}, []string{"ZENDUTY_SIGNING_KEY_FILE: sources.zenduty.keys[0].key_file: cannot be read: no such file or directory"}},
		{"endless key", Flags{}, env{envSigningKeyFile: "/dev/zero"}, []string{"ZENDUTY_SIGNING_KEY_FILE: sources.zenduty.keys[0].key_file: names a file that is too large to be a secret (over 64 KiB)"}},
		{"no file", Flags{Config: ptr("none.yaml")}, nil, []string{"none.yaml: cannot be read: no such file or directory; --config or ZENDUTY_BRIDGE_CONFIG names this file"}},
		{"directory", Flags{Config: ptr("testdata")}, nil, []string{"testdata: names a directory, not a file; --config or ZENDUTY_BRIDGE_CONFIG names this file"}},
		{"endless file", Flags{Config: ptr("/dev/zero")}, nil, []string{"/dev/zero: is too large for a configuration file (over 1 MiB); --config or ZENDUTY_BRIDGE_CONFIG names this file"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(test.flags, test.env.get)
			if err = Without(err, ErrNoKey); err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Whoever reaches the embedded server may publish and delete: nobody else's machine does,
// unless it has to say who it is.
func TestEmbeddedServerBeyondLoopback(t *testing.T) {
	const refused = "nats.listen: lets other machines publish webhooks and delete the stream"
	for _, listen := range []string{":4222", "0.0.0.0:4222", "[::]:4222", "192.0.2.1:4222", "nats.example:4222"} {
		for settings, want := range map[string]string{
			"":                                  refused,
			"credentials_file: testdata/ca.pem": refused, // which it cannot ask for
			"user: u, password: p":              "",
			"token: t":                          "",
			"token_file: testdata/token.txt":    "",
			"url: host":                         "", // and none is started
		} {
			file := write(t, "bridge.yaml", "sources: {zenduty: {keys: [{key: k}]}}\nnats: {listen: '"+listen+"', "+settings+"}\n")
			_, err := Load(Flags{Config: &file}, nil)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s with %q: %v, want %q", listen, settings, err, want)
			}
		}
	}
	for _, listen := range []string{"127.0.0.1:4222", "127.1.2.3:0", "[::1]:4222", "localhost:4222", "[::ffff:127.0.0.1]:1"} {
		file := write(t, "bridge.yaml", "sources: {zenduty: {keys: [{key: k}]}}\nnats: {listen: '"+listen+"'}\n")
		if _, err := Load(Flags{Config: &file}, nil); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

// Only who is on the bridge's machine can try short tokens.
func TestShortAdminToken(t *testing.T) {
	const refused = "admin_token: has fewer than 16 characters"
	for settings, want := range map[string]string{
		"{admin_listen: ':8081', admin_token: fifteen-letters":          refused,
		"{admin_listen: ':8081', admin_token_file: testdata/token.txt":  refused,
		"{admin_listen: ':8081', admin_token: sixteen--letters":         "",
		"{admin_listen: ':8081'":                                        "",
		"{admin_listen: '127.0.0.1:8081', admin_token: fifteen-letters": "",
	} {
		file := write(t, "bridge.yaml", settings+", sources: {zenduty: {keys: [{key: k}]}}}\n")
		_, err := Load(Flags{Config: &file}, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", settings, err, want)
		}
	}
}

// A flag or variable takes the place of the file's line as well as of its value.
func TestFaultNamesTheLayerThatGaveTheValue(t *testing.T) {
	file := write(t, "bridge.yaml", "sources: {zenduty: {keys: [{name: a, key: x}, {name: b, key: y}]}}\nrelay: {window: 5}\n")
	_, err := Load(Flags{Config: &file, RelayWindow: ptr("0")}, env{envSigningKey: " "}.get)
	want := []string{
		"ZENDUTY_SIGNING_KEY: sources.zenduty.keys[0].key: " + wantSecret,
		"--relay-window or ZENDUTY_BRIDGE_RELAY_WINDOW: relay.window: must be at least 1",
	}
	if err == nil || !slices.Equal(want, strings.Split(err.Error(), "\n")) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// However the two keys are given.
func TestKeyOfTwoSourcesInFileAndEnvironment(t *testing.T) {
	file := write(t, "bridge.yaml", "sources: {other: {keys: [{key_file: testdata/secret.txt}]}}\n")
	_, err := Load(Flags{Config: &file}, env{envSigningKey: "a secret\n"}.get)
	want := "ZENDUTY_SIGNING_KEY: sources.zenduty.keys[0].key: " + strings.Replace(wantOwnKey, "keys[1]", "keys[0]", 1)
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestGoodFiles(t *testing.T) {
	for name, text := range map[string]string{
		"no settings":        "{}\n",
		"comments":           "# nothing\n",
		"null":               "---\n",
		"byte order mark":    "\ufefflisten: :1\n",
		"sections left open": "nats:\n  tls:\nservices:\nspool:\n  # retention: 1h\n",
		"alias":              "sources: {zenduty: {keys: [{key: k}], allow: &a [10.0.0.0/8]}, other: {keys: [{key: l}], allow: *a}}\n",
		"twice in a source":  "sources: {zenduty: {keys: [{name: a, key: k}, {name: b, key: k}]}}\n",
		"unsigned":           "sources: {zenduty: {signature: none}}\n",
		"basic auth only":    "sources: {zenduty: {signature: none, basic_auth: {username: u, password: p}}}\n",
		"numbers as text":    "sources: {zenduty: {keys: [{key: 0123}]}}\nrelay: {window: \"7\"}\n",
		"TLS":                "tls: {cert_file: testdata/cert.pem, key_file: testdata/key.pem}\n",
		"ACME":               "acme: {domains: \"Bridge.Example.com, b.example.com\", accept_terms: true}\n",
		"embedded not used":  "nats: {url: host, listen: nonsense}\n",
		"keys for a time":    "sources: {zenduty: {keys: [{key: k, not_before: 2020-03-31T00:00:00Z, not_after: \"2096-03-31T00:00:00.5+02:00\"}]}}\n",
		"keys expired":       "sources: {zenduty: {keys: [{key: k, not_after: 2020-03-31T00:00:00Z}]}}\n",
		"any free port":      "listen: 127.0.0.1:0\nadmin_listen: 127.0.0.1:0\n",
		"subject":            "nats:\n  subject: a.{source}.{event_type}.{service}.{incident}\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Flags{Config: ptr(write(t, "bridge.yaml", text))}, nil)
			if err = Without(err, ErrNoKey); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTextIsTakenAsWritten(t *testing.T) {
	file := write(t, "bridge.yaml", "sources: {zenduty: {keys: [{name: a, key: 0x10}, {name: b, key: 1e3}, {name: c, key: yes}, {name: d, key: ' k '}]}}")
	c, err := Load(Flags{Config: &file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range c.Sources["zenduty"].Keys {
		got = append(got, k.Key.Reveal())
	}
	if diff := cmp.Diff([]string{"0x10", "1e3", "yes", " k "}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

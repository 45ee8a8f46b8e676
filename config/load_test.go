package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// env is an environment that holds secrets.
type env map[string]string

func (e env) get(name string) (string, bool) {
	text, ok := e[name]
	return text, ok
}

func ptr(text string) *string { return &text }

// write puts a file into a directory of the test's own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// parse lets kong fill the flags from arguments and the process's environment.
func parse(t *testing.T, args ...string) Flags {
	t.Helper()
	var f Flags
	parser, err := kong.New(&f, kong.Exit(func(int) { t.Error("kong exits") }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

// writeConfig makes a configuration file, without settings if there is no text.
func writeConfig(t *testing.T, text string) string {
	if text == "" {
		text = "{}"
	}
	return write(t, "bridge.yaml", text)
}

func TestLayers(t *testing.T) {
	const file = "data_dir: file\nspool: {retention: 1h}\n"
	tests := []struct {
		name      string
		file      string
		env       map[string]string
		args      []string
		wantDir   string
		retention time.Duration
	}{
		{name: "default", wantDir: "./data", retention: 24 * time.Hour},
		{name: "file over default", file: file, wantDir: "file", retention: time.Hour},
		{
			name: "environment over file", file: file,
			env:     map[string]string{"ZENDUTY_BRIDGE_DATA_DIR": "env", "ZENDUTY_BRIDGE_SPOOL_RETENTION": "2h"},
			wantDir: "env", retention: 2 * time.Hour,
		},
		{
			name: "flag over environment", file: file,
			env:     map[string]string{"ZENDUTY_BRIDGE_DATA_DIR": "env", "ZENDUTY_BRIDGE_SPOOL_RETENTION": "2h"},
			args:    []string{"--data-dir=flag", "--spool-retention=3h"},
			wantDir: "flag", retention: 3 * time.Hour,
		},
		{
			name: "an empty variable is not given", file: file,
			env:     map[string]string{"ZENDUTY_BRIDGE_DATA_DIR": "", "ZENDUTY_BRIDGE_SPOOL_RETENTION": ""},
			wantDir: "file", retention: time.Hour,
		},
		{name: "a flag sets one value of a section only", file: file, args: []string{"--spool-max-bytes=9GiB"}, wantDir: "file", retention: time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.file != "" {
				t.Setenv("ZENDUTY_BRIDGE_CONFIG", writeConfig(t, test.file))
			}
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			c, err := Load(parse(t, test.args...), env{envSigningKey: "k"}.get)
			if err != nil {
				t.Fatal(err)
			}
			if c.DataDir != test.wantDir || c.Spool.Retention != test.retention {
				t.Errorf("got %s and %s, want %s and %s", c.DataDir, c.Spool.Retention, test.wantDir, test.retention)
			}
		})
	}
}

// samples are values that differ from the defaults and are valid by themselves.
var samples = map[string]string{
	"listen": ":1", "admin_listen": ":2", "admin": "https://bridge", "data_dir": "/d",
	"ingress.max_body_bytes": "2MiB", "ingress.header_timeout": "1s", "ingress.body_timeout": "1s",
	"ingress.idle_timeout": "1s", "ingress.answer_deadline": "1s", "ingress.failed_auth_rate": "0.5",
	"ingress.max_header_bytes": "8KiB", "ingress.max_connections": "5", "ingress.max_connections_per_address": "5",
	"ingress.max_concurrent_requests": "5", "ingress.max_unverified_bytes": "32MiB", "ingress.trusted_proxies": "10.0.0.0/8,::1",
	"ingress.failed_auth_burst": "2", "ingress.lame_duck": "0s", "spool.max_bytes": "1GB", "spool.retention": "1h",
	"spool.ballast_bytes": "16MiB", "admin_pprof": "true", "admin_open_metrics": "true", "relay.window": "1", "relay.ack_timeout": "1s", "relay.backoff_min": "1s",
	"relay.backoff_max": "1m", "relay.drain_timeout": "0s", "nats.url": "tls://nats", "nats.listen": "127.0.0.1:3",
	"nats.credentials_file": exampleFile, "nats.user": "u", "nats.password_file": "testdata/secret.txt",
	"nats.token_file": "testdata/secret.txt", "nats.nkey_seed_file": exampleFile,
	"nats.tls.ca_file": exampleFile, "nats.tls.cert_file": exampleFile, "nats.tls.key_file": exampleFile,
	"nats.subject": "incidents.{source}.{incident}", "nats.stream.name": "OTHER", "nats.stream.replicas": "3",
	"nats.stream.max_age": "1h", "nats.stream.max_bytes": "1TiB", "nats.stream.duplicate_window": "1m",
	"admin_tls.cert_file": "testdata/cert.pem", "admin_tls.key_file": "testdata/key.pem", "admin_ca_file": "testdata/cert.pem",
	"tls.cert_file": "testdata/cert.pem", "tls.key_file": "testdata/key.pem",
	"acme.domains": "bridge.example.com", "acme.email": "ops@example.com", "acme.directory": "https://acme.example.com/directory",
	"acme.cache_dir": "/c", "acme.accept_terms": "true",
	"admin_token_file": "testdata/token.txt", "audit.interval": "1m", "audit.canary_interval": "1m", "log.level": "debug", "log.format": "json",
}

// companions are the flags a setting is only valid with.
var companions = map[string][]string{
	"nats.user":            {"--nats-password-file=testdata/secret.txt"},
	"nats.password_file":   {"--nats-user=u"},
	"nats.tls.cert_file":   {"--nats-key=" + exampleFile},
	"nats.tls.key_file":    {"--nats-cert=" + exampleFile},
	"nats.stream.replicas": {"--nats-url=nats"},

	"admin_tls.cert_file": {"--admin-tls-key-file=testdata/key.pem"},
	"admin_tls.key_file":  {"--admin-tls-cert-file=testdata/cert.pem"},
	"tls.cert_file":       {"--tls-key-file=testdata/key.pem"},
	"tls.key_file":        {"--tls-cert-file=testdata/cert.pem"},
	"acme.domains":        {"--acme-accept-terms=true"},
	"acme.email":          withACME,
	"acme.cache_dir":      withACME,
	"acme.accept_terms":   {"--acme-domains=bridge.example.com"},
}

var withACME = []string{"--acme-domains=bridge.example.com", "--acme-accept-terms=true"}

func TestEveryFlagChangesItsSetting(t *testing.T) {
	for _, f := range (Flags{}).all() {
		if f.setting == "" {
			continue // --config
		}
		t.Run(f.name, func(t *testing.T) {
			with := companions[f.setting]
			byFlag, err := Load(parse(t, append(with, "--"+f.name+"="+samples[f.setting])...), env{envSigningKey: "k"}.get)
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv(f.env, samples[f.setting])
			byEnv, err := Load(parse(t, with...), env{envSigningKey: "k"}.get)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(byFlag, byEnv); diff != "" {
				t.Errorf("flag and variable differ:\n%s", diff)
			}
			setting := strings.TrimSuffix(f.setting, secretSuffix(f.setting))
			before := Default()
			if reflect.DeepEqual(before.lookup(setting).Interface(), byFlag.lookup(setting).Interface()) {
				t.Errorf("--%s leaves %s at its default", f.name, setting)
			}
		})
	}
}

// secretSuffix is what to cut off a setting whose file Load replaces by a text.
func secretSuffix(setting string) string {
	if setting == "nats.password_file" || setting == "nats.token_file" || setting == "admin_token_file" {
		return "_file"
	}
	return ""
}

func TestSigningKeyFromEnvironment(t *testing.T) {
	keyFile := write(t, "key", "from file\r\n")
	const two = "sources: {zenduty: {signature: raw, keys: [{name: a, key: x}, {name: b, key: y}]}, other: {keys: [{key: z}]}}"
	only := func(key string) []Key { return []Key{{Name: "default", Key: NewSecret(key)}} }
	tests := []struct {
		name, file string
		env        env
		want       map[string]Source
	}{
		{"makes the source", "", env{envSigningKey: "k"}, map[string]Source{"zenduty": {Signature: "auto", Keys: only("k")}}},
		{"from a file", "", env{envSigningKeyFile: keyFile}, map[string]Source{"zenduty": {Signature: "auto", Keys: only("from file")}}},
		{"line ends do not count", "", env{envSigningKey: "k\r\n"}, map[string]Source{"zenduty": {Signature: "auto", Keys: only("k")}}},
		{"nor in a block", "sources:\n  zenduty:\n    keys:\n    - key: |\n        k\n", nil, map[string]Source{"zenduty": {Signature: "auto", Keys: only("k")}}},
		{"empty is not set", "", env{envSigningKey: "", envSigningKeyFile: keyFile}, map[string]Source{"zenduty": {Signature: "auto", Keys: only("from file")}}},
		{"replaces the file's keys and nothing else", two, env{envSigningKey: "k"}, map[string]Source{
			"zenduty": {Signature: "raw", Keys: only("k")}, "other": {Signature: "auto", Keys: only("z")},
		}},
		{"not set", two, nil, map[string]Source{
			"zenduty": {Signature: "raw", Keys: []Key{{Name: "a", Key: NewSecret("x")}, {Name: "b", Key: NewSecret("y")}}},
			"other":   {Signature: "auto", Keys: only("z")},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := Load(Flags{Config: ptr(writeConfig(t, test.file))}, test.env.get)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, c.Sources); diff != "" {
				t.Errorf("sources (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNATSCredentials(t *testing.T) {
	secret := write(t, "secret", "from file\n")
	tests := []struct {
		name, file string
		flags      Flags
		env        env
		want       NATS // URL, user, password and token
	}{
		{name: "variable over file", file: "nats: {user: u, password_file: /none}", env: env{envNATSPassword: "p"}, want: NATS{User: "u", Password: NewSecret("p")}},
		{name: "file flag over text", file: "nats: {user: u, password: old}", flags: Flags{NATSPasswordFile: &secret}, want: NATS{User: "u", Password: NewSecret("from file")}},
		{name: "token", env: env{envNATSToken: "t"}, want: NATS{Token: NewSecret("t")}},
		{name: "token over file", file: "nats: {token_file: /none}", env: env{envNATSToken: "t"}, want: NATS{Token: NewSecret("t")}},
		{
			name: "user in the URLs", flags: Flags{NATSURL: ptr("nats://u:p%40@a:1, u:p%40@b")},
			want: NATS{URL: "nats://a:1,nats://b", User: "u", Password: NewSecret("p@")},
		},
		{name: "token in the URL", file: "nats: {url: tls://t@a}", want: NATS{URL: "tls://a", Token: NewSecret("t")}},
		{name: "no credentials in the URL", flags: Flags{NATSURL: ptr("a,b")}, want: NATS{URL: "a,b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.flags.Config = ptr(writeConfig(t, test.file))
			if test.env == nil {
				test.env = env{}
			}
			test.env[envSigningKey] = "k"
			c, err := Load(test.flags, test.env.get)
			if err != nil {
				t.Fatal(err)
			}
			got := NATS{URL: c.NATS.URL, User: c.NATS.User, Password: c.NATS.Password, PasswordFile: c.NATS.PasswordFile, Token: c.NATS.Token, TokenFile: c.NATS.TokenFile}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadedConfigIsValidAgain(t *testing.T) {
	file := write(t, "bridge.yaml", `
sources:
  zenduty: {keys: [{key_file: testdata/secret.txt}], basic_auth: {username: u, password_file: testdata/secret.txt}}
nats: {token_file: testdata/secret.txt}
`)
	c, err := Load(Flags{Config: &file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Source{
		Signature: "auto",
		Keys:      []Key{{Name: "default", Key: NewSecret("a secret")}},
		BasicAuth: &BasicAuth{Username: "u", Password: NewSecret("a secret")},
	}
	if diff := cmp.Diff(want, c.Sources["zenduty"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := c.Validate(); err != nil {
		t.Errorf("Validate of what Load returned: %v", err)
	}
}

func TestErrorsCanBeToldApart(t *testing.T) {
	_, err := Load(Flags{Config: ptr("testdata/none.yaml")}, nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: got %v, want fs.ErrNotExist", err)
	}
	c, err := Load(Flags{DataDir: ptr("/d")}, nil)
	if !errors.Is(err, ErrNoKey) || c.DataDir != "/d" {
		t.Errorf("no key: got %v and data_dir %s, want ErrNoKey and the rest in place", err, c.DataDir)
	}
	if err := Without(err, ErrNoKey); err != nil {
		t.Errorf("without ErrNoKey: %v", err)
	}
	_, err = Load(Flags{RelayWindow: ptr("0")}, nil)
	var fault *Fault
	if err = Without(err, ErrNoKey); !errors.As(err, &fault) || fault.Key != "relay.window" || errors.Is(err, ErrNoKey) {
		t.Errorf("without ErrNoKey: got %v, want the fault of relay.window", err)
	}
	if other := errors.New("other"); Without(other, ErrNoKey) != other || Without(ErrNoKey, ErrNoKey) != nil || Without(nil, ErrNoKey) != nil {
		t.Error("Without changes errors that are not joined")
	}
}

func TestDefaultsAreTheCallersOwn(t *testing.T) {
	Default().Sources["x"] = Source{}
	if len(Default().Sources) != 0 {
		t.Error("two calls of Default share a map")
	}
}

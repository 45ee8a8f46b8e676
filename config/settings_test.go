package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The process's own environment must not decide a test.
func TestMain(m *testing.M) {
	for _, f := range (Flags{}).all() {
		_ = os.Unsetenv(f.env)
	}
	os.Exit(m.Run())
}

func settingsByKey(t *testing.T) map[string]Setting {
	byKey := map[string]Setting{}
	for _, s := range Settings() {
		if _, twice := byKey[s.Key]; twice {
			t.Errorf("%s is listed twice", s.Key)
		}
		byKey[s.Key] = s
	}
	return byKey
}

func TestSettings(t *testing.T) {
	byKey := settingsByKey(t)
	for _, want := range []Setting{
		{Key: "", Flag: "--config", Env: "ZENDUTY_BRIDGE_CONFIG", Default: ""},
		{Key: "listen", Flag: "--listen", Env: "ZENDUTY_BRIDGE_LISTEN", Default: ":8080"},
		{Key: "admin_listen", Flag: "--admin-listen", Env: "ZENDUTY_BRIDGE_ADMIN_LISTEN", Default: "127.0.0.1:8081"},
		{Key: "admin", Flag: "--admin", Env: "ZENDUTY_BRIDGE_ADMIN", Default: "http://127.0.0.1:8081"},
		{Key: "admin_token", Env: "ZENDUTY_BRIDGE_ADMIN_TOKEN"},
		{Key: "admin_token_file", Flag: "--admin-token-file", Env: "ZENDUTY_BRIDGE_ADMIN_TOKEN_FILE"},
		{Key: "tls.cert_file", Flag: "--tls-cert-file", Env: "ZENDUTY_BRIDGE_TLS_CERT_FILE"},
		{Key: "admin_ca_file", Flag: "--admin-ca-file", Env: "ZENDUTY_BRIDGE_ADMIN_CA_FILE"},
		{Key: "acme.accept_terms", Flag: "--acme-accept-terms", Env: "ZENDUTY_BRIDGE_ACME_ACCEPT_TERMS", Default: "false"},
		{Key: "data_dir", Flag: "--data-dir", Env: "ZENDUTY_BRIDGE_DATA_DIR", Default: "./data"},
		{Key: "nats.url", Flag: "--nats-url", Env: "NATS_URL", Default: ""},
		{Key: "nats.listen", Flag: "--nats-listen", Env: "ZENDUTY_BRIDGE_NATS_LISTEN", Default: "127.0.0.1:4222"},
		{Key: "nats.credentials_file", Flag: "--nats-creds", Env: "NATS_CREDS"},
		{Key: "nats.nkey_seed_file", Flag: "--nats-nkey", Env: "NATS_NKEY"},
		{Key: "nats.password", Env: "NATS_PASSWORD"},
		{Key: "nats.token", Env: "NATS_TOKEN"},
		{Key: "sources.<name>.signature", Default: "auto"},
		{Key: "sources.<name>.keys[].name", Default: "default"},
		{Key: "sources.<name>.keys[].key", Env: "ZENDUTY_SIGNING_KEY"},
		{Key: "sources.<name>.keys[].key_file", Env: "ZENDUTY_SIGNING_KEY_FILE"},
		{Key: "sources.<name>.basic_auth.password_file"},
		{Key: "services.<unique_id>"},
		{Key: "ingress.max_body_bytes", Flag: "--ingress-max-body-bytes", Env: "ZENDUTY_BRIDGE_INGRESS_MAX_BODY_BYTES", Default: "1MiB"},
		{Key: "ingress.answer_deadline", Flag: "--ingress-answer-deadline", Env: "ZENDUTY_BRIDGE_INGRESS_ANSWER_DEADLINE", Default: "2.5s"},
		{Key: "spool.retention", Flag: "--spool-retention", Env: "ZENDUTY_BRIDGE_SPOOL_RETENTION", Default: "24h"},
		{Key: "nats.stream.max_bytes", Flag: "--nats-stream-max-bytes", Env: "ZENDUTY_BRIDGE_NATS_STREAM_MAX_BYTES", Default: "0"},
		{Key: "log.level", Flag: "--log-level", Env: "ZENDUTY_BRIDGE_LOG_LEVEL", Default: "info"},
	} {
		got := byKey[want.Key]
		want.Help = got.Help
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Key, diff)
		}
	}
}

// Every single value is a flag and a variable, named by rule; only secrets and what
// belongs to one source or service are not.
func TestEverySettingHasAFlag(t *testing.T) {
	byKey := settingsByKey(t)
	for key, s := range byKey {
		secret := key == "nats.password" || key == "nats.token" || key == "admin_token"
		if wantFlag := !secret && !strings.Contains(key, "<"); wantFlag != (s.Flag != "") || wantFlag != (s.Help != "") {
			t.Errorf("%s has the flag %q and the help %q", key, s.Flag, s.Help)
		}
		name := "ZENDUTY_BRIDGE_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		flag := "--" + strings.ReplaceAll(strings.ReplaceAll(key, ".", "-"), "_", "-")
		if secret {
			flag = "" // every user of the machine sees the command line
		}
		if strings.HasPrefix(s.Env, "ZENDUTY_BRIDGE_") && key != "" && (s.Env != name || s.Flag != flag) {
			t.Errorf("%s is %s and %s, want %s and %s", key, s.Env, s.Flag, name, flag)
		}
	}
	for _, f := range (Flags{}).all() {
		if _, ok := byKey[f.setting]; !ok {
			t.Errorf("--%s is for the setting %q, which does not exist", f.name, f.setting)
		}
	}
}

// Defaults are written so that an operator can copy them.
func TestDefaultsCanBeReadBack(t *testing.T) {
	c := Default()
	for _, s := range Settings() {
		if s.Key == "" || s.Default == "" || strings.Contains(s.Key, "<") {
			continue
		}
		want := c.lookup(s.Key)
		got := reflect.New(want.Type()).Elem()
		if err := setScalar(got, s.Default); err != nil || !got.Equal(want) {
			t.Errorf("%s: %q is read as %v, %v", s.Key, s.Default, got, err)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 20 * time.Minute: "20m", 10 * time.Hour: "10h", time.Hour + 30*time.Second: "1h0m30s",
		90 * time.Minute: "1h30m", 2500 * time.Millisecond: "2.5s", 70 * time.Second: "1m10s",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}

func TestMisspells(t *testing.T) {
	for _, name := range []string{"key_fil", "key_filee", "kye_file", "ke_file", "key_fiel", "kay_file"} {
		if !misspells(name, "key_file") {
			t.Errorf("%s is not taken for key_file", name)
		}
	}
	for _, name := range []string{"", "hunter", "key", "file_key", "key_files2"} {
		if misspells(name, "key_file") {
			t.Errorf("%s is taken for key_file", name)
		}
	}
}

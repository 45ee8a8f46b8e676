package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestChanged(t *testing.T) {
	text := `
admin_token: t
nats: {url: "nats://u:p@host"}
sources: {zenduty: {keys: [{key: k, not_after: 2096-03-31T00:00:00+02:00}], basic_auth: {username: u, password: p}}}
services: {a: b}
`
	file := write(t, "bridge.yaml", text)
	load := func() Config {
		c, err := Load(Flags{Config: &file}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := load()
	if got := Changed(before, load()); got != nil {
		t.Errorf("read twice: %v", got)
	}
	for name, change := range map[string]struct {
		change func(c *Config)
		want   []string
	}{
		"scalar":     {func(c *Config) { c.Listen, c.Relay.Window = ":1", 1 }, []string{"listen", "relay.window"}},
		"level":      {func(c *Config) { c.Log.Level = -4 }, []string{"log.level"}},
		"secret":     {func(c *Config) { c.AdminToken = NewSecret("other") }, []string{"admin_token"}},
		"deep":       {func(c *Config) { c.NATS.TLS.CAFile, c.NATS.Password = "x", NewSecret("y") }, []string{"nats.password", "nats.tls.ca_file"}},
		"alias":      {func(c *Config) { c.Services["a"] = "c" }, []string{"services"}},
		"source":     {func(c *Config) { c.Sources["other"] = Source{} }, []string{"sources"}},
		"key":        {func(c *Config) { c.Sources["zenduty"].Keys[0].Key = NewSecret("l") }, []string{"sources"}},
		"key's time": {func(c *Config) { c.Sources["zenduty"].Keys[0].NotAfter = time.Time{} }, []string{"sources"}},
		"password":   {func(c *Config) { c.Sources["zenduty"].BasicAuth.Password = NewSecret("q") }, []string{"sources"}},
	} {
		after := load()
		change.change(&after)
		if diff := cmp.Diff(change.want, Changed(before, after)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Whatever it comes from is named, be it there or not.
func TestLoadFilesNamesThem(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"key", "password", "token", "natspassword", "ca"} {
		if err := os.WriteFile(at(name), []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := write(t, "bridge.yaml", `
admin_token_file: `+at("token")+`
sources: {zenduty: {keys: [{name: a, key_file: `+at("key")+`}, {name: b, key_file: `+at("missing")+`}], basic_auth: {username: u, password_file: `+at("password")+`}}}
nats: {url: nats://host, user: u, tls: {ca_file: `+at("ca")+`}}
`)
	_, files, err := LoadFiles(Flags{Config: &file, NATSPasswordFile: ptr(at("natspassword"))}, nil)
	if err == nil {
		t.Error("no error for the missing file")
	}
	want := []File{{file, false}, {at("key"), true}, {at("missing"), true}, {at("password"), true}, {at("token"), true}, {at("natspassword"), true}, {at("ca"), false}}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	file = write(t, "bridge.yaml", "sources: {zenduty: {keys: [{key: k}]}}\n")
	if _, files, _ = LoadFiles(Flags{Config: &file}, nil); len(files) != 1 || !files[0].Secret {
		t.Errorf("a key in the file itself: %v", files)
	}
	if _, files, _ = LoadFiles(Flags{Config: &file}, env{envSigningKey: "k"}.get); len(files) != 1 || files[0].Secret {
		t.Errorf("a key from the environment: %v", files)
	}
	if _, files, _ = LoadFiles(Flags{}, env{envSigningKey: "k"}.get); len(files) != 0 {
		t.Errorf("without files: %v", files)
	}
}

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/config"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// The times of keys are looked at: one that ends soon is worth a word, a source without
// a valid one is an error, and one that has ended beside a valid one is neither.
func TestAuditKeys(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	key := func(name string, from, to time.Duration) config.Key {
		k := config.Key{Name: name}
		if from != 0 {
			k.NotBefore = now.Add(from)
		}
		if to != 0 {
			k.NotAfter = now.Add(to)
		}
		return k
	}
	for name, test := range map[string]struct {
		keys []config.Key
		want []string
	}{
		"for ever":               {[]config.Key{key("k", 0, 0)}, []string{"ok"}},
		"for long":               {[]config.Key{key("k", 0, 8*day)}, []string{"ok"}},
		"not for long":           {[]config.Key{key("k", 0, 6*day), key("l", 0, 0)}, []string{"warning key k of source a expires at 2026-03-07T12:00:00Z"}},
		"expired beside another": {[]config.Key{key("k", 0, -day), key("l", 0, 0)}, []string{"ok"}},
		"not yet valid":          {[]config.Key{key("k", day, 2*day)}, []string{"error no key of source a is valid now"}},
		"a gap":                  {[]config.Key{key("k", 0, -day), key("l", day, 0)}, []string{"error no key of source a is valid now"}},
	} {
		c := config.Config{Sources: map[string]config.Source{"a": {Keys: test.keys}, "unsigned": {Signature: config.SignatureNone}}}
		var got []string
		for _, f := range auditKeys(c, now) {
			text := string(f.Severity)
			if text != "ok" {
				text += " " + f.What
				if f.On != "a" || f.Why == "" || f.Remedy == "" {
					t.Errorf("%s: %+v", name, f)
				}
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A canary is signed with a key that the bridge takes at the time.
func TestCanaryTakesAValidKey(t *testing.T) {
	now := time.Now()
	s := config.Source{Keys: []config.Key{
		{Name: "old", Key: config.NewSecret("old"), NotAfter: now.Add(-time.Hour)}, {Name: "new", Key: config.NewSecret("new")},
	}}
	var to target
	to.authenticate(s, now)
	if to.key != "new" {
		t.Errorf("signed with %q", to.key)
	}
}

// Files with secrets are for the bridge and its group.
func TestAuditSecrets(t *testing.T) {
	dir := t.TempDir()
	at := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	found := auditSecrets([]config.File{
		{Path: at("own", 0o600), Secret: true}, {Path: at("group", 0o640), Secret: true}, {Path: at("all", 0o644), Secret: true},
		{Path: at("certificate", 0o644)}, {Path: filepath.Join(dir, "missing"), Secret: true},
	})
	if len(found) != 1 || found[0].On != filepath.Join(dir, "all") || found[0].Severity != publisher.SeverityWarning {
		t.Errorf("%+v", found)
	}
}

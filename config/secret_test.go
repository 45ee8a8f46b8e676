package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const marker = "S3cret$"

// secretive is a Config with the marker in every secret.
func secretive() Config {
	c := Default()
	c.Sources["zenduty"] = Source{Keys: []Key{{Key: NewSecret(marker)}}, BasicAuth: &BasicAuth{Password: NewSecret(marker)}}
	c.NATS.Password, c.NATS.Token, c.AdminToken = NewSecret(marker), NewSecret(marker), NewSecret(marker)
	return c
}

// hidden keeps a secret where fmt may not call methods.
type hidden struct{ s Secret }

func TestSecretIsNotPrinted(t *testing.T) {
	secret := NewSecret(marker)
	values := map[string]any{
		"secret": secret, "pointer": &secret, "config": secretive(), "key": secretive().Sources["zenduty"].Keys[0],
		"basic auth": secretive().Sources["zenduty"].BasicAuth, "unexported field": hidden{secret}, "list": []Secret{secret},
	}
	for name, v := range values {
		for _, verb := range []string{"v", "+v", "#v", "s", "q", "x", "X", "d", "t", "p", "w", "T", "z", "10.3s"} {
			if text := fmt.Sprintf("%"+verb, v); shows(text) {
				t.Errorf("%s with %%%s: %s", name, verb, text)
			}
		}
		for _, text := range []string{fmt.Sprint(v), encodeJSON(t, v), encodeYAML(t, v), logged(v)} {
			if shows(text) {
				t.Errorf("%s: %s", name, text)
			}
		}
	}
}

// shows finds the marker as text, quoted, in hexadecimal and as a list of bytes.
func shows(text string) bool {
	for _, form := range []string{marker, fmt.Sprintf("%x", marker), fmt.Sprint([]byte(marker))[1:18]} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
			return true
		}
	}
	return false
}

func encodeJSON(t *testing.T, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func encodeYAML(t *testing.T, v any) string {
	if _, ok := v.(hidden); ok {
		return "" // has nothing that yaml could see
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func logged(v any) string {
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "v", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "v", v)
	return out.String()
}

func TestSecretShowsThatItIsSet(t *testing.T) {
	for _, test := range []struct {
		secret Secret
		want   string
	}{{NewSecret("x"), "[redacted]"}, {NewSecret(""), ""}, {Secret{}, ""}} {
		if got := fmt.Sprintf("%d", test.secret); got != test.want {
			t.Errorf("printed %q, want %q", got, test.want)
		}
		if got := encodeJSON(t, test.secret); got != `"`+test.want+`"` {
			t.Errorf("as JSON %s, want %q", got, test.want)
		}
	}
}

func TestSecretEqual(t *testing.T) {
	if !NewSecret("a").Equal(NewSecret("a")) || NewSecret("a").Equal(NewSecret("b")) || !NewSecret("").Equal(Secret{}) {
		t.Error("Equal does not compare the texts")
	}
	if NewSecret("a").Reveal() != "a" || (Secret{}).Reveal() != "" {
		t.Error("Reveal does not return the text")
	}
}

func TestFaultUnwraps(t *testing.T) {
	err := error(&Fault{Key: "a.b", Place: "f:1", Err: ErrNoKey})
	if !errors.Is(err, ErrNoKey) || err.Error() != "f:1: a.b: no signing key" {
		t.Errorf("got %v", err)
	}
}

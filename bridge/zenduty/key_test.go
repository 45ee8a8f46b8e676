package zenduty_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

const secret = "8b0c51d2-6f4e-4a57-9d3f-1c2e5a7b9d10"

// spellings are the forms in which a secret could show: as text, in hex as %x
// prints it, and as the bytes %d prints.
func spellings(secret string) []string {
	return []string{
		secret,
		fmt.Sprintf("%x", secret),
		fmt.Sprintf("%X", secret),
		strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]"),
	}
}

func refuteSecret(t *testing.T, how, output string) {
	t.Helper()
	for _, s := range spellings(secret) {
		if strings.Contains(output, s) {
			t.Errorf("%s shows the secret: %s", how, output)
		}
	}
}

func TestKeyIsRedacted(t *testing.T) {
	key := zenduty.Key{Name: "current", Secret: secret}
	verifier, err := zenduty.NewVerifier(zenduty.ModeAuto, []zenduty.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Verify([]byte("{}"), zenduty.Sign(secret, []byte("{}")), now); err != nil {
		t.Fatal(err)
	}
	type settings struct{ Keys []zenduty.Key }
	values := map[string]any{
		"key":      key,
		"pointer":  &key,
		"slice":    []zenduty.Key{key},
		"map":      map[string]zenduty.Key{"k": key},
		"field":    settings{[]zenduty.Key{key}},
		"verifier": verifier,
	}
	for name, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			refuteSecret(t, name+" by "+verb, fmt.Sprintf(verb, value))
		}
		for handler, output := range logged(value) {
			refuteSecret(t, name+" by slog's "+handler, output)
		}
	}
}

// logged returns what slog's own handlers write for value.
func logged(value any) map[string]string {
	var text, asJSON bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "value", value)
	slog.New(slog.NewJSONHandler(&asJSON, nil)).Info("m", "value", value)
	return map[string]string{"TextHandler": text.String(), "JSONHandler": asJSON.String()}
}

func TestKeyStillShowsItsName(t *testing.T) {
	key := zenduty.Key{Name: "current", Secret: secret}
	const want = `key "current" (secret redacted)`
	marshalled, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	var unmarshalled string
	if err := json.Unmarshal(marshalled, &unmarshalled); err != nil {
		t.Fatal(err)
	}
	for how, got := range map[string]string{
		"String":   key.String(),
		"GoString": key.GoString(),
		"%#v":      fmt.Sprintf("%#v", key),
		"%d":       fmt.Sprintf("%d", key),
		"LogValue": key.LogValue().String(),
		"JSON":     unmarshalled,
	} {
		if got != want {
			t.Errorf("%s: got %s, want %s", how, got, want)
		}
	}
}

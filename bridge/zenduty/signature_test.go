package zenduty_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// TestSign uses test case 2 of RFC 4231 (section 4.3).
func TestSign(t *testing.T) {
	digest, err := hex.DecodeString("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
	if err != nil {
		t.Fatal(err)
	}
	want := base64.StdEncoding.EncodeToString(digest)
	if got := zenduty.Sign("Jefe", []byte("what do ya want for nothing?")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSignatureSpelling(t *testing.T) {
	v := newVerifier(t, zenduty.ModeRaw, secret)
	body := []byte("body 0")
	good := zenduty.Sign(secret, body)
	if !strings.Contains(good, "+") || !strings.Contains(good, "/") {
		t.Fatalf("%s: the test needs a signature with both + and /", good)
	}
	for _, test := range []struct {
		name, signature string
		want            error
	}{
		{"as signed", good, nil},
		{"empty", "", zenduty.ErrMissingSignature},
		{"blank", " ", zenduty.ErrMalformedSignature},
		{"no padding", strings.TrimRight(good, "="), zenduty.ErrMalformedSignature},
		{"no padding, right length", strings.TrimRight(good, "=") + "A", zenduty.ErrMalformedSignature},
		{"line break at the end", good + "\n", zenduty.ErrMalformedSignature},
		{"line break inside", good[:20] + "\n" + good[20:], zenduty.ErrMalformedSignature},
		{"line break inside, right length", good[:20] + "\n" + good[21:], zenduty.ErrMalformedSignature},
		{"four line breaks, right length", good[:36] + "\r\n\r\n" + good[40:], zenduty.ErrMalformedSignature},
		{"spaces around", " " + good + " ", zenduty.ErrMalformedSignature},
		{"31 bytes", good[:40] + "AA==", zenduty.ErrMalformedSignature},
		{"33 bytes", good[:43] + "A", zenduty.ErrMalformedSignature},
		{"spare bits set", good[:42] + string(good[42]+1) + "=", zenduty.ErrMalformedSignature},
		{"twice", good + good, zenduty.ErrMalformedSignature},
		{"prefixed", "sha256=" + good, zenduty.ErrMalformedSignature},
		{"URL alphabet", strings.NewReplacer("+", "-", "/", "_").Replace(good), zenduty.ErrMalformedSignature},
		{"hex", strings.Repeat("0f", 32), zenduty.ErrMalformedSignature},
		{"zero digest", strings.Repeat("A", 43) + "=", zenduty.ErrWrongSignature},
	} {
		if _, err := v.Verify(body, test.signature, now); !errors.Is(err, test.want) {
			t.Errorf("%s (%q): got %v, want %v", test.name, test.signature, err, test.want)
		}
	}
}

func TestMalformedSignatureSaysWhy(t *testing.T) {
	v := newVerifier(t, zenduty.ModeRaw, secret)
	const want = "signature malformed: 64 characters, base64 of HMAC-SHA256 has 44"
	if _, err := v.Verify(nil, strings.Repeat("0f", 32), now); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

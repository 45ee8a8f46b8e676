package zenduty_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// now is when the tests' webhooks arrive.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newVerifier names the keys k1, k2 and so on.
func newVerifier(t testing.TB, mode zenduty.Mode, secrets ...string) *zenduty.Verifier {
	t.Helper()
	keys := make([]zenduty.Key, len(secrets))
	for i, s := range secrets {
		keys[i] = zenduty.Key{Name: fmt.Sprint("k", i+1), Secret: s}
	}
	v, err := zenduty.NewVerifier(mode, keys)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vector is an entry of testdata/signature_vectors.json, which CPython made.
type vector struct {
	Name      string
	Key       string
	Body      []byte             `json:"body_b64"`
	Signature string             `json:"x_signature"`
	Auto      *zenduty.Rendering // nil: must be refused
	Raw       *zenduty.Rendering
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	var vectors []vector
	if err := json.Unmarshal(readFile(t, "signature_vectors.json"), &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	return vectors
}

func TestVectors(t *testing.T) {
	for _, vec := range readVectors(t) {
		t.Run(vec.Name, func(t *testing.T) {
			checkVector(t, zenduty.ModeAuto, vec, vec.Auto)
			checkVector(t, zenduty.ModeRaw, vec, vec.Raw)
		})
	}
}

func checkVector(t *testing.T, mode zenduty.Mode, vec vector, want *zenduty.Rendering) {
	t.Helper()
	match, err := newVerifier(t, mode, "another key", vec.Key).Verify(vec.Body, vec.Signature, now)
	if want == nil {
		if err == nil {
			t.Errorf("%s: verified as %q, want it refused", mode, match.Rendering)
		}
		if diff := cmp.Diff(zenduty.Match{}, match); diff != "" {
			t.Errorf("%s: refused with a match (-want +got):\n%s", mode, diff)
		}
		return
	}
	if err != nil || match.Rendering != *want || match.Key != "k2" {
		t.Fatalf("%s: got %q by %q, %v, want %q by k2", mode, match.Rendering, match.Key, err, *want)
	}
	if zenduty.Sign(vec.Key, match.Body) != vec.Signature {
		t.Errorf("%s: the body returned is not what was signed:\n%s", mode, match.Body)
	}
}

func TestVerifyErrors(t *testing.T) {
	v := newVerifier(t, zenduty.ModeAuto, secret)
	wrong := zenduty.Sign("another", []byte("x"))
	for _, test := range []struct{ name, body, want string }{
		{"no payload", `{"a":1}`, "signature wrong"},
		{"payload", `{"payload":1}`, "signature wrong"},
		{"not JSON", `{"a":}`, "signature wrong for the body as sent, and it has no json.dumps rendering: byte 5: expected a value"},
		{"duplicate", `{"a":1, "\u0061":2}`, "signature wrong for the body as sent, and it has no json.dumps rendering: byte 8: the same key twice in an object"},
	} {
		_, err := v.Verify([]byte(test.body), wrong, now)
		if !errors.Is(err, zenduty.ErrWrongSignature) || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
}

func TestMatchBody(t *testing.T) {
	const (
		doc     = `{"x":[1,2],"payload":{"é":1E2}}`
		dumps   = `{"x": [1, 2], "payload": {"\u00e9": 100.0}}`
		payload = `{"\u00e9": 100.0}`
	)
	v := newVerifier(t, zenduty.ModeAuto, secret)
	for _, test := range []struct {
		signed string
		want   zenduty.Rendering
	}{
		{doc, zenduty.RenderingRaw},
		{dumps, zenduty.RenderingDumps},
		{payload, zenduty.RenderingPayloadDumps},
	} {
		got, err := v.Verify([]byte(doc), zenduty.Sign(secret, []byte(test.signed)), now)
		want := zenduty.Match{Rendering: test.want, Key: "k1", Body: []byte(test.signed)}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

func TestPayloadMember(t *testing.T) {
	v := newVerifier(t, zenduty.ModeAuto, secret)
	for _, test := range []struct {
		name, body, signed string
		want               bool
	}{
		{"escaped key", `{"p\u0061yload":[1]}`, `[1]`, true},
		{"a string", `{"payload":"x"}`, `"x"`, true},
		{"null", `{"payload":null}`, `null`, true},
		{"after others", `{"a":{},"payload":[1],"b":2}`, `[1]`, true},
		{"further in", `{"a":{"payload":[1]}}`, `[1]`, false},
		{"further in an array", `[{"payload":[1]}]`, `[1]`, false},
		{"of another case", `{"Payload":[1]}`, `[1]`, false},
		{"in a payload", `{"payload":{"payload":[1]}}`, `[1]`, false},
		{"with a duplicate beside it", `{"a":1,"payload":[1],"a":1}`, `[1]`, false},
		{"twice", `{"payload":[1],"payload":[1]}`, `[1]`, false},
		{"empty message", `{"a":1}`, ``, false},
	} {
		match, err := v.Verify([]byte(test.body), zenduty.Sign(secret, []byte(test.signed)), now)
		if got := err == nil; got != test.want {
			t.Errorf("%s: got %q, %v, want verified %v", test.name, match.Body, err, test.want)
		}
	}
}

func TestRawMatchAliasesTheBody(t *testing.T) {
	body := []byte(`{"a": 1}`)
	for _, v := range []*zenduty.Verifier{
		newVerifier(t, zenduty.ModeAuto, secret),
		newVerifier(t, zenduty.ModeNone),
	} {
		match, err := v.Verify(body, zenduty.Sign(secret, body), now)
		if err != nil || &match.Body[0] != &body[0] || len(match.Body) != len(body) {
			t.Errorf("got %q, %v, want the body itself", match.Body, err)
		}
	}
}

func TestModeNoneIgnoresSignatures(t *testing.T) {
	v := newVerifier(t, zenduty.ModeNone, secret)
	for _, signature := range []string{"", "rubbish", zenduty.Sign("another", nil)} {
		got, err := v.Verify([]byte("body"), signature, now)
		want := zenduty.Match{Rendering: zenduty.RenderingNone, Body: []byte("body")}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", signature, err, diff)
		}
	}
}

func TestKeyRotation(t *testing.T) {
	v := newVerifier(t, zenduty.ModeAuto, "old", "new", "new", "newest")
	body, pretty := []byte(`{"a": 1}`), []byte("{\n\"a\":1}")
	for key, want := range map[string]string{"old": "k1", "new": "k2", "newest": "k4", "other": ""} {
		for _, sent := range [][]byte{body, pretty} {
			if match, _ := v.Verify(sent, zenduty.Sign(key, body), now); match.Key != want {
				t.Errorf("signed with %q: got key %q, want %q", key, match.Key, want)
			}
		}
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	key := zenduty.Key{Name: "a", Secret: "s"}
	for _, test := range []struct {
		name string
		mode zenduty.Mode
		keys []zenduty.Key
		want string
	}{
		{"unknown mode", "RAW", []zenduty.Key{key}, `unknown signature mode "RAW": use "auto", "raw" or "none"`},
		{"no keys, auto", zenduty.ModeAuto, nil, `no signing key: add one, or set the signature mode to "none" on purpose`},
		{"no keys, default", "", nil, `no signing key: add one, or set the signature mode to "none" on purpose`},
		{"no keys, raw", zenduty.ModeRaw, []zenduty.Key{}, `no signing key: add one, or set the signature mode to "none" on purpose`},
		{"empty name", zenduty.ModeRaw, []zenduty.Key{key, {Secret: "t"}}, `key 2: the name is empty: give every key a name, it labels metrics`},
		{"same name", zenduty.ModeRaw, []zenduty.Key{key, {Name: "b", Secret: "t"}, {Name: "a", Secret: "u"}}, `key 3: the name "a" is taken by key 1: rename one`},
		{"empty secret", zenduty.ModeRaw, []zenduty.Key{{Name: "b"}}, `key "b": the secret is empty: set the signing key that Zenduty shows for the webhook`},
		{"ends before it begins", zenduty.ModeRaw, []zenduty.Key{{Name: "b", Secret: "t", NotBefore: now, NotAfter: now.Add(-1)}}, `key "b": it ends before it begins: put NotAfter behind NotBefore`},
		{"empty secret, none", zenduty.ModeNone, []zenduty.Key{{Name: "b"}}, `key "b": the secret is empty: set the signing key that Zenduty shows for the webhook`},
	} {
		v, err := zenduty.NewVerifier(test.mode, test.keys)
		if v != nil || err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
		if empty := strings.Contains(test.name, "secret"); errors.Is(err, zenduty.ErrEmptyKey) != empty {
			t.Errorf("%s: errors.Is(%v, ErrEmptyKey) is not %v", test.name, err, empty)
		}
	}
}

func TestDefaultModeIsAuto(t *testing.T) {
	v := newVerifier(t, "", secret)
	match, err := v.Verify([]byte("[ ]"), zenduty.Sign(secret, []byte("[]")), now)
	if err != nil || match.Rendering != zenduty.RenderingDumps {
		t.Errorf("got %q, %v, want %q", match.Rendering, err, zenduty.RenderingDumps)
	}
}

// TestVerifyConcurrently shares one verifier between bodies, keys and
// renderings; under the race detector it also guards the pooled state.
func TestVerifyConcurrently(t *testing.T) {
	v := newVerifier(t, zenduty.ModeAuto, "key 0", "key 1", "key 2")
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			key := g % 3
			for i := range 200 {
				signed := fmt.Appendf(nil, `{"g": %d, "i": %d}`, g, i)
				sent := signed
				if i%2 == 1 {
					sent = bytes.ReplaceAll(signed, []byte(" "), []byte("\n"))
				}
				match, err := v.Verify(sent, zenduty.Sign(fmt.Sprint("key ", key), signed), now)
				if err != nil || match.Key != fmt.Sprint("k", key+1) || !bytes.Equal(match.Body, signed) {
					t.Errorf("%s: got %+v, %v", sent, match, err)
				}
				if _, err := v.Verify(sent, zenduty.Sign("other", signed), now); err == nil {
					t.Errorf("%s: verified with a foreign key", sent)
				}
			}
		})
	}
	wg.Wait()
}

package zenduty_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// A key is good from its first moment to its last, for every rendering, and whoever
// signs outside of that is told apart from one who has no key at all.
func TestKeysAreValidInTheirTime(t *testing.T) {
	body, pretty, payload := []byte(`{"payload": [1]}`), []byte("{\n\"payload\":[1]}"), []byte("[1]")
	for _, test := range []struct {
		name                string
		notBefore, notAfter time.Time
		want                bool
	}{
		{"without bounds", time.Time{}, time.Time{}, true},
		{"within both", now.Add(-time.Hour), now.Add(time.Hour), true},
		{"at its first moment", now, time.Time{}, true},
		{"before it", now.Add(1), time.Time{}, false},
		{"at its last moment", time.Time{}, now, true},
		{"after it", time.Time{}, now.Add(-1), false},
		{"at its only moment", now, now, true},
		{"in another zone", time.Time{}, now.Add(time.Minute).In(time.FixedZone("", -8*3600)), true},
	} {
		keys := []zenduty.Key{{Name: "other", Secret: "other"}, {Name: "k", Secret: secret, NotBefore: test.notBefore, NotAfter: test.notAfter}}
		for _, mode := range []zenduty.Mode{zenduty.ModeAuto, zenduty.ModeRaw} {
			v, err := zenduty.NewVerifier(mode, keys)
			if err != nil {
				t.Fatal(err)
			}
			tries := map[string][2][]byte{"raw": {body, body}}
			if mode == zenduty.ModeAuto {
				tries["json.dumps"], tries["json.dumps of payload"] = [2][]byte{pretty, body}, [2][]byte{pretty, payload}
			}
			for rendering, sent := range tries {
				match, err := v.Verify(sent[0], zenduty.Sign(secret, sent[1]), now)
				switch {
				case test.want && (err != nil || match.Key != "k" || string(match.Rendering) != rendering):
					t.Errorf("%s, %s, %s: got %+v, %v", test.name, mode, rendering, match, err)
				case !test.want && (!errors.Is(err, zenduty.ErrKeyNotValid) || errors.Is(err, zenduty.ErrWrongSignature) || match.Key != ""):
					t.Errorf("%s, %s, %s: got %+v, %v, want ErrKeyNotValid", test.name, mode, rendering, match, err)
				}
			}
			if _, err := v.Verify(body, zenduty.Sign("nobody's", body), now); !errors.Is(err, zenduty.ErrWrongSignature) {
				t.Errorf("%s, %s: a foreign key: got %v", test.name, mode, err)
			}
		}
	}
}

// What one verification found out is not left over for the next, which may use the
// same state.
func TestKeyOutsideItsTimeIsForgotten(t *testing.T) {
	v, err := zenduty.NewVerifier(zenduty.ModeRaw, []zenduty.Key{{Name: "old", Secret: "old", NotAfter: now}, {Name: "new", Secret: secret}})
	if err != nil {
		t.Fatal(err)
	}
	body, late := []byte("{}"), now.Add(time.Second)
	for range 3 {
		if _, err := v.Verify(body, zenduty.Sign("old", body), late); !errors.Is(err, zenduty.ErrKeyNotValid) {
			t.Errorf("old: %v", err)
		}
		if _, err := v.Verify(body, zenduty.Sign("none", body), late); !errors.Is(err, zenduty.ErrWrongSignature) {
			t.Errorf("none: %v", err)
		}
		if match, err := v.Verify(body, zenduty.Sign(secret, body), late); match.Key != "new" {
			t.Errorf("new: %v", err)
		}
		if match, err := v.Verify(body, zenduty.Sign("old", body), now); match.Key != "old" {
			t.Errorf("old, in time: %v", err)
		}
	}
}

// The same secret under two names is good while either is.
func TestSameSecretUnderTwoNames(t *testing.T) {
	v, err := zenduty.NewVerifier(zenduty.ModeRaw, []zenduty.Key{
		{Name: "until", Secret: secret, NotAfter: now}, {Name: "from", Secret: secret, NotBefore: now.Add(time.Hour)},
	})
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("{}")
	var got []string
	for _, after := range []time.Duration{0, time.Minute, time.Hour} {
		match, _ := v.Verify(body, zenduty.Sign(secret, body), now.Add(after))
		got = append(got, match.Key)
	}
	if diff := cmp.Diff([]string{"until", "", "from"}, got); diff != "" {
		t.Error(diff)
	}
}

// A verifier tells beforehand what its matches can be.
func TestVerifierNamesItsMatches(t *testing.T) {
	keys := []zenduty.Key{{Name: "b", Secret: "1"}, {Name: "a", Secret: "2"}}
	for mode, want := range map[zenduty.Mode]struct {
		keys       []string
		renderings []zenduty.Rendering
	}{
		zenduty.ModeAuto: {[]string{"b", "a"}, []zenduty.Rendering{zenduty.RenderingRaw, zenduty.RenderingDumps, zenduty.RenderingPayloadDumps}},
		zenduty.ModeRaw:  {[]string{"b", "a"}, []zenduty.Rendering{zenduty.RenderingRaw}},
		zenduty.ModeNone: {nil, []zenduty.Rendering{zenduty.RenderingNone}},
	} {
		v, err := zenduty.NewVerifier(mode, keys)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(v.Keys(), want.keys) || !slices.Equal(v.Renderings(), want.renderings) {
			t.Errorf("%s: got %v, %v", mode, v.Keys(), v.Renderings())
		}
	}
}

package zenduty

import (
	"hash"
	"testing"
	"time"
)

// counted is a hash that tells how often it was asked, and about how many bytes.
type counted struct {
	hash.Hash
	hashings, bytes int
}

func (c *counted) Write(p []byte) (int, error) {
	c.hashings++
	c.bytes += len(p)
	return c.Hash.Write(p)
}

// A signature that is missing or malformed costs as many hashings as a wrong one, of as
// many bytes, and so the same renderings.
func TestEveryWrongSignatureCostsTheSame(t *testing.T) {
	body := []byte(`{"payload":{"event_type":"triggered","incident":{"unique_id":"i"}}}`)
	type work struct{ hashings, bytes int }
	for _, test := range []struct {
		name   string
		verify func(*Verifier, []byte, string, time.Time) (Match, error)
		want   work // by each key: the body, and its two renderings
	}{
		{"Verify", (*Verifier).Verify, work{3, 67 + 72 + 59}},
		{"VerifyRaw", (*Verifier).VerifyRaw, work{1, 67}},
	} {
		for name, signature := range map[string]string{
			"missing": "", "too short": "abc", "no base64": Sign("a", body)[1:] + "!", "not of 32 bytes": "AAAA" + Sign("a", body)[4:42] + "==",
			"wrong": Sign("another key", body), "of nothing": Sign("b", nil),
		} {
			v, err := NewVerifier(ModeAuto, []Key{{Name: "a", Secret: "a"}, {Name: "b", Secret: "b"}})
			if err != nil {
				t.Fatal(err)
			}
			keys := newMACs([][]byte{[]byte("a"), []byte("b")})
			for i, h := range keys.hashes {
				keys.hashes[i] = &counted{Hash: h}
			}
			v.macs.New = func() any { return keys }
			if _, err := test.verify(v, body, signature, time.Time{}); err == nil {
				t.Errorf("%s, %s: verified", test.name, name)
			}
			for _, h := range keys.hashes {
				if c := h.(*counted); (work{c.hashings, c.bytes}) != test.want {
					t.Errorf("%s, %s: %d hashings of %d bytes, want %v", test.name, name, c.hashings, c.bytes, test.want)
				}
			}
		}
	}
}

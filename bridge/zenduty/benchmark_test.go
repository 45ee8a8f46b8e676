package zenduty_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// BenchmarkVerify verifies a webhook of Zenduty's usual size, by each rendering
// and when nothing matches, with two keys.
func BenchmarkVerify(b *testing.B) {
	dumps := bytes.TrimSpace(readFile(b, "resolved.json"))
	var compact bytes.Buffer
	if err := json.Compact(&compact, dumps); err != nil {
		b.Fatal(err)
	}
	payload := dumps[len(`{"payload": `) : len(dumps)-1]
	for _, bench := range []struct {
		name      string
		body      []byte
		signed    []byte
		rendering zenduty.Rendering
	}{
		{"raw", dumps, dumps, zenduty.RenderingRaw},
		{"json.dumps", compact.Bytes(), dumps, zenduty.RenderingDumps},
		{"json.dumps of payload", dumps, payload, zenduty.RenderingPayloadDumps},
		{"refused", dumps, []byte("something else"), ""},
	} {
		b.Run(bench.name, func(b *testing.B) {
			v := newVerifier(b, zenduty.ModeAuto, "another", secret)
			signature := zenduty.Sign(secret, bench.signed)
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.body)))
			for b.Loop() {
				if match, _ := v.Verify(bench.body, signature, now); match.Rendering != bench.rendering {
					b.Fatalf("got %q", match.Rendering)
				}
			}
		})
	}
}

// BenchmarkVerifyParallel shows what the pooled state costs when shared.
func BenchmarkVerifyParallel(b *testing.B) {
	v := newVerifier(b, zenduty.ModeAuto, secret)
	body := readFile(b, "resolved.json")
	signature := zenduty.Sign(secret, body)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := v.Verify(body, signature, now); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkAppendDumps renders a usual document, and bodies of about 1 MiB that
// a sender without a key could have rendered: the dearest that are known.
func BenchmarkAppendDumps(b *testing.B) {
	for _, bench := range []struct {
		name string
		doc  []byte
	}{
		{"webhook", readFile(b, "resolved.json")},
		{"100k keys", manyKeys(100_000)},
		{"1 MiB of 0x7f", []byte(`"` + string(bytes.Repeat([]byte{0x7f}, 1<<20-2)) + `"`)},
		{"1 MiB of floats", []byte("[" + strings.Repeat("1e15,", 200_000) + "0]")},
		{"1 MiB of floats halfway", []byte("[" + strings.Repeat("9007199254740993.0,", 55_000) + "0]")},
		{"1 MiB of objects", []byte(strings.Repeat("[", 498) + strings.Repeat(`{"":[]},`, 130_000) + "0" + strings.Repeat("]", 498))},
		{"8 slow floats", []byte("[" + strings.Repeat("1.8e308,", 8) + "0]")},
		{"8 slow floats, long", []byte("[" + strings.Repeat("0."+strings.Repeat("0", 323)+"5"+strings.Repeat("3", 3900)+",", 8) + "0]")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.doc)))
			for b.Loop() {
				if _, err := zenduty.AppendDumps(nil, bench.doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReadFields compares the scan with decoding by encoding/json, which
// does less: one shape, no fallback for values of other types.
func BenchmarkReadFields(b *testing.B) {
	doc := readFile(b, "resolved.json")
	for _, bench := range []struct {
		name string
		read func([]byte) error
	}{
		{"scan", func(doc []byte) error { _, err := zenduty.ReadFields(doc); return err }},
		{"encoding json", decodeFields},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				if err := bench.read(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func decodeFields(doc []byte) error {
	var v struct {
		Payload struct {
			EventType string `json:"event_type"`
			Incident  struct {
				ID       string    `json:"unique_id"`
				Number   int64     `json:"incident_number"`
				Resolved time.Time `json:"resolved_date"`
				Service  struct {
					ID string `json:"unique_id"`
				} `json:"service"`
			} `json:"incident"`
		} `json:"payload"`
	}
	return json.Unmarshal(doc, &v)
}

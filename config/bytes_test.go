package config

import (
	"strings"
	"testing"
)

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]Bytes{
		"0": 0, "1024": 1024, "1B": 1, "64KB": 64_000, "64kb": 64_000, "1KiB": 1024, "1 MiB": 1 << 20, "8Gi": 8 << 30,
		" 2TB ": 2e12, "3TiB": 3 << 40, "9223372036854775807": 1<<63 - 1, "8388607TiB": 8388607 << 40,
	} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "B", "-1", "+1", "1.5GiB", "1K", "1i", "1iB", "1PB", "1 0", "0x10", "8388608TiB", "9223372036854775808", "S3cret$"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		} else if text != "" && text != "B" && strings.Contains(err.Error(), text) && text != "1K" {
			t.Errorf("%q: the error quotes the text: %v", text, err)
		}
	}
}

func TestBytesString(t *testing.T) {
	for size, want := range map[Bytes]string{
		0: "0", 1: "1", 1000: "1KB", 1024: "1KiB", 1 << 20: "1MiB", 1536: "1536", 64_000: "64KB", 1024_000: "1000KiB", -1024: "-1024",
	} {
		if got := size.String(); got != want {
			t.Errorf("%d: got %s, want %s", int64(size), got, want)
		}
	}
}

func FuzzBytes(f *testing.F) {
	for _, size := range []int64{0, 1, 1000, 1024, 1536, 1 << 40, 1<<63 - 1} {
		f.Add(size)
	}
	f.Fuzz(func(t *testing.T, size int64) {
		want := Bytes(max(size, 0))
		if got, err := ParseBytes(want.String()); err != nil || got != want {
			t.Errorf("%d is written %s and read %d, %v", size, want, got, err)
		}
	})
}

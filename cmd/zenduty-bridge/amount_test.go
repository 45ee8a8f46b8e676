package main

import (
	"testing"
	"time"
)

func TestAmounts(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 8 << 30: "8.0 GiB", 3 << 50: "3072.0 TiB"} {
		if got := sizeText(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
	for span, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0ms", 4200 * time.Microsecond: "4.2ms", 1500 * time.Millisecond: "1.5s", 42400 * time.Millisecond: "42s",
		90 * time.Second: "1m30s", 59*time.Minute + 59*time.Second: "59m59s", time.Hour: "1h0m", 23*time.Hour + 30*time.Minute: "23h30m",
		49 * time.Hour: "2d1h",
	} {
		if got := spanText(span); got != want {
			t.Errorf("%d: %s, want %s", span, got, want)
		}
	}
	if got := countText(1, "webhook") + countText(uint64(0), "webhook"); got != "1 webhook0 webhooks" {
		t.Error(got)
	}
}

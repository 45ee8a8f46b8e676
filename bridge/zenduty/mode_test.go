package zenduty_test

import (
	"testing"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

func TestParseMode(t *testing.T) {
	for _, test := range []struct {
		name string
		want zenduty.Mode
	}{
		{"", zenduty.ModeAuto},
		{"auto", zenduty.ModeAuto},
		{"raw", zenduty.ModeRaw},
		{"none", zenduty.ModeNone},
	} {
		if got, err := zenduty.ParseMode(test.name); got != test.want || err != nil {
			t.Errorf("ParseMode(%q) = %q, %v, want %q", test.name, got, err, test.want)
		}
	}
}

func TestParseModeRefuses(t *testing.T) {
	const want = `unknown signature mode "Raw": use "auto", "raw" or "none"`
	if got, err := zenduty.ParseMode("Raw"); err == nil || err.Error() != want {
		t.Errorf("got %q, %v, want error %s", got, err, want)
	}
}

//go:build !race

package zenduty_test

import (
	"testing"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// TestRawPathDoesNotAllocate is left out under the race detector, which makes
// sync.Pool drop what it is given at random.
func TestRawPathDoesNotAllocate(t *testing.T) {
	v := newVerifier(t, zenduty.ModeAuto, "another", secret)
	body := readFile(t, "triggered.json")
	signature := zenduty.Sign(secret, body)
	allocations := testing.AllocsPerRun(1000, func() {
		if _, err := v.Verify(body, signature, now); err != nil {
			t.Fatal(err)
		}
	})
	if allocations >= 1 {
		t.Errorf("%v allocations a webhook, want none", allocations)
	}
}

// TestReadFieldsAllocatesItsStrings and nothing else: here two ids.
func TestReadFieldsAllocatesItsStrings(t *testing.T) {
	doc := readFile(t, "triggered.json")
	allocations := testing.AllocsPerRun(1000, func() {
		if _, err := zenduty.ReadFields(doc); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 2 {
		t.Errorf("%v allocations a document, want 2", allocations)
	}
}

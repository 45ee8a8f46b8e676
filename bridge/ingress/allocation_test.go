//go:build !race

package ingress

import (
	"net/http"
	"testing"
)

// maxAllocations is how many a webhook costs from the parsed request to its answer
// at most, what the spool does in the background included. It is measured, with one
// webhook a commit, which is the dearest. Whoever makes it fewer lowers it here.
const maxAllocations = 25

// TestAllocationsDoNotGrow is left out under the race detector, which makes
// sync.Pool drop what it is given at random.
func TestAllocationsDoNotGrow(t *testing.T) {
	const runs = 200
	h, requests := newDurable(t), distinct(t, runs+1)
	r := &recorder{header: http.Header{}}
	next := 0
	allocations := testing.AllocsPerRun(runs, func() {
		serveOne(t, h, r, requests[next])
		next++
	})
	t.Logf("%v allocations a webhook", allocations)
	if allocations > maxAllocations {
		t.Errorf("%v allocations a webhook, at most %v were needed so far: see go test -bench Webhook -memprofile", allocations, maxAllocations)
	}
}

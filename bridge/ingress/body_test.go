package ingress

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// keeper refuses the first webhook and keeps its body, as a spool does whose disk is
// slower than the deadline.
type keeper struct{ body []byte }

func (k *keeper) Accept(_ context.Context, w bridge.Webhook) (bridge.Receipt, error) {
	if k.body == nil {
		k.body = w.Body
		return bridge.Receipt{}, spool.ErrFull
	}
	return bridge.Receipt{ID: "id", Status: bridge.Accepted}, nil
}

func TestBodyThatIsNotHeldForSureIsNotReused(t *testing.T) {
	v, err := zenduty.NewVerifier(zenduty.ModeNone, nil)
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{}
	h := New(k, map[string]*Source{"zenduty": {Verifier: v}}, Options{Logger: slog.New(slog.DiscardHandler)}).http.Handler
	r := &recorder{header: http.Header{}}
	for i := range 100 {
		body := bytes.Repeat([]byte{'a' + byte(i%26)}, 1000)
		request, err := http.NewRequest(http.MethodPost, "/webhooks/zenduty", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		h.ServeHTTP(r, request)
	}
	if want := bytes.Repeat([]byte{'a'}, 1000); !bytes.Equal(k.body, want) {
		t.Errorf("the body of the first webhook has become %q", k.body[:10])
	}
}

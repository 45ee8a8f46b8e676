package ingress

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// FuzzWebhook posts whatever bytes in whatever encoding. What is answered with 200
// was signed and is kept as it was signed; what is signed and can be read is
// answered with 200; all else is refused in the one form, with no server error.
func FuzzWebhook(f *testing.F) {
	const limit = 1000
	f.Add("/webhooks/zenduty", "POST", "", "", sample, true)
	f.Add("/webhooks/zenduty", "POST", "gzip", "", gzipped(sample), true)
	f.Add("/webhooks/zenduty", "POST", "x-gzip", "", gzipped(sample), true)
	f.Add("/webhooks/zenduty", "POST", "x-gzip", "", gzipped(bytes.Repeat([]byte(" "), 1<<20)), true)
	f.Add("/webhooks/zenduty", "POST", "gzip", "", append(gzipped(sample), gzipped(sample)...), true)
	f.Add("/webhooks/zenduty", "POST", "gzip", "", gzipped(sample)[:30], true)
	f.Add("/webhooks/zenduty", "POST", "br", "", sample, true)
	f.Add("/webhooks/zenduty", "POST", "identity", zenduty.Sign(secret, sample), sample, false)
	f.Add("/webhooks/zenduty", "POST", "", zenduty.Sign(secret, []byte(`{"a": 1.0}`)), []byte(`{"a":1.0}`), false)
	f.Add("/webhooks/zenduty", "GET", "", "", sample, true)
	f.Add("/webhooks/basic", "POST", "", "", sample, false)
	f.Add("/webhooks/%7aenduty/..//", "POST", "", "AAAA", bytes.Repeat([]byte("x"), 2000), false)
	key := zenduty.Key{Name: "default", Secret: secret}
	sources := map[string]*Source{
		"zenduty": {Verifier: verifier(f, zenduty.ModeAuto, key)},
		"basic":   {Verifier: verifier(f, zenduty.ModeNone), BasicAuth: NewBasicAuth("zen", "pass:word")},
	}
	f.Fuzz(func(t *testing.T, path, method, coding, signature string, body []byte, sign bool) {
		r, err := http.NewRequest(method, "http://bridge.example"+path, bytes.NewReader(body))
		if err != nil {
			t.Skip("no request")
		}
		document, readable := unpacked(coding, body)
		readable = readable && len(document) <= limit && len(body) <= limit
		if sign {
			signature = zenduty.Sign(secret, document)
		}
		r.Header.Set("Content-Encoding", coding)
		r.Header.Set(zenduty.SignatureHeader, signature)
		kept := &accepter{}
		handler := New(kept, sources, Options{
			MaxBodyBytes: limit, FailedAuthRate: math.MaxInt32, FailedAuthBurst: math.MaxInt32,
			Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		}).http.Handler
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		switch wanted := sign && readable && method == http.MethodPost && path == "/webhooks/zenduty"; {
		case answer.Code == http.StatusOK:
			checkKept(t, kept, signature)
		case wanted:
			t.Fatalf("signed, and refused: %d %s", answer.Code, answer.Body)
		default:
			checkRefusal(t, kept, answer)
		}
	})
}

// unpacked undoes a content encoding without a bound but the test's.
func unpacked(coding string, body []byte) (document []byte, ok bool) {
	switch coding {
	case "", "identity":
		return body, true
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, false
		}
		document, err = io.ReadAll(io.LimitReader(r, 1<<21))
		return document, err == nil
	}
	return nil, false
}

// checkKept: what a 200 is about was signed, byte for byte.
func checkKept(t *testing.T, kept *accepter, signature string) {
	t.Helper()
	if len(kept.taken) != 1 || zenduty.Sign(secret, kept.taken[0].Body) != signature {
		t.Fatalf("200, and kept is %+v", kept.taken)
	}
}

func checkRefusal(t *testing.T, kept *accepter, answer *httptest.ResponseRecorder) {
	t.Helper()
	var said problem
	if err := json.Unmarshal(answer.Body.Bytes(), &said); err != nil {
		t.Fatalf("%d %q: %v", answer.Code, answer.Body, err)
	}
	if said.Status != answer.Code || said.Detail == "" || answer.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s", answer.Code, answer.Header(), answer.Body)
	}
	if answer.Code < 400 || answer.Code >= 500 || len(kept.taken) > 0 {
		t.Errorf("%d %s, and kept is %+v", answer.Code, answer.Body, kept.taken)
	}
}

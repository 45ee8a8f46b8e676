package admin

import (
	"context"
	_ "embed" // of the API's description
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// API is what the routes under /api/v1 are answered from, a field a resource. The
// routes of a nil one are not there.
type API struct {
	Status     Statuses
	Webhooks   Webhooks
	Quarantine Quarantine
	Audit      Audits
	Replays    Replays
}

func (a API) routes() []route {
	return slices.Concat(descriptionRoutes(), statusRoutes(a.Status), webhookRoutes(a.Webhooks), quarantineRoutes(a.Quarantine), auditRoutes(a.Audit),
		replayRoutes(a.Replays))
}

// apiPrefix is where the API is.
const apiPrefix = "/api/v1"

// route is one method of one path. Everything in openapi.yaml is a route, and every
// route is there: TestDescription.
type route struct {
	method, path string // below apiPrefix, in the words of http.ServeMux
	// guarded: it changes something or shows a webhook's body, see access.
	guarded bool
	// handle answers 2xx, or returns an error before it has written anything;
	// answerError knows what becomes of which.
	handle func(http.ResponseWriter, *http.Request) error
}

// answerWithin bounds the answer of a route, and by the request's context whatever
// it waits for.
const answerWithin = 20 * time.Second

// newAPI answers the routes, and in the same manner everything else below them.
func newAPI(routes []route, access *access) http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, one := range routes {
		mux.HandleFunc(one.method+" "+apiPrefix+one.path, one.handler(access))
		methods[one.path] = append(methods[one.path], one.method)
	}
	for path, allowed := range methods {
		mux.HandleFunc(apiPrefix+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			answerError(w, errMethod)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { answerError(w, errNoRoute) })
	return mux
}

func (one route) handler(access *access) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := access.permits(r, one.guarded); err != nil {
			access.refuse(w, r, err)
			return
		}
		err := one.handle(w, r.WithContext(ctx))
		if err == nil {
			return
		}
		if r.Context().Err() == nil && problemOf(err).detail != "" {
			access.log.Error("an operator's request failed", "route", r.Pattern, "error", err)
		}
		answerError(w, err)
	}
}

// writeJSON is a route's answer.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the asker may be gone
	return nil
}

// maxRequest bounds the body of a request.
const maxRequest = 64 << 10

// readJSON reads the body of a request into v, strictly. Its error is errBadRequest.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: the body: %w", errBadRequest, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%w: the body: more than one JSON document", errBadRequest)
	}
	return nil
}

//go:embed openapi.yaml
var description []byte

func descriptionRoutes() []route {
	return []route{{method: "GET", path: "/openapi.yaml", handle: func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/yaml") // RFC 9512
		_, _ = w.Write(description)                        // the asker may be gone
		return nil
	}}}
}

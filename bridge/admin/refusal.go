package admin

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// reasons are what those who are not let in are counted by.
var reasons = []struct {
	err  error
	name string
}{
	{errNoToken, "no_token"}, {errWrongToken, "wrong_token"}, {errBeyond, "beyond"}, {errExposed, "exposed"},
	{errHost, "host"}, {errCrossOrigin, "cross_origin"},
}

// refusals counts and logs those who are not let in.
type refusals struct {
	log   *slog.Logger
	often rate.Sometimes // bounds the lines of the log
	total *prometheus.CounterVec
}

// newRefusals registers with r, which may be nil.
func newRefusals(log *slog.Logger, r prometheus.Registerer) *refusals {
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "zenduty_bridge_admin_refusals_total",
		Help: "Requests to the operator's address that were not let in, by reason; no_token and wrong_token are failed authentications.",
	}, []string{"reason"})
	for _, reason := range reasons {
		total.WithLabelValues(reason.name)
	}
	if r != nil {
		r.MustRegister(total)
	}
	return &refusals{log: log, often: rate.Sometimes{First: 10, Interval: time.Second}, total: total}
}

// refuse answers a request that is not let in because of err.
func (s *refusals) refuse(w http.ResponseWriter, r *http.Request, err error) {
	for _, reason := range reasons {
		if errors.Is(err, reason.err) {
			s.total.WithLabelValues(reason.name).Inc()
			s.often.Do(func() {
				s.log.Warn("an operator's request is refused", "reason", reason.name, "remote", r.RemoteAddr, "method", r.Method, "route", r.Pattern)
			})
		}
	}
	answerError(w, err)
}

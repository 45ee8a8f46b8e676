package bridge

import (
	"log/slog"
	"time"
)

// outage logs the change, not each attempt: one line when publishes begin to
// fail, one when they succeed again.
type outage struct {
	since    time.Time // zero while there is none
	failures int
	last     error // of the failures
}

func (o *outage) failed(log *slog.Logger, now time.Time, err error) {
	o.failures++
	o.last = err
	if o.since.IsZero() {
		o.since = now
		log.Warn("webhooks are not delivered, trying for ever", "error", err)
	}
}

func (o *outage) over(log *slog.Logger, now time.Time) {
	if !o.since.IsZero() {
		log.Info("webhooks are delivered again", "after", now.Sub(o.since).Round(time.Millisecond), "failures", o.failures)
		*o = outage{}
	}
}

package health

import (
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// CheckClock asks the system whether its clock is synchronised.
func CheckClock() publisher.Finding {
	synchronised, off, err := systemClock()
	switch {
	case err != nil:
		return publisher.Finding{Check: "clock", Severity: publisher.SeverityOK, What: "the system does not tell whether its clock is synchronised: " + err.Error()}
	case synchronised:
		return publisher.Finding{Check: "clock", Severity: publisher.SeverityOK, What: "the clock is synchronised, to " + off.Round(time.Microsecond).String()}
	}
	return publisher.Finding{
		Check: "clock", Severity: publisher.SeverityWarning, What: "the clock is not synchronised",
		Why:    "the times of webhooks and logs drift from everybody else's, and what is kept or asked for by time (spool.retention, --since) with them",
		Remedy: "run chronyd or systemd-timesyncd on the machine",
	}
}

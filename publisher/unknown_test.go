package publisher

import (
	"context"
	"testing"
)

// What NATS did not tell is well for the moment, and known for nothing.
func TestNotToldIsUnknown(t *testing.T) {
	f := asMade()
	if got := f.checkAccount(); got.Unknown {
		t.Errorf("what is told: %+v", got)
	}
	f.account = nil
	if got := f.checkAccount(); !got.Unknown || got.Severity != SeverityOK {
		t.Errorf("account: %+v", got)
	}
	for err, severity := range map[error]Severity{context.DeadlineExceeded: SeverityOK, ErrNoRights: SeverityWarning, nil: SeverityOK} {
		got := auditRights(nil, err, f.opts)
		if len(got) != 1 || !got[0].Unknown || got[0].Severity != severity {
			t.Errorf("rights after %v: %+v", err, got)
		}
	}
	for _, got := range auditRights(&rights{}, nil, f.opts) {
		if got.Unknown {
			t.Errorf("what is told: %+v", got)
		}
	}
}

package publisher

import (
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Error is why a publish was not acknowledged.
type Error struct {
	// Reason is a short constant for a metric's label.
	Reason string
	// Permanent: sending the same message again cannot succeed until somebody
	// changes something about it or the limits it ran into.
	Permanent bool
	// Uncertain: JetStream may have stored the message all the same.
	Uncertain bool
	Err       error
}

func (e *Error) Error() string { return e.Reason + ": " + e.Err.Error() }

// Unwrap returns the client's error.
func (e *Error) Unwrap() error { return e.Err }

// ReasonNoStream is the Reason when no stream takes the subject, or JetStream is
// away.
const ReasonNoStream = "no_stream"

// ReasonTooLarge is the Reason when the message is over a limit of NATS's or of the
// stream's.
const ReasonTooLarge = "too_large"

// JetStream error codes that nats.go has no names for (nats-server errors.json).
const (
	codeInsufficientResources jetstream.ErrorCode = 10023
	codeStorageExceeded       jetstream.ErrorCode = 10047
	codeHeaderTooLarge        jetstream.ErrorCode = 10097
	codeStoreFailed           jetstream.ErrorCode = 10077
)

var reasons = []struct {
	err       error
	reason    string
	permanent bool
	uncertain bool
}{
	{nats.ErrMaxPayload, ReasonTooLarge, true, false},
	{nats.ErrBadSubject, "invalid", true, false},
	{jetstream.ErrAsyncPublishTimeout, "timeout", false, true},
	{jetstream.ErrNoStreamResponse, ReasonNoStream, false, false},
	{nats.ErrDisconnected, "disconnected", false, true},
	{nats.ErrReconnectBufExceeded, "disconnected", false, false},
	{nats.ErrConnectionClosed, "disconnected", false, true},
	{nats.ErrConnectionReconnecting, "disconnected", false, false},
	{nats.ErrHeadersNotSupported, "disconnected", false, false}, // said before the first connect
}

// classify tells what the client's error means. What it does not know is
// transient: better tried for ever than dropped.
func classify(err error) *Error {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return &Error{Reason: r.reason, Permanent: r.permanent, Uncertain: r.uncertain, Err: err}
		}
	}
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return classifyAPI(api)
	}
	return &Error{Reason: "other", Uncertain: true, Err: err}
}

func classifyAPI(err *jetstream.APIError) *Error {
	switch err.ErrorCode {
	case jetstream.JSErrCodeStreamMessageExceedsMaximum, codeHeaderTooLarge:
		return &Error{Reason: ReasonTooLarge, Permanent: true, Err: err}
	case codeStoreFailed, codeStorageExceeded, codeInsufficientResources:
		return &Error{Reason: "stream_full", Err: err}
	}
	return &Error{Reason: "rejected", Err: err}
}

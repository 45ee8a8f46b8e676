package zenduty

import "fmt"

// Mode says which renderings of a webhook's body may carry its signature.
type Mode string

const (
	// ModeAuto tries the body as sent, then json.dumps of the document, then
	// json.dumps of its "payload" member. It is the default.
	ModeAuto Mode = "auto"
	// ModeRaw accepts a signature of the body as sent and no other.
	ModeRaw Mode = "raw"
	// ModeNone accepts every body and does not look at signatures. Only for
	// endpoints that are protected in another way.
	ModeNone Mode = "none"
)

// ParseMode returns the mode of that name; the empty name is ModeAuto. Names are
// lower case.
func ParseMode(name string) (Mode, error) {
	switch m := Mode(name); m {
	case "":
		return ModeAuto, nil
	case ModeAuto, ModeRaw, ModeNone:
		return m, nil
	}
	return "", fmt.Errorf("unknown signature mode %q: use %q, %q or %q", name, ModeAuto, ModeRaw, ModeNone)
}

// Rendering names the form of a webhook whose signature matched. The values are
// few and fixed, fit to label a metric.
type Rendering string

const (
	// RenderingRaw is the body, byte for byte.
	RenderingRaw Rendering = "raw"
	// RenderingDumps is the whole document as Python's json.dumps writes it.
	RenderingDumps Rendering = "json.dumps"
	// RenderingPayloadDumps is the document's top-level "payload" member as
	// Python's json.dumps writes it.
	RenderingPayloadDumps Rendering = "json.dumps of payload"
	// RenderingNone is the body, unverified: see ModeNone.
	RenderingNone Rendering = "none"
)

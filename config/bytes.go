package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size in bytes. As text it is a whole number and, optionally, a unit:
// B, KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024, whose
// B may be left out as in Kubernetes). Case does not matter.
type Bytes int64

const (
	kibibyte Bytes = 1 << 10
	mebibyte Bytes = 1 << 20
	gibibyte Bytes = 1 << 30
)

var errBytes = errors.New("must be a size such as 1048576, 64KB or 1MiB")

// byteUnits are the units, in the order in which String prefers them.
var byteUnits = [...]struct {
	name string
	size Bytes
}{
	{"TiB", 1 << 40}, {"GiB", gibibyte}, {"MiB", mebibyte}, {"KiB", kibibyte},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// ParseBytes reads a size. Its error does not quote the text.
func ParseBytes(text string) (Bytes, error) {
	text = strings.TrimSpace(text)
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	number, err := strconv.ParseInt(text[:digits], 10, 64)
	if err != nil {
		return 0, errBytes
	}
	size, ok := unitSize(strings.TrimSpace(text[digits:]))
	if !ok || number > math.MaxInt64/int64(size) {
		return 0, errBytes
	}
	return Bytes(number) * size, nil
}

func unitSize(name string) (Bytes, bool) {
	if name == "" {
		return 1, true
	}
	for _, u := range byteUnits {
		short, binary := strings.CutSuffix(u.name, "iB")
		if strings.EqualFold(name, u.name) || binary && strings.EqualFold(name, short+"i") {
			return u.size, true
		}
	}
	return 0, false
}

// String returns the size in the largest binary, else decimal unit that divides
// it, so that ParseBytes gives the same size back; negative sizes stay plain numbers.
func (b Bytes) String() string {
	for _, u := range byteUnits {
		if b > 0 && b%u.size == 0 && u.size > 1 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText returns String's text.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what ParseBytes reads.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBytes(string(text))
	return err
}

//go:build !linux

package health

import (
	"errors"
	"time"
)

func fileSystem(string) string { return "" }

func systemClock() (synchronised bool, off time.Duration, err error) {
	return false, 0, errors.ErrUnsupported
}

package config

import (
	"encoding"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

var (
	errDuration = errors.New("must be a duration with its unit, such as 250ms, 5s or 24h")
	errWhole    = errors.New("must be a whole number")
	errBool     = errors.New("must be true or false")
	errNumber   = errors.New("must be a number")
	errLevel    = errors.New("must be debug, info, warn or error")
	errTime     = errors.New("must be a time with its zone as RFC 3339 has it, such as 2026-03-31T00:00:00Z")
)

// isScalar reports whether a setting of type t is a single value.
func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Pointer:
		return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
	}
	return true
}

// setScalar reads text into the setting v. Its error says what would be right and
// does not quote the text.
func setScalar(v reflect.Value, text string) error {
	switch setting := v.Addr().Interface().(type) {
	case *string:
		*setting = text
		return nil
	case *bool:
		return assign(setting, text, parseBool, errBool)
	case *int:
		return assign(setting, text, strconv.Atoi, errWhole)
	case *float64:
		return assign(setting, text, parseFinite, errNumber)
	case *time.Duration:
		return assign(setting, text, time.ParseDuration, errDuration)
	case *slog.Level:
		return assign(setting, text, parseLevel, errLevel)
	case *time.Time:
		return assign(setting, text, parseTime, errTime)
	case encoding.TextUnmarshaler:
		return setting.UnmarshalText([]byte(text))
	}
	return errors.ErrUnsupported // a setting of a type this function was not taught
}

// assign stores what parse makes of text; whatever its error, the caller gets mismatch.
func assign[T any](setting *T, text string, parse func(string) (T, error), mismatch error) error {
	value, err := parse(text)
	if err != nil {
		return mismatch
	}
	*setting = value
	return nil
}

func parseBool(text string) (bool, error) {
	if text != "true" && text != "false" {
		return false, errBool
	}
	return text == "true", nil
}

func parseFinite(text string) (float64, error) {
	number, err := strconv.ParseFloat(text, 64)
	if err == nil && (math.IsInf(number, 0) || math.IsNaN(number)) {
		err = strconv.ErrRange
	}
	return number, err
}

func parseLevel(text string) (level slog.Level, err error) {
	err = level.UnmarshalText([]byte(text))
	return level, err
}

func parseTime(text string) (time.Time, error) { return time.Parse(time.RFC3339, text) }

// formatScalar writes the setting v as an operator would.
func formatScalar(v reflect.Value) string {
	switch setting := v.Interface().(type) {
	case string:
		return setting
	case bool:
		return strconv.FormatBool(setting)
	case int:
		return strconv.Itoa(setting)
	case float64:
		return strconv.FormatFloat(setting, 'g', -1, 64)
	case time.Duration:
		return formatDuration(setting)
	case slog.Level:
		return strings.ToLower(setting.String())
	case time.Time:
		if setting.IsZero() {
			return ""
		}
		return setting.Format(time.RFC3339)
	case interface{ String() string }:
		return setting.String()
	}
	return ""
}

// formatDuration is Duration.String less the parts that are zero: 2m, not 2m0s.
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

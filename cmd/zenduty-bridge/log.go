package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"

	"github.com/zenduty-bridge/zenduty-bridge/config"
)

// newLogger writes text to a terminal and JSON to anything else, unless told. What it
// leaves out can be changed by the level.
func newLogger(w io.Writer, c config.Log) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	level.Set(c.Level)
	options := &slog.HandlerOptions{Level: level}
	if c.Format == config.LogText || (c.Format == config.LogAuto && isTerminal(w)) {
		return slog.New(slog.NewTextHandler(w, options)), level
	}
	return slog.New(slog.NewJSONHandler(w, options)), level
}

// isTerminal tells whether what is written to or read from v is a person's.
// /dev/null, a character device too, is not.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

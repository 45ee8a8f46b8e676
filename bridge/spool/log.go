package spool

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// storeLogger hands Pebble's log on: its chatter as debug, its errors as
// warnings, and its last word to fatal, which does not return.
type storeLogger struct {
	log   *slog.Logger
	fatal func(reason string)

	mu     sync.Mutex
	warned time.Time // when an error was last handed on
	missed int       // errors since then
}

// warnEvery is the least time between two warnings: on a full disk Pebble tries a
// compaction again hundreds of times a second.
const warnEvery = 10 * time.Second

func (l *storeLogger) Infof(format string, args ...any) {
	l.log.Debug("spool: store: " + fmt.Sprintf(format, args...))
}

func (l *storeLogger) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.warned) < warnEvery {
		l.missed++
		return
	}
	l.log.Warn("spool: store: "+fmt.Sprintf(format, args...), "errors_not_logged", l.missed)
	l.warned, l.missed = now, 0
}

func (l *storeLogger) Fatalf(format string, args ...any) {
	l.fatal(fmt.Sprintf(format, args...))
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// ledger is the work of this example and at the same time the record that it is
// done: a file with a line for each event, which begins with the webhook's id. A
// line is there whole or does not count.
type ledger struct {
	file *os.File
	size int64 // of the whole lines
	ids  map[string]bool
}

// openLedger reads what is done already, and cuts off what a crash left of a line.
func openLedger(path string) (*ledger, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	l := &ledger{file: file, ids: map[string]bool{}}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return l, err // what is not a file remembers nothing
	}
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return l, file.Truncate(l.size)
		} else if err != nil {
			return l, err
		}
		id, _, _ := strings.Cut(line, " ")
		l.ids[id], l.size = true, l.size+int64(len(line))
	}
}

func (l *ledger) has(id string) bool { return l.ids[id] }

// add returns when the line is on disk.
func (l *ledger) add(id string, e *zenduty.Event) error {
	i := e.Incident
	line := fmt.Sprintf("%s %s %q #%d %q %q\n", id, e.Time().Format(time.RFC3339), i.UniqueID, i.Number, e.Type, i.Title)
	_, err := l.file.WriteString(line)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return errors.Join(err, l.file.Truncate(l.size))
	}
	l.ids[id], l.size = true, l.size+int64(len(line))
	return nil
}

func (l *ledger) Close() error { return l.file.Close() }

package storefiles

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// LedgerName is a file beside the store's that tells which logs there must be. The
// store itself would open without a log that is missing, or with a manifest that
// was cut short, and not say that records are gone.
//
// Each line ends with its own checksum:
//
//	spool ledger 1 a1b2c3d4
//	log 12 a1b2c3d4          log 12 was made, and records may be in it
//	closed a1b2c3d4          the store was closed: the last log ends with a trailer
//	rescue 0a0b a1b2c3d4     a batch to append again, which opening takes from its log
//	rescued a1b2c3d4         that has been done
const (
	LedgerName    = "LEDGER"
	ledgerNewName = "LEDGER.new"
	ledgerHeader  = "spool ledger 1"
	ledgerClosed  = "closed"
	ledgerRescued = "rescued"
)

// account is what a ledger says.
type account struct {
	logs   []uint64 // oldest first
	closed bool
	rescue []byte
}

// readLedger: the error is ErrDamaged, or what the disk says. What is not whole at
// the end was being written when the process ended.
func readLedger(on vfs.FS, dir string) (account, error) {
	data, err := readFile(on, on.PathJoin(dir, LedgerName))
	if err != nil {
		return account{}, err
	}
	var a account
	torn := false
	for n, line := range strings.SplitAfter(string(data), "\n") {
		text := line[:max(0, strings.LastIndexByte(line, ' '))]
		whole := line == ledgerLine(text)
		switch {
		case n == 0 && text != ledgerHeader:
			return account{}, fmt.Errorf("no header: %w", ErrDamaged)
		case whole && torn, n == 0 && !whole:
			return account{}, fmt.Errorf("a line before line %d does not fit its checksum: %w", n+1, ErrDamaged)
		case whole:
			a.take(text)
		}
		torn = torn || !whole
	}
	return a, nil
}

func (a *account) take(text string) {
	a.closed = text == ledgerClosed
	switch what, of, _ := strings.Cut(text, " "); what {
	case "log":
		if number, err := strconv.ParseUint(of, 10, 64); err == nil {
			a.logs = append(a.logs, number)
		}
	case "rescue":
		a.rescue, _ = hex.DecodeString(of)
	case ledgerRescued:
		a.rescue = nil
	}
}

func logLine(number uint64) string {
	return ledgerLine("log " + strconv.FormatUint(number, 10))
}

func ledgerLine(text string) string {
	return fmt.Sprintf("%s %08x\n", text, crc32.Checksum([]byte(text), castagnoli))
}

// Ledger is the file being written, for a store that is open.
type Ledger struct {
	file vfs.File
}

// BeginLedger replaces the ledger, durably, by one that says the same but for the
// logs of which the manifest says that they are no longer needed, and with Rescue.
// The store may be opened only then.
func (i *Inspection) BeginLedger(on vfs.FS) (*Ledger, error) {
	text := ledgerLine(ledgerHeader)
	for _, number := range i.account.logs {
		if number >= i.oldest {
			text += logLine(number)
		}
	}
	if i.Rescue != nil {
		text += ledgerLine("rescue " + hex.EncodeToString(i.Rescue))
	}
	if i.account.closed {
		text += ledgerLine(ledgerClosed)
	}
	name := on.PathJoin(i.dir, ledgerNewName)
	f, err := on.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	l := &Ledger{file: f}
	if err = l.write(text); err == nil {
		err = on.Rename(name, on.PathJoin(i.dir, LedgerName))
	}
	if err == nil {
		err = SyncDirectory(on, i.dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

// AddLog must be called before anything is written to a new log.
func (l *Ledger) AddLog(number uint64) error { return l.write(logLine(number)) }

// Rescued notes that Rescue is in the store, durably.
func (l *Ledger) Rescued() error { return l.write(ledgerLine(ledgerRescued)) }

// Close notes that the store has been closed, if it has been.
func (l *Ledger) Close(closed bool) (err error) {
	if closed {
		err = l.write(ledgerLine(ledgerClosed))
	}
	return errors.Join(err, l.file.Close())
}

// write is durable when it returns.
func (l *Ledger) write(text string) error {
	_, err := l.file.Write([]byte(text))
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", LedgerName, err)
	}
	return nil
}

package spool

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ledgerName is a file beside the store's that tells which write-ahead logs there
// must be. The store itself would open without a log that is missing, or with a
// manifest that was cut short, and not say that records are gone.
//
// Each line ends with its own checksum:
//
//	spool ledger 1 a1b2c3d4
//	log 12 a1b2c3d4          log 12 was made, and records may be in it
//	closed a1b2c3d4          the spool was closed: the last log ends with a trailer
const (
	ledgerName    = "LEDGER"
	ledgerNewName = "LEDGER.new"
	ledgerHeader  = "spool ledger 1"
)

// account is what a ledger says.
type account struct {
	logs   []uint64 // oldest first
	closed bool
}

// readLedger: the error is ErrDamaged, or what the disk says. A last line that is
// not whole was being written when the process ended.
func readLedger(on vfs.FS, dir string) (account, error) {
	data, err := readFile(on, on.PathJoin(dir, ledgerName))
	if err != nil {
		return account{}, err
	}
	var a account
	torn := false
	for number, line := range bytes.Split(data, []byte("\n")) {
		text, ok := ledgerLine(line)
		switch {
		case !ok && number == 0:
			return account{}, fmt.Errorf("no header: %w", ErrDamaged)
		case !ok:
			torn = torn || len(line) > 0
		case torn:
			return account{}, fmt.Errorf("line %d, not the last, does not fit its checksum: %w", number, ErrDamaged)
		default:
			a.take(text)
		}
	}
	return a, nil
}

func (a *account) take(text string) {
	digits, isLog := bytes.CutPrefix([]byte(text), []byte("log "))
	number, err := strconv.ParseUint(string(digits), 10, 64)
	if a.closed = text == "closed"; isLog && err == nil {
		a.logs = append(a.logs, number)
	}
}

// ledgerLine takes the checksum off a line, if it fits.
func ledgerLine(line []byte) (text string, ok bool) {
	cut := bytes.LastIndexByte(line, ' ')
	if cut < 0 {
		return "", false
	}
	text = string(line[:cut])
	return text, string(line)+"\n" == formatLedgerLine(text)
}

func formatLedgerLine(text string) string {
	return fmt.Sprintf("%s %08x\n", text, crc32.Checksum([]byte(text), castagnoli))
}

// ledger is the file being written, by a spool that is open.
type ledger struct {
	file vfs.File
}

// beginLedger replaces the ledger, durably, by one that says the same but for the
// logs below oldest, of which the manifest says that they are no longer needed.
func beginLedger(on vfs.FS, dir string, before account, oldest uint64) (*ledger, error) {
	f, err := on.Create(on.PathJoin(dir, ledgerNewName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	text := formatLedgerLine(ledgerHeader)
	for _, number := range slices.DeleteFunc(slices.Clone(before.logs), func(n uint64) bool { return n < oldest }) {
		text += formatLedgerLine(logLine(number))
	}
	if before.closed {
		text += formatLedgerLine("closed")
	}
	_, err = f.Write([]byte(text))
	err = errors.Join(err, f.Sync())
	if err == nil {
		err = on.Rename(on.PathJoin(dir, ledgerNewName), on.PathJoin(dir, ledgerName))
	}
	if err == nil {
		err = syncDirectory(on, dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write ledger: %w", err), f.Close())
	}
	return &ledger{file: f}, nil
}

func logLine(number uint64) string { return "log " + strconv.FormatUint(number, 10) }

// note adds a line, durably.
func (l *ledger) note(text string) error {
	if _, err := l.file.Write([]byte(formatLedgerLine(text))); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("sync ledger: %w", err)
	}
	return nil
}

func (l *ledger) close() error { return l.file.Close() }

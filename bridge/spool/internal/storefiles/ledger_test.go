package storefiles

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestReadLedger(t *testing.T) {
	line := ledgerLine
	head := line(ledgerHeader)
	for _, tc := range []struct {
		name, text string
		want       account
		damaged    bool
	}{
		{"new", head, account{}, false},
		{"in use", head + line("log 2") + line("log 17"), account{logs: []uint64{2, 17}}, false},
		{"closed", head + line("log 2") + line("closed"), account{logs: []uint64{2}, closed: true}, false},
		{"opened again", head + line("log 2") + line("closed") + line("log 5"), account{logs: []uint64{2, 5}}, false},
		{"last line cut off", head + line("log 2") + line("log 17")[:9], account{logs: []uint64{2}}, false},
		{"last line zeroed", head + line("log 2") + strings.Repeat("\x00", 16), account{logs: []uint64{2}}, false},
		{"line in between spoilt", head + "lag 2 01020304\n" + line("log 17"), account{}, true},
		{"header spoilt", "spool ledger 2 01020304\n" + line("log 2"), account{}, true},
		{"empty", "", account{}, true},
		{"zeroed", strings.Repeat("\x00", 50), account{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs := vfs.NewMem()
			write(t, fs, LedgerName, []byte(tc.text))
			got, err := readLedger(fs, "")
			if errors.Is(err, ErrDamaged) != tc.damaged || err != nil && !tc.damaged {
				t.Fatalf("error %v", err)
			}
			if got.closed != tc.want.closed {
				t.Errorf("closed %v", got.closed)
			}
			diff(t, "logs", tc.want.logs, got.logs)
		})
	}
}

// FuzzReadLedger: whatever the bytes, it is an account or damage. What was written
// before the end of a write that was cut off stands in the account.
func FuzzReadLedger(f *testing.F) {
	whole := ledgerLine(ledgerHeader) + logLine(2) + ledgerLine("rescue 0a0b") + ledgerLine(ledgerRescued) + logLine(1<<64-1) + ledgerLine(ledgerClosed)
	f.Add([]byte(whole))
	f.Add([]byte(whole[:len(whole)-3]))
	f.Add([]byte(ledgerLine(ledgerHeader) + ledgerLine("log x") + ledgerLine("rescue 0") + ledgerLine("")))
	f.Add([]byte(" \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		fs := vfs.NewMem()
		write(t, fs, LedgerName, text)
		got, err := readLedger(fs, "")
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("error %v is none of damage", err)
			}
			return
		}
		write(t, fs, LedgerName, append(text[:bytes.LastIndexByte(text, '\n')+1:bytes.LastIndexByte(text, '\n')+1], "log 5 0"...))
		again, err := readLedger(fs, "")
		if err != nil || !slices.Equal(got.logs, again.logs) || got.closed != again.closed || !bytes.Equal(got.rescue, again.rescue) {
			t.Errorf("%q: %+v; with a write that was cut off: %+v, %v", text, got, again, err)
		}
	})
}

package storefiles

import (
	"errors"
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

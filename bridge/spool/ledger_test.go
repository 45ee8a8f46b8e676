package spool

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// writeFile makes a file with a text.
func writeFile(t *testing.T, fs vfs.FS, path, text string) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// readFile is the text of a file.
func readFile(t *testing.T, fs vfs.FS, path string) string {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// lastLine is what the ledger's last line says, without its checksum.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	said, _, _ := strings.Cut(lines[len(lines)-1], " ")
	return said
}

// TestLedgerTellsOfEveryLog that the store makes, before records are in it.
func TestLedgerTellsOfEveryLog(t *testing.T) {
	opts := memOptions()
	ledger := opts.FS.PathJoin(testDir, storefiles.LedgerName)
	for range 3 {
		s := openSpool(t, testDir, opts)
		addMany(t, s, int(s.lastSeq.Load()), 30, 40_000)
		names, err := opts.FS.List(testDir)
		if err != nil {
			t.Fatal(err)
		}
		names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".log") })
		var newest int
		if _, err := fmt.Sscanf(slices.Max(names), "%d.log", &newest); err != nil {
			t.Fatal(err)
		}
		text := readFile(t, opts.FS, ledger)
		logs := regexp.MustCompile(`log \d+`).FindAllString(text, -1)
		if len(logs) < 2 || logs[len(logs)-1] != fmt.Sprint("log ", newest) || lastLine(text) == "closed" {
			t.Errorf("logs %v, and the ledger says:\n%s", names, text)
		}
		if len(logs) > 8 {
			t.Errorf("logs that are long gone are kept in the ledger:\n%s", text)
		}
		closeSpool(t, s)
		if text := readFile(t, opts.FS, ledger); lastLine(text) != "closed" {
			t.Errorf("after Close the ledger says:\n%s", text)
		}
	}
}

package spool

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// specimen is a spool directory on a real disk and what is in it.
type specimen struct {
	dir    string
	states map[int]byte // of the test records, by number; record n has sequence number n+1
}

// The records of a specimen: the first two groups are in tables, the rest in the
// write-ahead log.
const (
	specimenGroup = 300
	specimenCount = 3 * specimenGroup
	specimenBody  = 1500
)

func specimenState(n int) byte {
	switch {
	case n%5 == 0:
		return kindRetained
	case n%7 == 0:
		return kindQuarantine
	}
	return kindPending
}

// makeSpecimens fills a spool, and leaves it as a killed process would, and closed.
func makeSpecimens(t *testing.T) (killed, closed specimen) {
	t.Helper()
	sp := specimen{states: map[int]byte{}}
	at := filepath.Join(t.TempDir(), "spool")
	s := openSpool(t, at, diskOptions())
	for group := range 3 {
		if group > 0 {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		for n := group * specimenGroup; n < (group+1)*specimenGroup; n++ {
			ref := add(t, s, record(n, specimenBody))
			sp.states[n] = specimenState(n)
			switch sp.states[n] {
			case kindRetained:
				ack(t, s, epoch, ref)
			case kindQuarantine:
				quarantine(t, s, epoch, ref)
			}
		}
	}
	if err := s.SetMark(Mark{Name: "sent", Value: []byte("up to here")}); err != nil {
		t.Fatal(err)
	}
	sp.dir = at
	killed = sp.copy(t)
	closeSpool(t, s)
	return killed, sp
}

// copy is another directory with the same files, as they are at one moment: the
// store may still be at work, but that makes or removes some.
func (sp specimen) copy(t *testing.T) specimen {
	t.Helper()
	to := ""
	eventually(t, "files are copied", func() bool {
		before, err := filepath.Glob(filepath.Join(sp.dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		to = filepath.Join(t.TempDir(), "data", "spool")
		err = os.CopyFS(to, os.DirFS(sp.dir))
		after, _ := filepath.Glob(filepath.Join(sp.dir, "*"))
		return err == nil && slices.Equal(before, after)
	})
	return specimen{dir: to, states: sp.states}
}

func diskOptions() Options {
	o := memOptions()
	o.FS, o.BallastBytes = vfs.Default, -1
	return o
}

// file is the one file that a pattern matches; of several, the last.
func (sp specimen) file(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(sp.dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no file %s: %v", pattern, err)
	}
	return found[len(found)-1]
}

// inflict is a kind of damage to a file's bytes.
type inflict func(data []byte) []byte

func truncated(part float64) inflict {
	return func(data []byte) []byte { return data[:int(part*float64(len(data)))] }
}

func zeroed(from, to float64) inflict {
	return func(data []byte) []byte {
		clear(data[int(from*float64(len(data))):int(to*float64(len(data)))])
		return data
	}
}

func flipped(part float64) inflict {
	return func(data []byte) []byte {
		data[int(part*float64(len(data)-1))] ^= 0x10
		return data
	}
}

// damage changes a file; nil removes it.
func (sp specimen) damage(t *testing.T, pattern string, how inflict) (name string) {
	t.Helper()
	path := sp.file(t, pattern)
	if how == nil {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return filepath.Base(path)
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, how(data), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(path)
}

// content is the bytes of all files that hold records.
func (sp specimen) content(t *testing.T) map[string]string {
	t.Helper()
	content := map[string]string{}
	entries, err := os.ReadDir(sp.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(sp.dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() != "LOCK" {
			content[e.Name()] = string(data)
		}
	}
	return content
}

const (
	theLog    = "*.log"
	oneTable  = "*.sst"
	manifest  = "MANIFEST-*"
	options   = "OPTIONS-*"
	marker    = "marker.manifest.*"
	formatted = "marker.format-version.*"
)

// Every way to open a damaged spool ends in one of three: it is refused, and the
// error names the file and the remedy; it opens and nothing is missing; or it
// opens and what cannot be read says so. Verify names the file, and what salvage
// makes has every record, in its state, but those whose bytes are gone.
func TestDamage(t *testing.T) {
	type test struct {
		file     string
		what     string
		how      inflict
		closed   bool // before the damage; else killed
		opens    bool // the damage is met later, or not at all
		unseen   bool // by verify: nothing is wrong
		lost     int  // records that may be gone, at most
		restated int  // records that may be pending again, at most
		inLog    bool // those are of the group that is in the log
	}
	killed, closed := makeSpecimens(t)
	for _, tc := range []test{
		{file: theLog, what: "missing", lost: specimenGroup, inLog: true},
		{file: theLog, what: "missing", closed: true, lost: specimenGroup, inLog: true},
		{file: theLog, what: "flipped in the middle", how: flipped(0.5), lost: 2, restated: 2, inLog: true},
		{file: theLog, what: "flipped in the middle", how: flipped(0.5), closed: true, lost: 2, restated: 2, inLog: true},
		{file: theLog, what: "flipped at the start", how: flipped(0), lost: 2, restated: 2, inLog: true},
		{file: theLog, what: "zeroed in the middle", how: zeroed(0.4, 0.6), lost: specimenGroup / 2, restated: 4, inLog: true},
		{file: theLog, what: "zeroed at the start", how: zeroed(0, 0.1), lost: specimenGroup / 2, restated: 4, inLog: true},
		{file: theLog, what: "truncated", how: truncated(0.5), closed: true, lost: specimenGroup, restated: 4, inLog: true},
		{file: theLog, what: "empty", how: truncated(0), closed: true, lost: specimenGroup, inLog: true},
		{file: theLog, what: "zeroed at the end", how: zeroed(0.9, 1), closed: true, lost: specimenGroup, restated: 4, inLog: true},
		// After a kill, the end of the log cannot be told from a write that was cut off.
		{file: theLog, what: "truncated", how: truncated(0.5), opens: true, unseen: true, lost: specimenGroup, restated: 4, inLog: true},
		{file: theLog, what: "empty", how: truncated(0), opens: true, unseen: true, lost: specimenGroup, inLog: true},

		{file: oneTable, what: "missing", lost: 2 * specimenGroup},
		{file: oneTable, what: "truncated", how: truncated(0.5), lost: 2 * specimenGroup},
		{file: oneTable, what: "empty", how: truncated(0), lost: 2 * specimenGroup},
		{file: oneTable, what: "flipped at the start", how: flipped(0.001), opens: true, lost: 30}, // the last table is one of records
		{file: oneTable, what: "flipped in the middle", how: flipped(0.5), opens: true, lost: 30},
		{file: oneTable, what: "flipped in the footer", how: flipped(1), opens: true, lost: 2 * specimenGroup},
		{file: oneTable, what: "zeroed in the middle", how: zeroed(0.45, 0.55), opens: true, lost: 80},
		{file: oneTable, what: "zeroed", how: zeroed(0, 1), opens: true, lost: 2 * specimenGroup},

		{file: manifest, what: "missing"},
		{file: manifest, what: "empty", how: truncated(0)},
		{file: manifest, what: "truncated", how: truncated(0.5)},
		{file: manifest, what: "truncated", how: truncated(0.9)},
		{file: manifest, what: "zeroed", how: zeroed(0, 1)},
		{file: manifest, what: "zeroed at the end", how: zeroed(0.7, 1), closed: true},
		{file: manifest, what: "flipped at the start", how: flipped(0.1)},
		{file: manifest, what: "flipped in the middle", how: flipped(0.5), closed: true},

		{file: options, what: "missing", opens: true, unseen: true},
		{file: options, what: "empty", how: truncated(0), opens: true, unseen: true},
		{file: options, what: "garbled", how: func([]byte) []byte { return []byte("junk") }},
		{file: marker, what: "missing"},
		{file: marker, what: "missing", closed: true},
		{file: marker, what: "filled", how: func([]byte) []byte { return []byte("junk") }, opens: true, unseen: true},
		{file: formatted, what: "missing"},
		{file: storefiles.LedgerName, what: "missing"},
		{file: storefiles.LedgerName, what: "empty", how: truncated(0)},
		{file: storefiles.LedgerName, what: "flipped in the first line", how: flipped(0.1)},
		{file: storefiles.LedgerName, what: "flipped in the second line", how: flipped(0.7)},
		{file: "LOCK", what: "missing", opens: true, unseen: true},
		{file: "LOCK", what: "filled", how: func([]byte) []byte { return []byte("junk") }, opens: true, unseen: true},
		{file: ballastName, what: "missing", opens: true, unseen: true},
	} {
		t.Run(fmt.Sprintf("%s %s, closed %v", tc.file, tc.what, tc.closed), func(t *testing.T) {
			sp := killed.copy(t)
			if tc.closed {
				sp = closed.copy(t)
			}
			name := sp.damage(t, tc.file, tc.how)
			before := sp.content(t)
			checkVerified(t, sp, name, tc.unseen)
			salvaged := checkSalvaged(t, sp, tc.lost, tc.restated, tc.inLog)
			diff(t, "files after Verify and Salvage", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(sp.content(t))))
			if !maps.Equal(before, sp.content(t)) {
				t.Error("Verify or Salvage have changed the damaged spool")
			}
			if tc.opens {
				checkServed(t, sp, tc.lost, salvaged)
				return
			}
			_, err := Open(sp.dir, diskOptions())
			checkRefused(t, sp, name, err)
		})
	}
}

func checkVerified(t *testing.T, sp specimen, name string, unseen bool) {
	t.Helper()
	report, err := Verify(sp.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if unseen != report.Whole() {
		t.Errorf("faults %v, want some: %v", report.Faults, !unseen)
	}
	if text := fmt.Sprint(report.Faults); !unseen && !strings.Contains(text, stem(name)) {
		t.Errorf("faults %s do not name %s", text, name)
	}
}

// stem is what all messages about a file have of its name.
func stem(name string) string {
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "marker."), ".")
	return strings.TrimPrefix(strings.TrimPrefix(name, "MANIFEST-"), "OPTIONS-")
}

func checkRefused(t *testing.T, sp specimen, name string, err error) {
	t.Helper()
	if !errors.Is(err, ErrDamaged) {
		t.Fatalf("Open: %v", err)
	}
	for _, words := range []string{sp.dir, stem(name), "run zenduty-bridge spool verify --data-dir " + filepath.Dir(sp.dir)} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("the error does not say %q: %v", words, err)
		}
	}
}

// checkSalvaged opens what salvage makes, and holds it against what there was.
func checkSalvaged(t *testing.T, sp specimen, lost, restated int, inLog bool) Salvaged {
	t.Helper()
	to := filepath.Join(t.TempDir(), "new")
	result, err := Salvage(sp.dir, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := openSpool(t, to, diskOptions())
	firstSweep(t, s)
	diff(t, "what was copied", s.Stats(), result.Copied)
	if report, err := Verify(sp.dir, nil); err == nil {
		diff(t, "what verify promised", report.Stats, result.Copied)
	}
	gone, changed := 0, 0
	for n, want := range sp.states {
		switch got := stateOf(t, s, n); {
		case got == 0 && inLog && n < 2*specimenGroup:
			t.Errorf("record %d was in a table, and is gone", n)
		case got == 0:
			gone++
		case got != want && got != kindPending:
			t.Errorf("record %d was %s and is %s", n, stateNames[want], stateNames[got])
		case got != want:
			changed++
			fallthrough
		default:
			got, err := s.Read(uint64(n + 1))
			if err != nil {
				t.Fatal(err)
			}
			checkSame(t, record(n, specimenBody), got)
		}
	}
	if gone > lost || changed > restated {
		t.Errorf("%d records gone, at most %d may be; %d pending again, at most %d may be; %+v", gone, lost, changed, restated, result.Faults)
	}
	if told := len(result.Lost) + inGaps(result.Gaps, s.lastSeq.Load()); told != gone {
		t.Errorf("%d records are gone, but lost %+v and gaps %+v", gone, result.Lost, result.Gaps)
	}
	return result
}

// inGaps counts the numbers in gaps, and those of a specimen after the last.
func inGaps(gaps []Gap, last uint64) int {
	count := specimenCount - int(last)
	for _, g := range gaps {
		count += int(g.Last - g.First + 1)
	}
	return count
}

// checkSame compares without the pains that diff takes.
func checkSame(t *testing.T, want, got *Record) {
	t.Helper()
	if !bytes.Equal(encoded(want), encoded(got)) {
		diff(t, "record", want, got)
	}
}

// stateOf is the state of test record n; 0 when it is not held.
func stateOf(t *testing.T, s *Spool, n int) byte {
	t.Helper()
	seq, held, err := s.Find(record(n, 0).ID)
	if err != nil {
		t.Fatal(err)
	}
	if !held {
		return 0
	}
	if seq != uint64(n+1) {
		t.Errorf("record %d has number %d", n, seq)
	}
	pending, err := s.scan(kindPending, 0)
	if err != nil {
		t.Fatal(err)
	}
	kind, _, err := s.state(pending, seq)
	if err := errors.Join(err, pending.Close()); err != nil {
		t.Fatal(err)
	}
	return kind
}

// checkServed opens a damaged spool all the same: what it gives is right, and what
// it cannot give it says.
func checkServed(t *testing.T, sp specimen, lost int, salvaged Salvaged) {
	t.Helper()
	s, err := Open(sp.dir, diskOptions())
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("Open: %v", err)
		}
		return
	}
	defer func() { _ = s.Close() }()
	unread := 0
	var seqs []uint64
	for n := range sp.states {
		seqs = append(seqs, uint64(n+1))
	}
	err = s.ReadEach(seqs, func(seq uint64, got *Record, err error) bool {
		alone, errAlone := s.Read(seq)
		diff(t, "ReadEach against Read", alone, got)
		switch {
		case (err == nil) != (errAlone == nil):
			t.Errorf("ReadEach of %d: %v, Read: %v", seq, err, errAlone)
		case err == nil:
			checkSame(t, record(int(seq-1), specimenBody), got)
		case errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotFound):
			unread++
		default:
			t.Errorf("Read: %v", err)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
	if unread > lost {
		t.Errorf("%d records cannot be read, at most %d may be; salvage lost %d", unread, lost, len(salvaged.Lost))
	}
}

package spool

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// spoiltTable opens a spool on disk with a flipped bit in the middle of its table,
// where the records are.
func spoiltTable(t *testing.T, told *logbook) *Spool {
	t.Helper()
	at := filepath.Join(t.TempDir(), "spool")
	opts := diskOptions()
	s := openSpool(t, at, opts)
	addMany(t, s, 0, 300, 1500)
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	specimen{dir: at}.damage(t, oneTable, flipped(0.6))
	opts.Logger = told.logger()
	s, err := Open(at, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // may tell of the damage again
	return s
}

// TestDamagedBlockIsOnlyItsRecords: the spool goes on, with one word in the log.
func TestDamagedBlockIsOnlyItsRecords(t *testing.T) {
	var told logbook
	s := spoiltTable(t, &told)
	var unread []Ref
	for _, ref := range pending(t, s) {
		r, err := s.Read(ref.Seq)
		switch {
		case errors.Is(err, ErrDamaged):
			unread = append(unread, ref)
			if !strings.Contains(err.Error(), "run zenduty-bridge spool verify --data-dir "+filepath.Dir(s.dir)) {
				t.Errorf("no remedy: %v", err)
			}
		case err != nil:
			t.Errorf("Read: %v", err)
		default:
			checkSame(t, record(int(ref.Seq-1), 1500), r)
		}
	}
	if len(unread) == 0 || len(unread) > 30 {
		t.Errorf("%d records cannot be read, want those of one block", len(unread))
	}
	if got := told.count("a file is damaged"); got != 1 {
		t.Errorf("told %d times:\n%s", got, &told)
	}
	quarantine(t, s, epoch, unread...)
	if _, err := s.Append(context.Background(), record(1000, 10)); err != nil {
		t.Errorf("Append: %v", err)
	}
	if err := s.Err(); err != nil {
		t.Errorf("the spool has failed: %v", err)
	}
}

// TestStallBehindDamage: writes that wait for a compaction which cannot end would
// wait for ever. Without damage a stall is just that, and one that ends is.
func TestStallBehindDamage(t *testing.T) {
	const short, long = stallPatience / 3, 2*stallPatience + time.Second
	for _, tc := range []struct {
		name         string
		before, amid bool // when the damage is found
		lasts        time.Duration
		fails        bool
	}{
		{"no damage", false, false, long, false},
		{"a short stall", true, false, short, false},
		{"a long stall", true, false, long, true},
		{"damage found amid a stall", false, true, long, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Spool{dir: testDir, opts: memOptions(), failed: make(chan struct{})}
				found := func(now bool) {
					if now {
						s.corruptionFound(pebble.DataCorruptionInfo{Path: "000007.sst", Details: os.ErrInvalid})
					}
				}
				found(tc.before)
				s.stalled(pebble.WriteStallBeginInfo{Reason: "L0 file count limit exceeded"})
				time.Sleep(tc.lasts / 2)
				found(tc.amid)
				time.Sleep(tc.lasts / 2)
				s.stallEnded()
				time.Sleep(long)
				err := s.Err()
				if (err != nil) != tc.fails {
					t.Fatalf("error %v, want one: %v", err, tc.fails)
				}
				if tc.fails && (!errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "L0 file count") || !strings.Contains(err.Error(), "spool verify")) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

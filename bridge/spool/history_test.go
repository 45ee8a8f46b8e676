package spool

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// History gives of each retained record what Retained gives, and its own header,
// also when it is asked for only some of them, and after some that are gone.
func TestHistory(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	refs := addMany(t, s, 0, 12, 500)
	ack(t, s, epoch, refs[0], refs[1], refs[4], refs[5], refs[9])
	quarantine(t, s, epoch, refs[2])
	if err := s.db.Set(seqKey(kindRecord, 2), []byte("junk"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	lost, err := s.get(seqKey(kindRecord, 5))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Delete(seqKey(kindRecord, 5), pebble.Sync); err != nil {
		t.Fatal(err)
	}

	var got []string
	err = s.History(2, func(r Settled, header func() ([]byte, error)) bool {
		if r.Seq == 6 {
			got = append(got, "6 not asked for")
			return true
		}
		h, err := header()
		switch {
		case errors.Is(err, ErrDamaged):
			h = []byte("damaged")
		case errors.Is(err, ErrNotFound):
			h = []byte("gone")
		case err != nil:
			t.Error(err)
		}
		got = append(got, fmt.Sprintf("%d %s %s", r.Seq, r.Note, h))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "History from 2", []string{"2 note 2 damaged", "5 note 5 gone", "6 not asked for", "10 note 10 record 9"}, got)

	for seq, value := range map[uint64][]byte{2: encoded(record(1, 500)), 5: lost} {
		if err := s.db.Set(seqKey(kindRecord, seq), value, pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHistoryStopsWhenTold(t *testing.T) {
	s := openSpool(t, testDir, memOptions())
	ack(t, s, epoch, addMany(t, s, 0, 3, 20)...)
	calls := 0
	err := s.History(0, func(Settled, func() ([]byte, error)) bool { calls++; return calls < 2 })
	if err != nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
	closeSpool(t, s)
	if err := s.History(0, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

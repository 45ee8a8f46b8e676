package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// busySpool is a spool that several senders and a relay have used, killed: its
// directory, and the number of records, each the n-th with a body of busyBody(n).
func busySpool(t *testing.T, rng *rand.Rand) (dir string, count int) {
	t.Helper()
	at := filepath.Join(t.TempDir(), "spool")
	s := openSpool(t, at, diskOptions())
	const senders = 6
	each := 5 + rng.IntN(40)
	flush := rng.IntN(3)
	var working sync.WaitGroup
	for sender := range senders {
		working.Go(func() {
			for i := range each {
				n := sender*each + i
				ref := add(t, s, record(n, busyBody(n)))
				if n%4 == 0 {
					ack(t, s, epoch, ref)
				}
				if i == each/2 && sender < flush {
					_ = s.db.Flush()
				}
			}
		})
	}
	working.Wait()
	return specimen{dir: at}.copy(t).dir, senders * each
}

func busyBody(n int) int {
	if n%9 == 0 {
		return 40_000
	}
	return 700 + n
}

// TestRandomDamage: whatever happens to any file, what salvage gives is right, and
// a spool that opens all the same has every record that salvage finds, or says of
// it that it cannot be read. Nothing that can be read is passed over in silence.
func TestRandomDamage(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	refused := 0
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 7))
			dir, count := busySpool(t, rng)
			what := damageAtRandom(t, rng, dir)
			if _, err := Verify(dir, nil); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			to := filepath.Join(t.TempDir(), "new")
			if _, err := Salvage(dir, to, nil); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			found := readable(t, to, count)
			s, err := Open(dir, diskOptions())
			if errors.Is(err, ErrDamaged) {
				refused++
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			defer func() { _ = s.Close() }()
			for seq, id := range found {
				got, err := s.Read(seq)
				if err == nil && got.ID != id {
					t.Errorf("%s: record %d is another", what, seq)
				} else if err != nil && !errors.Is(err, ErrDamaged) {
					t.Errorf("%s: record %d could be salvaged, and the spool that opens says: %v", what, seq, err)
				}
			}
		})
	}
	if refused == 0 || refused == seeds {
		t.Errorf("%d of %d damaged spools were refused: the damage does not vary", refused, seeds)
	}
}

// damageAtRandom changes one file; it says how.
func damageAtRandom(t *testing.T, rng *rand.Rand, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() == "LOCK" || e.Name() == ballastName })
	name := entries[rng.IntN(len(entries))].Name()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	at := rng.IntN(max(1, len(data)))
	what := fmt.Sprintf("%s of %d bytes, at %d", name, len(data), at)
	switch rng.IntN(6) {
	case 0:
		what, data = what+" truncated", data[:at]
	case 1:
		what += " zeroed"
		clear(data[at:min(len(data), at+1+rng.IntN(5000))])
	case 2:
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		return what + " removed"
	default:
		what += " flipped"
		if len(data) > 0 {
			data[at] ^= 1 << rng.IntN(8)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return what
}

// readable is the records of a whole spool, each of which must be one of count
// test records, to the byte.
func readable(t *testing.T, dir string, count int) map[uint64]ID {
	t.Helper()
	s := openSpool(t, dir, diskOptions())
	records := map[ID]*Record{}
	for n := range count {
		r := record(n, busyBody(n))
		records[r.ID] = r
	}
	found := map[uint64]ID{}
	for seq := range entries(t, s)[kindRecord] {
		r, err := s.Read(seq)
		if err != nil {
			t.Fatal(err)
		}
		if want := records[r.ID]; want == nil {
			t.Errorf("record %d was never appended", seq)
		} else {
			checkSame(t, want, r)
		}
		found[seq] = r.ID
	}
	return found
}

package bridge

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// delivered leaves a closed spool on a real disk, all of whose webhooks were delivered,
// the last of them by the run whose writes are in the log.
func delivered(t *testing.T, fake *broker, runs int) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "spool")
	for run := range runs { // each makes tables of the log of the one before
		s := openOnDisk(t, dir)
		b := New(s, fake, Options{Logger: quiet})
		for n := range 30 {
			for i := range 20 {
				accept(t, b, body(fmt.Sprintf("inc%d", i), run*30+n))
			}
		}
		runUntilDrained(t, b)
		fake.calls.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What was delivered, and is pending in what is salvaged since its state was damaged,
// is found in the stream: it does not go out again, however long ago that was, and
// whether or not the mark of what may have been sent is damaged as well.
func TestSalvagedHistoryIsNotSentAgain(t *testing.T) {
	restated := int64(0)
	for _, tc := range []struct {
		files        string
		runs, places int
	}{{"*.log", 1, 8}, {"*.sst", 2, 2}} {
		t.Run(tc.files, func(t *testing.T) {
			fake := newBroker()
			dir := delivered(t, fake, tc.runs)
			fake.window = 200 * time.Millisecond
			time.Sleep(2 * fake.window) // the stream has forgotten their ids
			want := len(fake.stream)
			files, err := filepath.Glob(filepath.Join(dir, tc.files))
			if err != nil || len(files) == 0 {
				t.Fatalf("files %v, %v", files, err)
			}
			for at := range tc.places * len(files) {
				file, place := files[at/tc.places], at%tc.places
				result := salvaged(t, file, place, tc.places, fake)
				restated += result.Restated
				if got := len(fake.stream) - want; got > 0 {
					t.Fatalf("%s, part %d of %d zeroed: %d pending again, %d restated; %d published again", filepath.Base(file), place, tc.places, result.Copied.Pending.Records, result.Restated, got)
				}
			}
		})
	}
	if restated == 0 {
		t.Error("no webhook had its state damaged")
	}
}

// salvaged relays what is salvaged of a copy of a spool in which a part of a file is
// zeroed.
func salvaged(t *testing.T, file string, place, places int, fake *broker) spool.Salvaged {
	t.Helper()
	damaged, to := filepath.Join(t.TempDir(), "damaged"), filepath.Join(t.TempDir(), "spool")
	if err := os.CopyFS(damaged, os.DirFS(filepath.Dir(file))); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clear(data[place*len(data)/places : (place+1)*len(data)/places])
	if err := os.WriteFile(filepath.Join(damaged, filepath.Base(file)), data, 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := Salvage(damaged, to)
	if err != nil {
		t.Fatal(err)
	}
	s := openOnDisk(t, to)
	defer s.Close()
	runUntilDrained(t, New(s, fake, Options{Logger: quiet}))
	fake.calls.Wait()
	return result
}

// A bridge that has never reached NATS has nothing to look for, however much it holds
// at its next start; one that has lost the mark must look for all it held, and for
// nothing that it took since.
func TestSentMarkOfANewSpool(t *testing.T) {
	for _, lost := range []bool{false, true} {
		fs := vfs.NewMem()
		s := openSpool(t, fs)
		b := New(s, newBroker(), Options{Logger: quiet})
		accept(t, b, body("a", 0)) // it may come before the relay begins
		if !lost {
			if _, err := newRelay(b); err != nil {
				t.Fatal(err)
			}
		}
		accept(t, b, body("a", 1))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openSpool(t, fs)
		b = New(s, newBroker(), Options{Logger: quiet})
		accept(t, b, body("a", 2))
		r, err := newRelay(b)
		if err != nil {
			t.Fatal(err)
		}
		want := sentMark{}
		if lost {
			want.Seq = 2
		}
		if r.sent != want {
			t.Errorf("lost %v: %+v, want %+v", lost, r.sent, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

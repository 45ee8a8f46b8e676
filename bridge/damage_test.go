package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// The webhooks of a spool that is to be damaged.
const (
	damageIncidents = 20
	damageEvents    = 12
)

// spoolInTables leaves a spool on a real disk whose pending webhooks are in tables,
// one for each kind of entry, and returns these files.
func spoolInTables(t *testing.T) (tables []string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	for range 2 { // the second start makes a table of the log
		s := openOnDisk(t, dir)
		b := New(s, newBroker(), Options{Logger: quiet})
		for n := range damageEvents {
			for i := range damageIncidents {
				accept(t, b, body(fmt.Sprintf("inc%d", i), n))
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %v, %v", tables, err)
	}
	return tables
}

func openOnDisk(t *testing.T, dir string) *spool.Spool {
	t.Helper()
	s, err := spool.Open(dir, spool.Options{Logger: quiet, BallastBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRelayPassesDamage flips a bit at many places of each table while the spool is
// open. Webhooks that cannot be read any more are set aside, each with a word in the
// log; all others are published in order, new ones are taken unless their ids would be in
// what is damaged, and the next start
// finds nothing left to do, or says that the spool is damaged.
func TestRelayPassesDamage(t *testing.T) {
	asideOnce := false
	for _, table := range spoolInTables(t) {
		data, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		const places = 10
		for place := range places {
			at := (2*place + 1) * len(data) / (2 * places)
			t.Run(fmt.Sprintf("%s, offset %d of %d", filepath.Base(table), at, len(data)), func(t *testing.T) {
				if passDamage(t, table, data, at) > 0 {
					asideOnce = true
				}
			})
		}
	}
	if !asideOnce {
		t.Error("no bit was flipped in a record")
	}
}

// passDamage relays from a copy of the spool that the table is of, with a bit flipped
// there, and returns how many webhooks were set aside.
func passDamage(t *testing.T, table string, data []byte, at int) (aside int64) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(table))); err != nil {
		t.Fatal(err)
	}
	s := openOnDisk(t, dir)
	spoilt := bytes.Clone(data)
	spoilt[at] ^= 16
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(table)), spoilt, 0o600); err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	fake := newBroker()
	b := New(s, fake, Options{Logger: slog.New(slog.NewTextHandler(&told, nil))})
	taken := damageIncidents * damageEvents
	_, err := b.Accept(context.Background(), Webhook{Source: "zenduty", Rendering: "raw", Key: "default", Body: body("inc0", damageEvents), Received: time.Now()})
	switch {
	case err == nil:
		taken++
	case !errors.Is(err, spool.ErrDamaged): // where its id would be looked up
		t.Fatal(err)
	}
	runUntilDrained(t, b)
	fake.calls.Wait()
	aside = s.Stats().Quarantined.Records
	checkPassed(t, fake, taken-int(aside))
	if got := strings.Count(told.String(), "webhook quarantined"); got != int(aside) {
		t.Errorf("%d webhooks are set aside, the log tells of %d", aside, got)
	}
	_ = s.Close() // may tell of the damage again
	checkStartsOrSaysWhy(t, dir, fake)
	return aside
}

// checkPassed: so many are published, in order, and no other.
func checkPassed(t *testing.T, fake *broker, want int) {
	t.Helper()
	published := 0
	for i := range damageIncidents {
		name := fmt.Sprintf("inc%d", i)
		next := 0
		for _, data := range fake.published(name) {
			for next <= damageEvents && data != string(body(name, next)) {
				next++
			}
			if next > damageEvents {
				t.Errorf("%s: out of order, or never accepted: %s", name, data)
			}
			published++
		}
	}
	if published != want {
		t.Errorf("%d published, want %d", published, want)
	}
}

// checkStartsOrSaysWhy: the next start is refused with a word about what to do, or
// has nothing left to send.
func checkStartsOrSaysWhy(t *testing.T, dir string, fake *broker) {
	t.Helper()
	s, err := spool.Open(dir, spool.Options{Logger: quiet, BallastBytes: -1})
	if errors.Is(err, spool.ErrDamaged) && strings.Contains(err.Error(), "spool verify") {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := len(fake.stream)
	runUntilDrained(t, New(s, fake, Options{Logger: quiet}))
	if got := len(fake.stream) - before; got > 0 {
		t.Errorf("%d are published again", got)
	}
}

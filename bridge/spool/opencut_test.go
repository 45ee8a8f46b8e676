package spool

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// TestPowerCutWhileOpening cuts the power at random operations of several openings
// in a row, each of what the cut before it has left: of a new spool, of one that was
// killed or closed, and of one whose log has an append behind a gap. What that
// leaves is no damage, opens, and has all records that were acknowledged.
func TestPowerCutWhileOpening(t *testing.T) {
	seeds := 400
	if testing.Short() {
		seeds = 60
	}
	cutInside, kept := 0, 0
	gapped := gappedSpool(t)
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 2))
			c := &openCuts{mem: vfs.NewCrashableMem(), rng: rng}
			if seed%4 == 0 {
				c.promised = gapped.cloneTo(t, c.mem)
			}
			for range 1 + rng.IntN(5) {
				c.openAndCut(t)
				checkVerifies(t, c.mem)
			}
			opts := memOptions()
			opts.FS, opts.Logger = c.mem, c.told.logger()
			s := openSpool(t, testDir, opts)
			checkContiguous(t, s)
			checkWhole(t, s)
			if got := len(entries(t, s)[kindRecord]); uint64(got) < c.promised {
				t.Errorf("%d records, %d were promised", got, c.promised)
			}
			if c.told.count("damage") > c.told.count("normal after a power cut") {
				t.Errorf("damage is told:\n%s", &c.told)
			}
			cutInside += c.inside
			kept += c.told.count("are kept")
		})
	}
	if cutInside < seeds || kept < seeds/4 {
		t.Errorf("only %d power cuts came while a spool opened, and %d times a record was kept from behind a gap", cutInside, kept)
	}
}

// gapped is a spool whose log has an append behind an acknowledgement that is not
// whole, as a power cut may leave it.
type gapped struct {
	fs      vfs.FS
	records uint64
}

func gappedSpool(t *testing.T) gapped {
	t.Helper()
	opts := memOptions()
	s := openSpool(t, testDir, opts)
	var refs []Ref
	for n := 1; n < 4; n++ {
		refs = append(refs, add(t, s, record(n, crashBody(n))))
	}
	ack(t, s, epoch, refs[0])
	last := add(t, s, record(4, crashBody(4)))
	killed := vfs.NewMem()
	cloneSpool(t, opts.FS, killed)
	names, err := killed.List(testDir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			path := killed.PathJoin(testDir, name)
			writeFile(t, killed, path, string(withGap([]byte(readFile(t, killed, path)))))
		}
	}
	return gapped{killed, last.Seq}
}

// cloneTo returns how many records there are.
func (g gapped) cloneTo(t *testing.T, mem *vfs.MemFS) uint64 {
	t.Helper()
	cloneSpool(t, g.fs, mem)
	return g.records
}

func cloneSpool(t *testing.T, from, to vfs.FS) {
	t.Helper()
	err := makeDirectory(to, to.PathDir(testDir))
	if err == nil {
		_, err = vfs.Clone(from, to, testDir, testDir, vfs.CloneSync)
	}
	if err == nil {
		err = storefiles.SyncDirectory(to, to.PathDir(testDir))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// openCuts is a spool that is opened again and again.
type openCuts struct {
	mem      *vfs.MemFS
	rng      *rand.Rand
	told     logbook
	promised uint64 // records up to this number are there
	inside   int    // power cuts that came while it opened
}

// openAndCut opens the spool, appends and acknowledges some, and closes it, with a
// power cut at any operation, or before Close, or after. It goes on with what that
// leaves.
func (c *openCuts) openAndCut(t *testing.T) {
	t.Helper()
	cut := &powerCut{mem: c.mem, at: 1 + c.rng.Int64N(110), promise: &promises{appended: map[int]uint64{}}}
	cut.config = vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 25, 50, 100}[c.rng.IntN(4)], RNG: rand.New(rand.NewPCG(c.rng.Uint64(), 3))}
	opts := memOptions()
	opts.FS, opts.Logger = errorfs.Wrap(c.mem, errorfs.InjectorFunc(cut.before)), c.told.logger()
	s, err := Open(testDir, opts)
	if err != nil {
		t.Fatal(err)
	}
	if cut.counted.Load() >= cut.at {
		c.inside++
	}
	for range c.rng.IntN(8) {
		n := int(s.lastSeq.Load()) + 1
		ref := add(t, s, record(n, crashBody(n)))
		cut.promise.note(func() { cut.promise.appended[n] = ref.Seq })
		if n%3 == 0 {
			ack(t, s, epoch, ref)
		}
		if n%5 == 0 {
			_ = s.db.Flush()
		}
	}
	if c.rng.IntN(2) == 0 {
		cut.cut()
	}
	closeSpool(t, s)
	cut.cut()
	for _, seq := range cut.promised.appended {
		c.promised = max(c.promised, seq)
	}
	c.mem = cut.left
}

// TestLogFormatAfterACutWhileMaking: what makes a store anew after a power cut amid
// its making does not leave records in a log of the old format.
func TestLogFormatAfterACutWhileMaking(t *testing.T) {
	logLine := regexp.MustCompile(`log (\d+)`)
	for at := int64(1); ; at++ {
		cut := &powerCut{mem: vfs.NewCrashableMem(), at: at, promise: &promises{}}
		cut.config = vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}
		opts := memOptions()
		opts.FS = errorfs.Wrap(cut.mem, errorfs.InjectorFunc(cut.before))
		s, err := Open(testDir, opts)
		if err != nil {
			t.Fatal(err)
		}
		closeSpool(t, s)
		if cut.left == nil {
			return // no more operations
		}
		opts.FS = cut.left
		s = openSpool(t, testDir, opts)
		add(t, s, record(1, 100))
		logs := logLine.FindAllStringSubmatch(readFile(t, opts.FS, opts.FS.PathJoin(testDir, storefiles.LedgerName)), -1)
		var newest int
		_, _ = fmt.Sscan(logs[len(logs)-1][1], &newest)
		if kind := readFile(t, opts.FS, opts.FS.PathJoin(testDir, fmt.Sprintf("%06d.log", newest)))[6]; kind < 9 {
			t.Errorf("after a cut at operation %d the log's chunks are of kind %d", at, kind)
		}
		closeSpool(t, s)
	}
}

package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool/internal/storefiles"
)

// What a caller decides on.
var (
	// ErrFull: the byte limit or the disk leaves no room for another record.
	ErrFull = errors.New("spool is full")
	// ErrFailed: the disk failed under the spool, whose process must be ended.
	ErrFailed = errors.New("spool has failed")
	// ErrClosed: Close has been called.
	ErrClosed = errors.New("spool is closed")
	// ErrUnclosed: the disk is full or does not answer. What was appended is on it, and is
	// there at the next Open.
	ErrUnclosed = errors.New("left as it is, since the disk does not let it be closed")
	// ErrLocked: another process has the directory open.
	ErrLocked = errors.New("directory is in use by another process")
	// ErrNotFound: no record is held under that sequence number.
	ErrNotFound = errors.New("no such record")
)

// Options for Open; the zero value of each is its default.
type Options struct {
	// MaxBytes limits the sum of all records' bytes; default 8 GiB. History is
	// evicted before an Append is refused, in the background, so that for moments
	// there may be more of it. What is pending and quarantined never exceeds the
	// limit by Appends, however many are in flight.
	MaxBytes int64
	// Retention is how long a record is kept after its acknowledgement;
	// default 24 h.
	Retention time.Duration
	// BallastBytes is the size of a file that is given up when the disk is full,
	// so that what is pending can still be drained; default 64 MiB. While less
	// than that is free besides, Append gives ErrFull, and while less than twice
	// that is, history makes room. At least MinBallastBytes and four times the
	// largest record, and at most a quarter of the disk: else what the store writes
	// before it can free anything would not fit, and a full disk might never heal.
	// Negative: none, and the spool fails when the disk is full.
	BallastBytes int64
	// FS is where the store lives; default the machine's.
	FS vfs.FS
	// SweepEvery is the time between two looks at age and free space; default 1 s.
	SweepEvery time.Duration
	// Logger gets what an operator must know; default slog.Default.
	Logger *slog.Logger
	// Registerer gets the spool's metrics; default none.
	Registerer prometheus.Registerer
}

// MinBallastBytes is the least Options.BallastBytes that Open takes.
const MinBallastBytes = 4 << 20

const defaultBallastBytes = 64 << 20

// reserve is what the store's sizes are fitted to: the ballast, or what it would be.
func (o Options) reserve() int64 {
	if o.BallastBytes < 0 {
		return defaultBallastBytes
	}
	return o.BallastBytes
}

func (o Options) withDefaults() Options {
	if o.MaxBytes == 0 {
		o.MaxBytes = 8 << 30
	}
	if o.Retention == 0 {
		o.Retention = 24 * time.Hour
	}
	if o.BallastBytes == 0 {
		o.BallastBytes = defaultBallastBytes
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Spool is an open spool directory. Its methods may be called concurrently.
type Spool struct {
	dir     string
	opts    Options
	db      *pebble.DB
	lock    *pebble.Lock
	disk    *disk
	ledger  *storefiles.Ledger
	metrics *metrics

	held     held
	ids      heldIDs
	settling sync.Mutex    // held by whoever changes the state of a held record
	lastSeq  atomic.Uint64 // highest sequence number given out
	openedAt uint64        // what lastSeq was when the spool was opened
	firstSeq atomic.Uint64 // no held record has a lower one
	appended chan struct{} // capacity 1: something was committed since last read

	users  users
	intake intake
	opened atomic.Bool   // from here on writes wait for space (patientFS)
	failed chan struct{} // closed at the first fault
	fault  atomic.Pointer[error]
	broken corruption

	quit    chan struct{} // closed by Close: the sweeper leaves
	done    sync.WaitGroup
	closing sync.Once
	kick    chan struct{} // capacity 1: the sweeper looks now
	sweeps  atomic.Int64  // how often it has looked

	evictedTo atomic.Uint64      // below, space may be had back from the store; 0: nowhere
	running   context.Context    // ended by Close
	stop      context.CancelFunc // of running
}

// Open opens the spool in dir, making it if need be. A record that was appended
// and not settled before the last process ended is pending again.
// The error is ErrLocked when another process has the directory, and ErrDamaged
// when opening it would lose records: then nothing has been changed, unless the
// damage is such that only opening finds it.
func Open(dir string, opts Options) (*Spool, error) {
	s := &Spool{
		dir: dir, opts: opts.withDefaults(),
		appended: make(chan struct{}, 1), failed: make(chan struct{}),
		quit: make(chan struct{}), kick: make(chan struct{}, 1),
	}
	s.intake.wake = make(chan struct{}, 1)
	s.running, s.stop = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		s.stop()
		return nil, fmt.Errorf("open spool %s: %w", dir, s.told(err))
	}
	s.opened.Store(true)
	s.metrics = newMetrics(s, s.opts.Registerer)
	s.done.Add(2)
	go s.commitLoop()
	go s.sweepLoop()
	return s, nil
}

// open opens the store and learns what it holds, in a goroutine of its own
// because a disk that fails under it holds that goroutine for ever (see fail).
func (s *Spool) open() error {
	opened := make(chan error, 1)
	go func() { opened <- s.openAndLearn() }()
	select {
	case err := <-opened:
		return err
	case <-s.failed:
		return s.Err()
	}
}

func (s *Spool) openAndLearn() (err error) {
	defer storefiles.Catch(&err)
	if b := s.opts.BallastBytes; b >= 0 && b < MinBallastBytes {
		return fmt.Errorf("a ballast of %d bytes: give it %d at least, or a full disk might not heal", b, MinBallastBytes)
	}
	if err := s.openStore(); err != nil {
		return err
	}
	if err := s.learn(); err != nil {
		return errors.Join(err, s.release())
	}
	return nil
}

func (s *Spool) openStore() error {
	finished, err := finishReplacing(s.opts.FS, s.dir)
	if err != nil {
		return err
	}
	if finished {
		s.opts.Logger.Warn("spool: what a salvage has saved, which was ended before its last step, is put in its place", "dir", s.dir)
	}
	if err := makeDirectory(s.opts.FS, s.dir); err != nil {
		return err
	}
	lock, err := lockDirectory(s.opts.FS, s.dir)
	if err != nil {
		return err
	}
	s.disk = newDisk(s.opts.FS, s.dir, s.opts.BallastBytes, s.opts.Logger, s.kickSweep)
	err = s.disk.fits()
	if err == nil {
		err = s.openLocked(lock)
	}
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	s.lock = lock
	return nil
}

// openLocked opens the store, unless that would lose records.
func (s *Spool) openLocked(lock *pebble.Lock) error {
	found, err := storefiles.Inspect(s.opts.FS, s.dir, appendedIn)
	if err == nil {
		err = storefiles.Damage(found.Faults)
	}
	if err != nil {
		return err
	}
	if found.Torn != "" {
		s.opts.Logger.Warn("spool: the write-ahead log's last write was cut off: normal after a power cut, else damage", "dir", s.dir, "place", found.Torn)
	}
	options := s.storeOptions(lock)
	if s.ledger, err = found.BeginLedger(options.FS); err != nil {
		return err
	}
	if found.Old {
		err = makeStore(s.dir, options)
	}
	if err == nil {
		s.db, err = pebble.Open(s.dir, options)
	}
	if err != nil {
		return errors.Join(found.MarkedOpening(err), s.ledger.Close(false))
	}
	if err := s.rescue(found.Rescue); err != nil {
		return errors.Join(err, s.db.Close(), s.ledger.Close(false))
	}
	return nil
}

// makeStore makes an empty store, or one of an older format a newer one. The log
// that is made with it is of the old format, in which damage cannot be told from the
// log's end: what opens the store next makes another.
func makeStore(dir string, options *pebble.Options) error {
	db, err := pebble.Open(dir, options)
	if err != nil {
		return err
	}
	return db.Close()
}

// storeOptions tunes Pebble for a log of kilobyte records that are written once,
// read once soon after, and deleted oldest first.
func (s *Spool) storeOptions(lock *pebble.Lock) *pebble.Options {
	o := &pebble.Options{
		FS:                 patientFS{dirSyncFS{vfs.OnDiskFull(s.opts.FS, s.disk.onFull), s.fail}, s.awaitSpace},
		Lock:               lock,
		Logger:             &storeLogger{log: s.opts.Logger, fatal: s.fail},
		FormatMajorVersion: pebble.FormatNewest,
		MaxOpenFiles:       256,
		// Memtables are counted against the cache: with less, nothing is cached, and
		// a backlog is drained at a quarter of the speed.
		CacheSize: 64 << 20,
		EventListener: &pebble.EventListener{
			WALCreated:      s.logCreated,
			DataCorruption:  s.corruptionFound,
			WriteStallBegin: s.stalled,
			WriteStallEnd:   s.stallEnded,
		},
	}
	// Whoever looks for a key looks in many tables that do not have it: a Bloom
	// filter says so without reading a block.
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	fitBallast(o, s.opts.reserve())
	return o
}

// fitBallast bounds what the store writes before it can free anything, which on a
// full disk must fit into the ballast. Whoever tunes these keeps the relation to it:
//
//	memtable      1/4   two wait for a flush at most. Logs take 1.1 of it each,
//	                    and three old ones are kept to be written again
//	first level   1/4   ids are in no order: a compaction rewrites all that this
//	                    level has of them
//	table         1/32  a compaction takes about 25 at most, and fewer as space is less
//	manifest      1/16  the last one is kept as well
//
// The default ballast is the smallest that leaves the memtable 16 MiB. Each kind of
// entry has tables of its own: a table that reached from acknowledgements to records
// would overlap all that is held, and its compaction rewrite that.
func fitBallast(o *pebble.Options, ballast int64) {
	o.MemTableSize = uint64(min(16<<20, ballast/4))
	o.LBaseMaxBytes = min(64<<20, ballast/4)
	o.TargetFileSizes[0] = min(2<<20, ballast/32)
	o.MaxManifestFileSize = min(128<<20, ballast/16)
	o.Experimental.SpanPolicyFunc = func(key []byte) (policy pebble.SpanPolicy, end []byte, err error) {
		return policy, []byte{key[0] + 1}, nil
	}
}

const (
	metaFormat  = "format"
	metaLastSeq = "last-seq"
	format      = 2
)

// learn reads from the store what a running spool keeps in memory.
func (s *Spool) learn() error {
	if err := s.checkFormat(); err != nil {
		return err
	}
	last, err := s.readLastSeq()
	if err != nil {
		return err
	}
	s.lastSeq.Store(last)
	s.openedAt = last
	s.intake.nextSeq = last + 1
	s.firstSeq.Store(last)
	if err := s.learnFirst(); err != nil {
		return err
	}
	if err := s.countHeld(); err != nil {
		return err
	}
	return s.learnEvicted()
}

func (s *Spool) checkFormat() error {
	value, err := s.get(metaKey(metaFormat))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return s.db.Set(metaKey(metaFormat), []byte{format}, pebble.Sync)
	case err != nil:
		return fmt.Errorf("read format: %w", err)
	case len(value) != 1 || value[0] != format:
		return fmt.Errorf("format %x, this program reads format %d: run the version that wrote it", value, format)
	}
	return nil
}

// readLastSeq is the highest sequence number ever given out: the last record's,
// or what eviction noted when it removed later ones.
func (s *Spool) readLastSeq() (last uint64, err error) {
	value, err := s.get(metaKey(metaLastSeq))
	if err == nil && len(value) == 8 {
		last = binary.BigEndian.Uint64(value)
	} else if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return 0, fmt.Errorf("read last sequence number: %w", err)
	}
	highest, err := lastRecord(s.db)
	return max(last, highest), err
}

// learnFirst finds the first held record, at Open and after evictions. When there is
// none it leaves what it knew: one that is being appended cannot be seen yet.
func (s *Spool) learnFirst() error {
	iter, err := s.scan(kindRecord, 0)
	if err != nil {
		return err
	}
	if iter.First() {
		s.firstSeq.Store(keySeq(iter.Key()))
	}
	return iter.Close()
}

// lastRecord is the highest number of a held record; 0 when there is none.
func lastRecord(r pebble.Reader) (last uint64, err error) {
	iter, err := scan(r, kindRecord, 0)
	if err != nil {
		return 0, err
	}
	if iter.Last() {
		last = keySeq(iter.Key())
	}
	return last, iter.Close()
}

// closeWithin is how long Close waits for the disk. A store that cannot write its tables,
// since the disk is full, would be waited for until somebody makes room.
const closeWithin = 5 * time.Second

// Close commits what Append has taken, stops the spool's goroutines and releases
// the directory. Whoever calls afterwards gets ErrClosed. After a failure, also
// one that comes meanwhile, it returns that, and ErrUnclosed when the disk does not let it
// end: the store is not touched again, and stays locked until the process ends.
func (s *Spool) Close() error {
	err := ErrClosed
	s.closing.Do(func() {
		s.intake.close()
		close(s.quit)
		s.stop()
		closed := make(chan error, 1)
		go func() { closed <- s.finish() }() // held for ever when the disk fails
		select {
		case err = <-closed:
		case <-s.failed:
			s.users.close()
			err = s.Err()
		case <-time.After(closeWithin):
			s.users.close()
			err = fmt.Errorf("%s: %w", s.dir, ErrUnclosed)
		}
	})
	return err
}

// finish lets the spool's goroutines and callers end, then the store.
func (s *Spool) finish() error {
	s.done.Wait()
	s.users.close()
	s.users.wait()
	return s.release()
}

// release closes the store, then the ledger, and lets go of the directory last.
func (s *Spool) release() error {
	err := s.db.Close()
	return errors.Join(err, s.ledger.Close(err == nil), s.lock.Close())
}

// get copies a value out of the store.
func (s *Spool) get(key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), value...), closer.Close()
}

// scan iterates over one kind of entries, from a sequence number on.
func (s *Spool) scan(kind byte, from uint64) (*pebble.Iterator, error) {
	return scan(s.db, kind, from)
}

func scan(r pebble.Reader, kind byte, from uint64) (*pebble.Iterator, error) {
	return r.NewIter(&pebble.IterOptions{LowerBound: seqKey(kind, from), UpperBound: []byte{kind + 1}})
}

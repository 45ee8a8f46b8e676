package health

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// Disk is where a bridge keeps webhooks, and what it asks of that place.
type Disk struct {
	Dir            string        // data_dir; it need not exist yet
	Ballast        int64         // spool.ballast_bytes
	AnswerDeadline time.Duration // of a webhook that is to be on disk
}

// Free is how many bytes are free for the bridge.
func (d Disk) Free() (int64, error) {
	free, _, err := spool.DiskUsage(existing(d.Dir))
	return free, err
}

// existing is dir, or the lowest directory above it that exists.
func existing(dir string) string {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
	}
}

// Check looks at the space and at what sort of file system it is. It writes nothing.
func (d Disk) Check() []publisher.Finding {
	dir := existing(d.Dir)
	return []publisher.Finding{d.judgeSpace(spool.DiskUsage(dir)), d.judgeKind(fileSystem(dir))}
}

// judgeSpace: the spool refuses webhooks while less than the ballast is free beside it,
// and evicts history below twice as much.
func (d Disk) judgeSpace(free, total int64, err error) publisher.Finding {
	finding := publisher.Finding{
		Check: "disk_free", Severity: publisher.SeverityError,
		What:   fmt.Sprintf("%s has %s free of %s", d.Dir, size(free), size(total)),
		Remedy: "make room there, or set data_dir to a larger disk",
	}
	switch {
	case err != nil:
		finding.What, finding.Why, finding.Remedy = err.Error(), "there is nowhere to keep webhooks", "set data_dir (--data-dir) to a directory that the bridge may use"
	case total < 4*d.Ballast:
		finding.Why = fmt.Sprintf("serve refuses to start on a disk of less than four times spool.ballast_bytes (%s)", size(d.Ballast))
	case free < d.Ballast:
		finding.Why = fmt.Sprintf("webhooks are refused while less than spool.ballast_bytes (%s) is free", size(d.Ballast))
	case free < 4*d.Ballast:
		finding.Severity = publisher.SeverityWarning
		finding.Why = fmt.Sprintf("history is evicted, and then webhooks are refused, when it comes to spool.ballast_bytes (%s)", size(d.Ballast))
	default:
		return publisher.Finding{Check: finding.Check, Severity: publisher.SeverityOK, What: finding.What}
	}
	return finding
}

func (d Disk) judgeKind(kind string) publisher.Finding {
	finding := publisher.Finding{Check: "disk_kind", Remedy: "set data_dir to a disk that stays, and that keeps what fsync promised"}
	switch kind {
	case "tmpfs", "ramfs":
		finding.Severity = publisher.SeverityError
		finding.Why = "it is memory: what was answered with 200 is gone when the machine restarts"
	case "overlay":
		finding.Severity = publisher.SeverityWarning
		finding.Why = "it is the container's own layer: what was answered with 200 is gone when the container is replaced"
	case "nfs", "cifs", "fuse":
		finding.Severity = publisher.SeverityWarning
		finding.Why = "whether fsync and locks hold there depends on the other side"
	default:
		return publisher.Finding{Check: finding.Check, Severity: publisher.SeverityOK, What: d.Dir + " is on a file system of its machine"}
	}
	finding.What = fmt.Sprintf("%s is on %s", d.Dir, kind)
	return finding
}

// Of the measurement of fsync.
const (
	syncs     = 20
	syncBytes = 4096
	syncFor   = 2 * time.Second // after which no more are begun
)

// CheckSync writes a small file beside the spool, with an fsync after each of its
// parts, and removes it. A webhook may have to wait for an fsync that has begun, and
// then for its own: that must be far below the time in which it is to be answered.
func (d Disk) CheckSync(ctx context.Context) publisher.Finding {
	ctx, cancel := context.WithTimeout(ctx, 2*d.AnswerDeadline)
	defer cancel()
	measured := make(chan publisher.Finding, 1)
	go func() { measured <- d.judgeSync(measure(existing(d.Dir))) }() // a disk that hangs is not waited for
	select {
	case finding := <-measured:
		return finding
	case <-ctx.Done():
		return d.judgeSync([]time.Duration{2 * d.AnswerDeadline}, nil)
	}
}

func (d Disk) judgeSync(took []time.Duration, err error) publisher.Finding {
	finding := publisher.Finding{Check: "disk_fsync", Severity: publisher.SeverityError, Remedy: "use a faster disk for data_dir, or one that is less busy"}
	if err != nil {
		finding.What = fmt.Sprintf("cannot write to %s: %v", d.Dir, err)
		finding.Why = "no webhook can be put on disk, so none is answered with 200"
		finding.Remedy = "set data_dir (--data-dir) to a directory that the bridge may write to"
		return finding
	}
	slices.Sort(took)
	worst := took[len(took)-1]
	finding.What = fmt.Sprintf("an fsync in %s takes %s, at worst %s", d.Dir, short(took[len(took)/2]), short(worst))
	finding.Why = fmt.Sprintf("a webhook that waits for two of them is answered too late (ingress.answer_deadline is %s, Zenduty gives up after 3s)", d.AnswerDeadline)
	switch {
	case 2*worst >= d.AnswerDeadline:
	case 10*worst >= d.AnswerDeadline:
		finding.Severity = publisher.SeverityWarning
	default:
		return publisher.Finding{Check: finding.Check, Severity: publisher.SeverityOK, What: finding.What}
	}
	return finding
}

// measure is how long fsyncs in dir take, at least one.
func measure(dir string) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".zenduty-bridge-doctor-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	for began := time.Now(); len(took) == 0 || len(took) < syncs && time.Since(began) < syncFor; {
		if _, err := f.Write(make([]byte, syncBytes)); err != nil {
			return nil, err
		}
		at := time.Now()
		if err := f.Sync(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(at))
	}
	return took, nil
}

func short(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// size is a number of bytes as people say it.
func size(n int64) string {
	value, unit := float64(n), "B"
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, larger
	}
	return fmt.Sprintf("%.4g %s", value, unit)
}

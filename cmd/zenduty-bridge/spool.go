package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
	"github.com/zenduty-bridge/zenduty-bridge/config"
)

// spoolCommand looks at the spool of a bridge that does not run.
type spoolCommand struct {
	Verify  verifyCommand  `cmd:"" help:"Check the spool of a stopped bridge, every byte and entry, changing nothing."`
	Salvage salvageCommand `cmd:"" help:"Save what can still be read of a damaged spool in a new one."`
}

// spoolFlags say where the spool is, as they do for serve.
type spoolFlags struct {
	Config  *string `env:"ZENDUTY_BRIDGE_CONFIG" placeholder:"FILE" help:"The bridge's configuration file, to take data_dir from."`
	DataDir *string `name:"data-dir" env:"ZENDUTY_BRIDGE_DATA_DIR" placeholder:"DIR" help:"The bridge's data directory (./data)."`
	JSON    bool    `name:"json" help:"Print one JSON document."`
}

// dir is the spool's directory.
func (f spoolFlags) dir(p *program) (string, error) {
	cfg, err := config.Load(config.Flags{Config: f.Config, DataDir: f.DataDir}, p.getenvOfNATS)
	if err = config.Without(err, config.ErrNoKey); err != nil {
		return "", usageError{err}
	}
	return filepath.Join(cfg.DataDir, "spool"), nil
}

// hint adds what the operator can do about a spool that cannot be looked at.
func hint(err error) error {
	switch {
	case errors.Is(err, spool.ErrLocked):
		return fmt.Errorf("%w: stop the bridge first", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w (--data-dir or ZENDUTY_BRIDGE_DATA_DIR names the bridge's data directory)", err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: copy the data directory to another disk, and see to the copy (--data-dir)", err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%w: the spool's directory is a mount of its own, so nothing can take its place: use --to, and mount that there", err)
	}
	return err
}

// verifyCommand checks a spool.
type verifyCommand struct {
	spoolFlags
}

// Run prints what is there and what is wrong, and fails if anything is.
func (c *verifyCommand) Run(p *program) error {
	dir, err := c.dir(p)
	if err != nil {
		return err
	}
	report, err := spool.Verify(dir, nil)
	if err != nil {
		return hint(err)
	}
	printed := newVerification(dir, report)
	if c.JSON {
		err = printDocument(p.stdout, printed)
	} else {
		err = printed.writeText(p.stdout)
	}
	if err == nil && !report.Whole() {
		err = fmt.Errorf("spool %s: %w", dir, spool.ErrDamaged)
	}
	return err
}

// verification is what verify prints.
type verification struct {
	Spool  string        `json:"spool"`
	Whole  bool          `json:"whole"`
	Opens  bool          `json:"opens"` // else the records are those that salvage would find
	Counts stateCounts   `json:"records"`
	Faults []spool.Fault `json:"faults"`
}

type stateCounts struct {
	Pending     count `json:"pending"`
	Retained    count `json:"retained"`
	Quarantined count `json:"quarantined"`
}

type count struct {
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
}

func newStateCounts(s spool.Stats) stateCounts {
	return stateCounts{Pending: count(s.Pending), Retained: count(s.Retained), Quarantined: count(s.Quarantined)}
}

func newVerification(dir string, r spool.Report) verification {
	return verification{
		Spool: dir, Whole: r.Whole(), Opens: r.Opens, Counts: newStateCounts(r.Stats),
		Faults: append([]spool.Fault{}, r.Faults...),
	}
}

func printDocument(w io.Writer, document any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(document)
}

func (v verification) writeText(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "spool", v.Spool)
	if !v.Opens {
		fmt.Fprintln(table, "A bridge cannot open it. These records can still be read:")
	}
	v.Counts.write(table)
	if v.Whole {
		fmt.Fprintln(table, "whole: every block fits its checksum, every record has its state and id")
		return table.Flush()
	}
	fmt.Fprintf(table, "faults: %d\n", len(v.Faults))
	for _, f := range v.Faults {
		fmt.Fprintf(table, "  %s\n    %s\n", f, f.Remedy)
	}
	fmt.Fprintf(table, "To go on with what can be read, and keep the damaged one beside it:\n  zenduty-bridge spool salvage --replace --data-dir %s\n", filepath.Dir(v.Spool))
	return table.Flush()
}

func (s stateCounts) write(w io.Writer) {
	fmt.Fprintln(w, "state\trecords\tbytes")
	fmt.Fprintf(w, "pending\t%d\t%d\n", s.Pending.Records, s.Pending.Bytes)
	fmt.Fprintf(w, "retained\t%d\t%d\n", s.Retained.Records, s.Retained.Bytes)
	fmt.Fprintf(w, "quarantined\t%d\t%d\n", s.Quarantined.Records, s.Quarantined.Bytes)
}

// salvageCommand saves what can be read of a spool.
type salvageCommand struct {
	spoolFlags
	Replace bool   `required:"" xor:"where" help:"Put the new spool in the damaged one's place, and keep that beside it."`
	To      string `required:"" xor:"where" placeholder:"DIR" help:"The new spool's directory; it must not exist or be empty."`
}

// Run copies, and says what was copied, what is lost and how to go on.
func (c *salvageCommand) Run(p *program) error {
	dir, err := c.dir(p)
	if err != nil {
		return err
	}
	from, to := dir, c.To
	var result spool.Salvaged
	if c.Replace {
		from, result, err = bridge.SalvageInPlace(dir)
		to = dir
	} else {
		result, err = bridge.Salvage(from, to)
	}
	if err != nil {
		return hint(err)
	}
	printed := newSalvaging(from, to, result)
	if c.JSON {
		return printDocument(p.stdout, printed)
	}
	return printed.writeText(p.stdout, c.Replace)
}

// salvaging is what salvage prints.
type salvaging struct {
	From         string        `json:"from"` // where the damaged one is now
	To           string        `json:"to"`
	Copied       stateCounts   `json:"copied"`
	PendingAgain int64         `json:"pending_again"` // of the copied: their state could not be read
	Lost         []lostRecord  `json:"lost"`
	NoTrace      []gap         `json:"no_trace"` // evicted history, or lost
	Faults       []spool.Fault `json:"faults"`
}

type lostRecord struct {
	Sequence uint64     `json:"seq"`
	State    string     `json:"state"`
	Received *time.Time `json:"received,omitempty"` // when it is known
	Bytes    int64      `json:"bytes,omitempty"`
}

type gap struct {
	First uint64 `json:"first_seq"`
	Last  uint64 `json:"last_seq"`
}

func newSalvaging(from, to string, r spool.Salvaged) salvaging {
	s := salvaging{
		From: from, To: to, Copied: newStateCounts(r.Copied), PendingAgain: r.Restated,
		Lost: []lostRecord{}, NoTrace: []gap{}, Faults: append([]spool.Fault{}, r.Faults...),
	}
	for _, l := range r.Lost {
		lost := lostRecord{Sequence: l.Seq, State: l.State, Bytes: l.Size}
		if !l.Received.IsZero() {
			at := l.Received.UTC()
			lost.Received = &at
		}
		s.Lost = append(s.Lost, lost)
	}
	for _, g := range r.Gaps {
		s.NoTrace = append(s.NoTrace, gap(g))
	}
	return s
}

func (s salvaging) writeText(w io.Writer, inPlace bool) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "copied from %s to %s\n", s.From, s.To)
	s.Copied.write(table)
	if s.PendingAgain > 0 {
		fmt.Fprintf(table, "of these, %d are pending because their state could not be read: what JetStream has of them is looked up first\n", s.PendingAgain)
	}
	s.writeLost(table)
	if inPlace {
		fmt.Fprintf(table, "The bridge can be started. The damaged spool is kept as %s.\n", s.From)
	} else {
		fmt.Fprintln(table, "To go on with it, start the bridge with --data-dir the directory above, in which it must be called spool.")
	}
	return table.Flush()
}

func (s salvaging) writeLost(w io.Writer) {
	fmt.Fprintf(w, "lost: %d\n", len(s.Lost))
	for _, l := range s.Lost {
		received := "unknown"
		if l.Received != nil {
			received = l.Received.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "  record %d\t%s\treceived %s\n", l.Sequence, l.State, received)
	}
	for _, g := range s.NoTrace {
		fmt.Fprintf(w, "no trace of records %d to %d: history evicted earlier, or lost\n", g.First, g.Last)
	}
	for _, f := range s.Faults {
		fmt.Fprintf(w, "because of %s\n", f)
	}
}

// Help is kong's HelpProvider.
func (*verifyCommand) Help() string {
	return `Reads all of the spool: every block against its checksum, every record against its state and id. It exits with 1 if anything is wrong, and says what and where.

Examples:

    zenduty-bridge spool verify
    zenduty-bridge spool verify --data-dir /var/lib/zenduty-bridge --json`
}

// Help is kong's HelpProvider.
func (*salvageCommand) Help() string {
	return `Leaves the damaged spool as it is. Records keep their order, state and receipts; one whose state cannot be read is pending again. The bridge must be stopped.

With --replace the copy is made beside the spool, so there must be room for it, and read again; then it takes the spool's place, with its owner and mode, and the damaged one is kept beside it as spool.damaged-<time>. Until then nothing is changed. With --to it is only made.

Examples:

    zenduty-bridge spool salvage --replace
    zenduty-bridge spool salvage --replace --data-dir /var/lib/zenduty-bridge
    zenduty-bridge spool salvage --to /mnt/other/data/spool`
}

//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bench is one run.
type bench struct {
	scale    scale
	quick    bool
	only     *regexp.Regexp
	rounds   int
	module   string // directory of the module
	dir      string // for what the servers write; removed in the end
	progress io.Writer

	self, bridgeBinary, natsBinary string
	samples                        [len(kinds)]sample

	machine   machine
	round     int
	processes []*process // of the scenario that runs
	report    report
}

// scale is how long and how much.
type scale struct {
	connections  int           // of the closed loop
	warm, load   time.Duration // of the closed loop, before and during measurement
	steady, hung time.Duration // of the open loop, with NATS up and gone, and with NATS hung
	records      int           // pending
	published    int           // by the reference of the drain
	outage       int           // webhooks while NATS is gone
	slow         int           // connections that never finish their header
	flood        time.Duration
}

var (
	full = scale{
		connections: 256, warm: 2 * time.Second, load: 8 * time.Second, steady: 8 * time.Second, hung: 20 * time.Second,
		records: 1_000_000, published: 400_000, outage: 100_000, slow: 2000, flood: 20 * time.Second,
	}
	quick = scale{
		connections: 16, warm: 100 * time.Millisecond, load: 300 * time.Millisecond, steady: 300 * time.Millisecond, hung: 300 * time.Millisecond,
		records: 3000, published: 3000, outage: 300, slow: 50, flood: 2 * time.Second,
	}
)

const longRecords = 10_000_000

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch command := args[0]; {
		case command == "compare" && len(args) == 3:
			return compare(stdout, args[1], args[2])
		case command == "bare" && len(args) == 2: // the references, as processes of their own
			return serveBare(args[1])
		case command == "publish" && len(args) == 5:
			return publishCommand(args[1:])
		case !strings.HasPrefix(command, "-"):
			return fmt.Errorf("unknown command %q: compare OLD.json NEW.json, or flags (see --help)", command)
		}
	}
	b, jsonFile, err := parse(args, stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Hour, errors.New("not done within two hours"))
	defer cancel()
	if err := b.runAll(ctx); err != nil {
		return err
	}
	b.report.judgeAll(b.scale.records == longRecords)
	if err := b.report.print(stdout); err != nil {
		return err
	}
	if jsonFile != "" {
		return b.report.save(jsonFile)
	}
	return nil
}

// parse reads the flags.
func parse(args []string, stderr io.Writer) (b *bench, jsonFile string, err error) {
	b = &bench{scale: full, progress: stderr}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var only string
	var long bool
	flags.StringVar(&only, "only", "", "run the scenarios that match this `regexp`, and their references, in every round: "+names())
	flags.IntVar(&b.rounds, "rounds", 5, "how often; without --only the long scenarios run in some of them")
	flags.BoolVar(&b.quick, "quick", false, "seconds in place of minutes, to see whether it runs; the figures mean nothing")
	flags.BoolVar(&long, "long", false, "10,000,000 records pending in place of 1,000,000, one round of that only; needs 30 GB of disk")
	flags.StringVar(&b.dir, "dir", os.TempDir(), "`directory` on the disk to measure with")
	flags.StringVar(&jsonFile, "json", "", "`file` for all figures, to compare later")
	if err := flags.Parse(args); err != nil {
		return nil, "", err
	}
	switch {
	case flags.NArg() > 0:
		return nil, "", fmt.Errorf("%q is no flag", flags.Arg(0))
	case b.rounds < 1:
		return nil, "", fmt.Errorf("--rounds %d: at least 1 is needed", b.rounds)
	}
	if b.quick {
		b.scale = quick
	}
	if long {
		b.scale.records, b.rounds, only = longRecords, 1, "pending"
	}
	if b.only, err = regexp.Compile(only); err != nil {
		return nil, "", fmt.Errorf("--only: %w", err)
	}
	return b, jsonFile, nil
}

func names() string {
	var all []string
	for _, s := range scenarios {
		all = append(all, strings.TrimSpace(s.name+" "+s.about))
	}
	return strings.Join(all, ", ")
}

func publishCommand(args []string) error {
	samples, err := readSamples(args[1])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	return publish(args[0], samples, n, args[3] == "true")
}

// chosen are the scenarios that --only names, with their references.
func (b *bench) chosen() (chosen []scenario, err error) {
	var wanted []string
	for _, s := range scenarios {
		if b.only.MatchString(s.name + " " + s.about) {
			wanted = append(wanted, append(s.needs, s.name)...)
		}
	}
	if wanted == nil {
		return nil, fmt.Errorf("--only %s matches no scenario: %s", b.only, names())
	}
	for _, s := range scenarios {
		if slices.Contains(wanted, s.name) {
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}

func (b *bench) runAll(ctx context.Context) (err error) {
	chosen, err := b.chosen()
	if err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(b.dir, "zenduty-bridge-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	binaries, err := os.MkdirTemp("", "zenduty-bridge-bench-programs-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(binaries)) }()
	if err := b.prepare(binaries); err != nil {
		return err
	}
	for b.round = 1; b.round <= b.rounds; b.round++ {
		for _, s := range chosen {
			if (b.round-1)%s.every != 0 && b.only.String() == "" {
				continue
			}
			err := s.run(b, ctx)
			if err := errors.Join(err, b.clear()); err != nil {
				return fmt.Errorf("%s, round %d: %w", s.name, b.round, err)
			}
		}
	}
	return nil
}

// prepare finds the module, builds the programs and looks at the machine.
func (b *bench) prepare(binaries string) error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("go list -m: %w (run it in the module: go run ./integration/bench)", err)
	}
	b.module = strings.TrimSpace(string(out))
	if b.samples, err = readSamples(b.module); err != nil {
		return err
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.machine, err = describe(b.dir, b.module); err != nil {
		return err
	}
	b.report.Machine = b.machine
	if err := b.fit(); err != nil {
		return err
	}
	b.bridgeBinary, b.natsBinary = filepath.Join(binaries, "zenduty-bridge"), filepath.Join(binaries, "nats-server")
	return errors.Join(b.build(b.bridgeBinary, "./cmd/zenduty-bridge"), b.build(b.natsBinary, "github.com/nats-io/nats-server/v2"))
}

func (b *bench) build(binary, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // static and stripped, as in the image
	cmd.Dir = b.module
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

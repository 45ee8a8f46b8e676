// Command zenduty-bridge takes Zenduty's webhooks, puts them on disk, answers,
// and carries them to NATS JetStream.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Set by the linker, -X main.version=v1.2.3 -X main.revision=<commit>: a build
// outside a clone knows neither.
var version, revision = "devel", ""

// cli is every command. A command is a type with Run(*program) error.
type cli struct {
	Serve       serveCommand       `cmd:"" help:"Take webhooks and carry them to NATS JetStream."`
	Demo        demoCommand        `cmd:"" help:"Show one incident's way through a bridge of its own, then exit."`
	Send        sendCommand        `cmd:"" help:"Sign webhooks and post them to a bridge."`
	Tail        tailCommand        `cmd:"" help:"Print webhooks as they arrive on NATS."`
	Status      statusCommand      `cmd:"" help:"Show what the running bridge holds and does."`
	Trace       traceCommand       `cmd:"" help:"Tell what became of a webhook, or of an incident's."`
	Quarantine  quarantineCommand  `cmd:"" help:"Look after what could not be keyed or published."`
	Doctor      doctorCommand      `cmd:"" help:"Check configuration, disk, clock, NATS and stream, and send a canary through a running bridge."`
	Replay      replayCommand      `cmd:"" help:"Publish webhooks of the history again."`
	Spool       spoolCommand       `cmd:"" help:"Look after the spool of a stopped bridge."`
	Healthcheck healthcheckCommand `cmd:"" help:"Exit 0 if the running bridge would take a webhook, else 1."`
	Completion  completionCommand  `cmd:"" help:"Print what teaches a shell to complete these commands."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
	Complete    completeCommand    `cmd:"" name:"__complete" hidden:""`
}

// program is what a command may use of the world, so that a test can bring its own.
type program struct {
	ctx    context.Context // ends with the first SIGINT or SIGTERM
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) (string, bool)

	hangups <-chan os.Signal // each SIGHUP; nil if they are not caught
}

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or configuration
)

// usageError is an error that the caller of the command can mend.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	hangups := catchHangups()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() { // the second signal is the operating system's default: leave at once
		<-ctx.Done()
		stop()
	}()
	p := &program{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.LookupEnv, hangups: hangups}
	os.Exit(p.main(os.Args[1:]))
}

// main runs one command line and returns the exit code.
func (p *program) main(args []string) int {
	left := -1
	parser, err := p.newParser(func(code int) { left = code }) // --help
	if err != nil {
		return p.fail(err, exitFailed)
	}
	command, err := parser.Parse(args)
	if left >= 0 {
		return left
	}
	if err != nil {
		return p.fail(p.misused(err), exitUsage)
	}
	if command.Command() != "serve" && p.hangups != nil {
		releaseHangups(p.hangups)
	}
	if err := command.Run(p); err != nil {
		return p.fail(err, exitCode(err))
	}
	return exitDone
}

// newParser knows every command. It calls exit when a flag such as --help has done
// all there is to do, and then goes on, with no command.
func (p *program) newParser(exit func(code int)) (*kong.Kong, error) {
	return kong.New(&cli{},
		kong.Name("zenduty-bridge"),
		kong.Description("Carries Zenduty's webhooks to NATS JetStream: verified, on disk before the answer, once and in order."),
		kong.Writers(p.stdout, p.stderr),
		kong.Vars{"admin": adminDefault(), "url": defaultURL},
		kong.Exit(exit),
	)
}

func (p *program) fail(err error, code int) int {
	fmt.Fprintln(p.stderr, "zenduty-bridge:", err)
	return code
}

func exitCode(err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

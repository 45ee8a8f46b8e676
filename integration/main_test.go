package integration

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
)

// Programs under test, built once for the whole run.
var bridgeBinary, natsBinary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if size, err := strconv.ParseInt(os.Getenv(limitEnv), 10, 32); err == nil {
		if err := limitMessages(int32(size)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	if err := overlap(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "zenduty-bridge-integration-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bridgeBinary, natsBinary = filepath.Join(dir, "zenduty-bridge"), filepath.Join(dir, "nats-server")
	race := "-race=" + strconv.FormatBool(underRace)
	err = errors.Join(
		build("-o", bridgeBinary, race, "../cmd/zenduty-bridge"),
		build("-o", natsBinary, "github.com/nats-io/nats-server/v2"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// overlap lets more scenarios run at once than there are processors, unless the command
// line says how many: those that may wait for most of their time.
func overlap() error {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if asked || runtime.GOMAXPROCS(0) >= 6 {
		return nil
	}
	return flag.Set("test.parallel", "6")
}

func build(args ...string) error {
	cmd := exec.Command("go", append([]string{"build"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %v: %w\n%s", args, err, out)
	}
	return nil
}

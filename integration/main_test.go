package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Programs under test, built once for the whole run.
var bridgeBinary, natsBinary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
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

func build(args ...string) error {
	cmd := exec.Command("go", append([]string{"build"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %v: %w\n%s", args, err, out)
	}
	return nil
}

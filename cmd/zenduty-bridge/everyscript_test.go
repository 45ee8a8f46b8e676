package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// alone are the commands that have nothing to do with a bridge that runs.
var alone = []string{"demo", "spool verify", "spool salvage", "completion", "version"}

// Every command is run by a script in which it does not fail, and, unless it is one of
// alone, beside a bridge that the script has started.
func TestEveryCommandHasAScript(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	run := map[string]bool{} // command lines, and whether a bridge ran
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line, live := range scriptedCommands(string(text)) {
			run[line] = run[line] || live
		}
	}
	for _, command := range newTestParser(t).Model.Leaves(true) {
		path := command.Path()
		found := false
		for line, live := range run {
			found = found || strings.HasPrefix(line+" ", path+" ") && (live || slices.Contains(alone, path))
		}
		if !found {
			t.Errorf("no script runs %q to its end, beside a bridge", path)
		}
	}
}

// runs is a script's line that runs the program, which does not fail.
var runs = regexp.MustCompile(`^(?:exec|start|awaits|diagnoses) (?:.* |.*')?zenduty-bridge (.+)$`)

// scriptedCommands are those that a script runs, without the program's name, and whether it
// has started a bridge by then.
func scriptedCommands(script string) map[string]bool {
	script, _, _ = strings.Cut(script, "\n-- ")
	lines, live := map[string]bool{}, false
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "serve ") {
			live = true
			lines["serve"] = true
		}
		if match := runs.FindStringSubmatch(strings.TrimSpace(line)); match != nil {
			lines[match[1]] = lines[match[1]] || live
		}
	}
	return lines
}

// diagnoses PROGRAM ARGS...: doctor finds no error but of the machine's disk, which may
// be memory or slow, and exits with 1 if it finds one, else with 0.
func cmdDiagnoses(ts *testscript.TestScript, neg bool, args []string) {
	failed := ts.Exec(args[0], args[1:]...) != nil
	errors := doctorError.FindAllStringSubmatch(ts.ReadFile("stdout"), -1)
	for _, found := range errors {
		if !strings.HasPrefix(found[1], "disk_") {
			ts.Fatalf("doctor finds an error: %s", found[0])
		}
	}
	if failed != (len(errors) > 0) || neg {
		ts.Fatalf("exit code 1 is %t with %d errors", failed, len(errors))
	}
}

var doctorError = regexp.MustCompile(`(?m)^error +(\S+).*`)

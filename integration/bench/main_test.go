//go:build linux

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain is the benchmark's references when it is told to be, as the benchmark
// runs them as processes of its own program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "bare" || os.Args[1] == "publish") {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestQuickRun runs every scenario for a moment: each goal gets its verdict, and
// two runs can be compared.
func TestQuickRun(t *testing.T) {
	args := []string{"--quick", "--rounds", "1", "--dir", t.TempDir(), "--json", filepath.Join(t.TempDir(), "run.json")}
	if testing.Short() {
		args = append(args, "--only", "accept")
	}
	var stdout, stderr bytes.Buffer
	if err := run(context.Background(), args, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	t.Logf("%s\n%s", &stdout, &stderr)
	file := args[len(args)-1]
	if testing.Short() {
		file = args[len(args)-3]
	}
	r, err := readReport(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(r.Table), len(goals(false)); got != want && !testing.Short() {
		t.Errorf("%d verdicts of %d", got, want)
	}
	var table bytes.Buffer
	if err := compare(&table, file, file); err != nil || !strings.Contains(table.String(), "~") {
		t.Errorf("compared with itself: %v\n%s", err, &table)
	}
	left, err := os.ReadDir(args[4])
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, args := range [][]string{{"contrast", "a", "b"}, {"compare", "a"}, {"--only", "nothing"}, {"--only", "("}, {"--fast"}, {"--rounds", "1", "accept"}, {"--rounds", "0"}} {
		var stdout, stderr bytes.Buffer
		if err := run(context.Background(), args, &stdout, &stderr); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

func TestVerdicts(t *testing.T) {
	r := report{Series: []*series{
		{Name: "bare", Values: []float64{100, 200, 400}},
		{Name: "accept", Values: []float64{80, 100, 120}},
		{Name: "memory, idle", Values: []float64{60, 40}},
	}}
	for _, test := range []struct {
		goal goal
		want verdict
	}{
		{goal{"accept", "bare", 0.5, true}, verdict{What: "accept", Median: 100, Rounds: 3, Reference: "bare", Of: 200, Ratio: 0.5, Lowest: 0.3, Highest: 0.8, Reach: "at least 0.50", Met: true}},
		{goal{"accept", "bare", 0.6, true}, verdict{What: "accept", Median: 100, Rounds: 3, Reference: "bare", Of: 200, Ratio: 0.5, Lowest: 0.3, Highest: 0.8, Reach: "at least 0.60"}},
		{goal{"memory, idle", "", 50, false}, verdict{What: "memory, idle", Median: 50, Rounds: 2, Lowest: 40, Highest: 60, Reach: "at most 50.0", Met: true}},
		{goal{"memory, idle", "", 49, false}, verdict{What: "memory, idle", Median: 50, Rounds: 2, Lowest: 40, Highest: 60, Reach: "at most 49.0"}},
	} {
		got, ok := r.judge(test.goal)
		if diff := cmp.Diff(test.want, got); !ok || diff != "" {
			t.Errorf("%+v: %v %s", test.goal, ok, diff)
		}
	}
	for _, g := range []goal{{"drain", "", 1, true}, {"accept", "publisher", 1, true}} {
		if v, ok := r.judge(g); ok {
			t.Errorf("%+v was not measured, and has the verdict %+v", g, v)
		}
	}
}

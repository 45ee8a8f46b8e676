//go:build linux

package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"golang.org/x/perf/benchmath"
)

// compare prints two runs side by side as benchstat does, by its statistics:
// medians with their 95 % intervals, and the change where it is more than noise
// (Mann-Whitney U test). With fewer than 4 rounds nothing is.
func compare(w io.Writer, oldFile, newFile string) error {
	before, err := readReport(oldFile)
	if err != nil {
		return err
	}
	after, err := readReport(newFile)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "old: %s%snew: %s%s\n", oldFile+"\n", before.Machine, newFile+"\n", after.Machine)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tunit\told\t\tnew\t\tchange\t")
	for _, s := range before.Series {
		if now := after.find(s.Name); now != nil {
			compareSeries(t, s, now)
		}
	}
	return t.Flush()
}

func compareSeries(w io.Writer, before, after *series) {
	const confidence = 0.95
	a := benchmath.NewSample(before.Values, &benchmath.DefaultThresholds)
	b := benchmath.NewSample(after.Values, &benchmath.DefaultThresholds)
	x, y := benchmath.AssumeNothing.Summary(a, confidence), benchmath.AssumeNothing.Summary(b, confidence)
	c := benchmath.AssumeNothing.Compare(a, b)
	fmt.Fprintf(w, "%s\t%s\t%s\t± %s\t%s\t± %s\t%s\t(%s)\n", before.Name, before.Unit,
		figure(x.Center), x.PctRangeString(), figure(y.Center), y.PctRangeString(), c.FormatDelta(x.Center, y.Center), c)
}

package spool

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// gathered maps each series, as name{label}, to its value; of a histogram it has
// the count and the sum.
func gathered(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += fmt.Sprintf("{%s=%s}", l.GetName(), l.GetValue())
			}
			if h := m.GetHistogram(); h != nil {
				got[name+"_count"], got[name+"_sum"] = float64(h.GetSampleCount()), h.GetSampleSum()
			} else {
				got[name] = m.GetGauge().GetValue()
			}
		}
	}
	return got
}

func TestMetricsAreWellNamed(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	opts := memOptions()
	opts.Registerer = registry
	openSpool(t, testDir, opts)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	diff(t, "the contract's names", map[string]bool{
		"zenduty_bridge_spool_records":                 true,
		"zenduty_bridge_spool_bytes":                   true,
		"zenduty_bridge_spool_free_bytes":              true,
		"zenduty_bridge_spool_max_bytes":               true,
		"zenduty_bridge_spool_oldest_pending_seconds":  true,
		"zenduty_bridge_spool_commit_duration_seconds": true,
		"zenduty_bridge_spool_commit_records":          true,
	}, names)
}

func TestMetricsTellWhatIsHeld(t *testing.T) {
	registry := prometheus.NewRegistry()
	syncs := newSyncGate(vfs.NewMem())
	syncs.slow = time.Millisecond
	opts := memOptions()
	opts.FS, opts.Registerer, opts.MaxBytes = syncs.fs, registry, 20*size100
	s := openSpool(t, testDir, opts)
	empty := map[string]float64{
		"zenduty_bridge_spool_records{state=pending}":        0,
		"zenduty_bridge_spool_records{state=retained}":       0,
		"zenduty_bridge_spool_records{state=quarantined}":    0,
		"zenduty_bridge_spool_bytes":                         0,
		"zenduty_bridge_spool_free_bytes":                    float64(20 * size100),
		"zenduty_bridge_spool_max_bytes":                     float64(20 * size100),
		"zenduty_bridge_spool_oldest_pending_seconds":        0,
		"zenduty_bridge_spool_commit_duration_seconds_count": 0,
		"zenduty_bridge_spool_commit_duration_seconds_sum":   0,
		"zenduty_bridge_spool_commit_records_count":          0,
		"zenduty_bridge_spool_commit_records_sum":            0,
	}
	diff(t, "of an empty spool", empty, gathered(t, registry))

	refs := addMany(t, s, 0, 6, 100)
	ack(t, s, epoch, refs[0], refs[2])
	quarantine(t, s, epoch, refs[1])
	got := gathered(t, registry)
	took := got["zenduty_bridge_spool_commit_duration_seconds_sum"]
	if took < 0.006 || took > 60 {
		t.Errorf("six commits of over 1 ms took %v s", took)
	}
	age := got["zenduty_bridge_spool_oldest_pending_seconds"]
	if want := time.Since(refs[3].Received).Seconds(); age < want-60 || age > want {
		t.Errorf("oldest pending is %v s old, want %v", age, want)
	}
	delete(got, "zenduty_bridge_spool_commit_duration_seconds_sum")
	delete(got, "zenduty_bridge_spool_oldest_pending_seconds")
	diff(t, "after six records", map[string]float64{
		"zenduty_bridge_spool_records{state=pending}":        3,
		"zenduty_bridge_spool_records{state=retained}":       2,
		"zenduty_bridge_spool_records{state=quarantined}":    1,
		"zenduty_bridge_spool_bytes":                         float64(6 * size100),
		"zenduty_bridge_spool_free_bytes":                    float64((20 - 3 - 1) * size100), // not the history's
		"zenduty_bridge_spool_max_bytes":                     float64(20 * size100),
		"zenduty_bridge_spool_commit_duration_seconds_count": 6,
		"zenduty_bridge_spool_commit_records_count":          6,
		"zenduty_bridge_spool_commit_records_sum":            6,
	}, got)
}

// TestOldestPendingOfTheFutureIsNoAge: a clock that was set back gives 0, not a
// negative age.
func TestOldestPendingOfTheFutureIsNoAge(t *testing.T) {
	registry := prometheus.NewRegistry()
	opts := memOptions()
	opts.Registerer = registry
	s := openSpool(t, testDir, opts)
	r := record(1, 10)
	r.Received = time.Now().Add(time.Hour)
	add(t, s, r)
	if age := gathered(t, registry)["zenduty_bridge_spool_oldest_pending_seconds"]; age != 0 {
		t.Errorf("age %v", age)
	}
}

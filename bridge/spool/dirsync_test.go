package spool

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestDirectorySyncsOrderChanges: what a manifest or a marker is to outlive is not
// done before its name is on disk. Other files are left to Pebble.
func TestDirectorySyncsOrderChanges(t *testing.T) {
	for name, want := range map[string][]errorfs.OpKind{
		"MANIFEST-000001":               {errorfs.OpCreate, errorfs.OpOpenDir, errorfs.OpFileSync},
		"marker.manifest.000001.MANIFE": {errorfs.OpCreate, errorfs.OpOpenDir, errorfs.OpFileSync, errorfs.OpRemove},
		"000004.sst":                    {errorfs.OpCreate, errorfs.OpRemove},
	} {
		var got []errorfs.OpKind
		recorded := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if kind := op.Kind; kind == errorfs.OpCreate || kind == errorfs.OpRemove || kind == errorfs.OpFileSync || kind == errorfs.OpOpenDir {
				got = append(got, kind)
			}
			return nil
		}))
		fs := dirSyncFS{recorded, func(reason string) { t.Error(reason) }}
		f, err := fs.Create("/"+name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		if name[0] != 'M' {
			err = fs.Remove("/" + name)
		}
		if err != nil {
			t.Fatal(err)
		}
		diff(t, name, want, got)
	}
}

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever a file holds, Load neither panics nor shows the secret in it, and
// what it accepts is valid.
func FuzzLoad(f *testing.F) {
	seeds, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("%d seeds, %v", len(seeds), err)
	}
	for _, path := range append(seeds, exampleFile) {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l := newLoader(env{}.get) // Load, less the files that the text may name
		l.decode("f.yaml", text)
		l.splitURL()
		l.validate()
		if err := l.faults.err(); err != nil && strings.Contains(err.Error(), marker) {
			t.Errorf("the error shows the secret: %v", err)
		} else if again := l.config.Validate(); err == nil && again != nil {
			t.Errorf("Load accepts what Validate refuses: %v", again)
		}
	})
}

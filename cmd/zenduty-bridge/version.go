package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

// Run prints the version, the commit it was built from and Go's version.
func (versionCommand) Run(p *program) error {
	_, err := fmt.Fprintf(p.stdout, "zenduty-bridge %s (commit %s, %s)\n", version, commit(), runtime.Version())
	return err
}

// commit is what the linker was told or the build noted of its origin; "unknown"
// when neither.
func commit() string {
	if revision != "" {
		return revision
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "unknown"
}

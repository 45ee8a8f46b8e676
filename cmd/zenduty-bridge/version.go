package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct {
	JSON bool `name:"json" help:"Print one JSON document."`
}

// build is what is known of where the program comes from.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// Run prints the version, the commit it was built from and Go's version.
func (c versionCommand) Run(p *program) error {
	b := build{Version: version, Commit: commit(), Go: runtime.Version()}
	if c.JSON {
		return printDocument(p.stdout, b)
	}
	_, err := fmt.Fprintf(p.stdout, "zenduty-bridge %s (commit %s, %s)\n", b.Version, b.Commit, b.Go)
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

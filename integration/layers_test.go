package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/zenduty-bridge/zenduty-bridge/"

// mayImport is the direction of imports: a package and all of ours it may name.
var mayImport = map[string][]string{
	"cmd/zenduty-bridge": {"bridge", "bridge/admin", "bridge/certificate", "bridge/health", "bridge/ingress", "bridge/spool", "bridge/zenduty", "config", "publisher", "publisher/embedded"},
	"bridge/ingress":     {"bridge", "bridge/spool", "bridge/zenduty", "publisher", "publisher/tracing"},
	"bridge/admin":       {"bridge", "bridge/health", "bridge/spool", "bridge/zenduty", "publisher"},
	"bridge/certificate": {},
	"bridge/health":      {"bridge/spool", "publisher"},
	"bridge":             {"bridge/spool", "bridge/zenduty", "publisher", "publisher/tracing"},
	"bridge/spool":       {"bridge/spool/internal/storefiles"},
	"bridge/zenduty":     {},
	"config":             {},
	"publisher":          {"publisher/tracing"},
	"publisher/embedded": {},
	"publisher/tracing":  {},
	"integration":        {"bridge/zenduty", "config"},
	"integration/bench":  {},

	"integration/consumer": {"bridge/zenduty"},

	"bridge/spool/internal/storefiles": {},
}

// onlyIn names the one place, with what is internal to it, that knows a library.
var onlyIn = map[string]string{
	"github.com/labstack/echo/v4":       "bridge/ingress",
	"github.com/cockroachdb/pebble/v2":  "bridge/spool",
	"github.com/nats-io/nats-server/v2": "publisher/embedded",
	"github.com/alecthomas/kong":        "cmd/zenduty-bridge",
	"go.yaml.in/yaml/v3":                "config",
	"go.opentelemetry.io/otel/sdk":      "cmd/zenduty-bridge",
	"golang.org/x/crypto/acme":          "bridge/certificate",
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestImportsRunOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	decoder, seen := json.NewDecoder(strings.NewReader(string(out))), 0
	for {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		checkImports(t, strings.TrimPrefix(p.ImportPath, module), p.Imports)
	}
	if seen < len(mayImport) {
		t.Errorf("%d packages seen, %d are named here", seen, len(mayImport))
	}
}

func checkImports(t *testing.T, name string, imports []string) {
	t.Helper()
	allowed, known := mayImport[name]
	if !known {
		t.Errorf("package %s is not in the house: add it to mayImport on purpose", name)
	}
	for _, i := range imports {
		if ours, ok := strings.CutPrefix(i, module); ok && !slices.Contains(allowed, ours) {
			t.Errorf("%s imports %s", name, ours)
		}
		for library, place := range onlyIn {
			if name == "integration/bench" {
				continue // its references are made of the libraries themselves
			}
			if (i == library || strings.HasPrefix(i, library+"/")) && name != place && !strings.HasPrefix(name, place+"/internal/") {
				t.Errorf("%s imports %s, which only %s may know", name, i, place)
			}
		}
	}
}

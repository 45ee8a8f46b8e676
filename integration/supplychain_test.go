package integration

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every action of the workflows is at one commit for good, and says which version that
// is; and nothing in them may do more than it was given.
func TestWorkflowsArePinned(t *testing.T) {
	paths, err := filepath.Glob("../.github/workflows/*")
	if err != nil || len(paths) < 2 {
		t.Fatalf("%d workflows: %v", len(paths), err)
	}
	uses := regexp.MustCompile(`(?m)^.*\buses:.*$`)
	own := regexp.MustCompile(`^    uses: \./\.github/workflows/\w+\.yml$`) // of the same commit
	pinned := regexp.MustCompile(`^ *(?:- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	versions := map[string]string{} // of a repository, by its one line's end
	for _, path := range paths {
		text := readText(t, path)
		for _, line := range uses.FindAllString(text, -1) {
			if own.MatchString(line) {
				continue
			}
			if !pinned.MatchString(line) {
				t.Errorf("%s: not pinned to a commit, with its version behind: %s", path, line)
				continue
			}
			action, at, _ := strings.Cut(line[strings.Index(line, "uses: ")+6:], "@")
			owner := strings.Join(strings.Split(action, "/")[:2], "/")
			if before, ok := versions[owner]; ok && before != at {
				t.Errorf("%s: %s is at %s here and at %s elsewhere", path, owner, at, before)
			}
			versions[owner] = at
		}
		checkPermissions(t, path, text)
	}
	if len(versions) < 3 {
		t.Errorf("only these actions were found: %v", versions)
	}
}

// checkPermissions: the token of a workflow reads, but for the jobs that say otherwise.
func checkPermissions(t *testing.T, path, text string) {
	t.Helper()
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct{ Permissions map[string]string }
	}
	if err := yaml.Unmarshal([]byte(text), &workflow); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if diff := cmp.Diff(map[string]string{"contents": "read"}, workflow.Permissions); diff != "" {
		t.Errorf("%s: the permissions of all jobs: %s", path, diff)
	}
	mayWrite := map[string][]string{"codeql": {"security-events"}, "ci": {"security-events"}, "release": {"contents", "packages"}}
	for name, job := range workflow.Jobs {
		for scope, grant := range job.Permissions {
			if grant != "read" && !slices.Contains(mayWrite[name], scope) {
				t.Errorf("%s: job %s may %s %s", path, name, grant, scope)
			}
		}
	}
}

// Nothing is released, nor can be written, before the tag's commit has passed all that a
// change must pass.
func TestReleaseNeedsTheCheck(t *testing.T) {
	type job struct {
		Uses, If    string
		Needs       any
		Permissions map[string]string
		Steps       []struct{ Run string }
	}
	read := func(path string) (workflow struct {
		On   map[string]any
		Jobs map[string]job
	}) {
		if err := yaml.Unmarshal([]byte(readText(t, path)), &workflow); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return workflow
	}
	called, release := read("../.github/workflows/ci.yml"), read("../.github/workflows/release.yml")
	if uses := release.Jobs["ci"].Uses; uses != "./.github/workflows/ci.yml" {
		t.Errorf("the release's check is %q", uses)
	}
	for name, j := range release.Jobs {
		if name != "ci" && (j.Needs != "ci" || j.If != "") {
			t.Errorf("the release's job %s needs %v, if %q", name, j.Needs, j.If)
		}
	}
	if _, ok := called.On["workflow_call"]; !ok {
		t.Error("ci.yml cannot be called")
	}
	for name, command := range map[string]string{"check": ".ci/run", "vulnerabilities": "govulncheck", "release-configuration": ".ci/release"} {
		j := called.Jobs[name]
		if j.If != "" || !slices.ContainsFunc(j.Steps, func(s struct{ Run string }) bool { return strings.Contains(s.Run, command) }) {
			t.Errorf("ci.yml's job %s does not always run %s", name, command)
		}
	}
}

// The table of dependencies has all direct ones, and no others.
func TestDependenciesAreExplained(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{if not (or .Main .Indirect)}}{{.Path}}{{end}}", "all").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(string(out))
	var got []string
	for _, row := range tableOf(t, "../.github/CONTRIBUTING.md", "| module | what it is for | where | licence |") {
		got = append(got, row[0])
		if slices.Contains(row[:4], "") {
			t.Errorf("%s: a cell is empty: %q", row[0], row)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf(".github/CONTRIBUTING.md against go.mod: %s", diff)
	}
}

// Every fuzz target is in the table of them, and has a corpus.
func TestFuzzTargetsHaveCorpora(t *testing.T) {
	target := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	var got, want []string
	err := filepath.WalkDir("..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, match := range target.FindAllStringSubmatch(readText(t, path), -1) {
			dir := filepath.Dir(path)
			want = append(want, match[1]+" "+filepath.ToSlash(strings.TrimPrefix(dir, "../")))
			if seeds, err := os.ReadDir(filepath.Join(dir, "testdata/fuzz", match[1])); err != nil || len(seeds) == 0 {
				t.Errorf("%s in %s has no corpus: %v", match[1], dir, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range tableOf(t, "../.github/CONTRIBUTING.md", "| target | package | held against |") {
		got = append(got, row[0]+" "+row[1])
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf(".github/CONTRIBUTING.md against the source: %s", diff)
	}
}

// ciTool is a tool at the version that .ci/tool names.
func ciTool(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if out, err := exec.Command("../.ci/tool", args[0], "version").CombinedOutput(); err != nil {
		unavailable(t, args[0]+" is not to be had: "+string(out))
	}
	return exec.Command("../.ci/tool", args...)
}

// The SBOM that a release has of a binary lists each module in it, and no other.
func TestSBOMListsEveryModule(t *testing.T) {
	if testing.Short() {
		t.Skip("a tool that is compiled is left out with -short")
	}
	path := filepath.Join(t.TempDir(), "sbom.json")
	if out, err := ciTool(t, "cyclonedx-gomod", "bin", "-json", "-output", path, bridgeBinary).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var sbom struct {
		BOMFormat  string `json:"bomFormat"`
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal([]byte(readText(t, path)), &sbom); err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, c := range sbom.Components {
		got = append(got, c.Name+" "+c.Version)
		if !strings.HasPrefix(c.PURL, "pkg:golang/") {
			t.Errorf("%s has no package URL: %q", c.Name, c.PURL)
		}
	}
	info, err := buildinfo.ReadFile(bridgeBinary)
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range info.Deps {
		want = append(want, dep.Path+" "+dep.Version)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 50 || sbom.BOMFormat != "CycloneDX" {
		t.Errorf("%q of %d modules: %s", sbom.BOMFormat, len(want), diff)
	}
}

package integration

import (
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// releaseFlags are how the program is built for the image and for a release.
var releaseFlags = []string{"-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=dev -X main.revision="}

// The bytes depend on the source, the version and Go, and on nothing else. Two builds
// that share nothing give the same: the image's, in a container's own directories with
// an empty cache, and one here, of a copy of the source elsewhere. That is this machine's
// architecture, and no version; .ci/release holds what GoReleaser builds, for both
// architectures and with a version, against a build of its own.
func TestReproducibleBuild(t *testing.T) {
	inImage := binaryOfImage(t)
	here := filepath.Join(t.TempDir(), "zenduty-bridge")
	source := t.TempDir()
	for _, dir := range []string{"bridge", "cmd", "config", "publisher"} {
		if err := os.CopyFS(filepath.Join(source, dir), os.DirFS("../"+dir)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := os.WriteFile(filepath.Join(source, name), []byte(readText(t, "../"+name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", append(append([]string{"build", "-o", here}, releaseFlags...), "./cmd/zenduty-bridge")...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if hashOf(t, here) != hashOf(t, inImage) {
		t.Errorf("two builds differ:\n%s\n%s", settingsOf(t, here), settingsOf(t, inImage))
	}
}

// binaryOfImage is the program of docker-compose.yml's image, taken out of it.
func binaryOfImage(t *testing.T) string {
	t.Helper()
	c := newCompose(t, "../docker-compose.yml")
	if out, err := c.run("build", "bridge"); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	out, err := exec.Command("docker", "create", "zenduty-bridge:dev").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	container := strings.TrimSpace(string(out))
	defer func() {
		if out, err := exec.Command("docker", "rm", container).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}()
	path := filepath.Join(t.TempDir(), "zenduty-bridge")
	if out, err := exec.Command("docker", "cp", container+":/zenduty-bridge", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if image, here := settingsOf(t, path).GoVersion, goVersion(t); image != here {
		unavailable(t, fmt.Sprintf("the image was built by %s, and Go here is %s: nothing to compare", image, here))
	}
	return path
}

func goVersion(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOVERSION").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func hashOf(t *testing.T, path string) string {
	t.Helper()
	return fmt.Sprintf("%x", sha256.Sum256([]byte(readText(t, path))))
}

func settingsOf(t *testing.T, path string) *buildinfo.BuildInfo {
	t.Helper()
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// The image and a release are built with the flags that TestReproducibleBuild tries.
func TestReleaseFlags(t *testing.T) {
	flags := strings.Join(releaseFlags[:2], " ")
	linker := strings.NewReplacer("version=dev", "version=%", "revision=", "revision=%").Replace(releaseFlags[3])
	dockerfile, release := readText(t, "../deployments/docker/Dockerfile"), readText(t, "../.goreleaser.yaml")
	for _, place := range []struct {
		name, text string
		want       []string
	}{
		{"Dockerfile", regexp.MustCompile(`\$\{\w+\}`).ReplaceAllString(dockerfile, "%"), []string{"CGO_ENABLED=0 go build " + flags + " \\\n", `-ldflags "` + linker + `"`}},
		{".goreleaser.yaml", regexp.MustCompile(`\{\{ \.(?:Version|FullCommit) \}\}`).ReplaceAllString(release, "%"),
			[]string{"env: [CGO_ENABLED=0]", "flags: [" + strings.Join(releaseFlags[:2], ", ") + "]", `ldflags: ["` + linker + `"]`}},
	} {
		for _, want := range place.want {
			if !strings.Contains(place.text, want) {
				t.Errorf("%s has not %q", place.name, want)
			}
		}
	}
}

// A release's image is the other one around another binary: the last stages are the
// same, it builds, and what comes out runs.
func TestReleaseImage(t *testing.T) {
	last := func(path string) string {
		_, stage, _ := strings.Cut(readText(t, path), "\nFROM scratch\n")
		return stage
	}
	if stage := last("../deployments/docker/release.Dockerfile"); stage == "" || stage != last("../deployments/docker/Dockerfile") {
		t.Error("the last stage of release.Dockerfile is not that of Dockerfile")
	}
	inImage := binaryOfImage(t)
	platform := strings.TrimSpace(outputOf(t, "docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"))
	context := t.TempDir()
	if err := os.MkdirAll(filepath.Join(context, platform), 0o700); err != nil {
		t.Fatal(err)
	}
	for to, from := range map[string]string{platform + "/zenduty-bridge": inImage, "LICENSE": "../LICENSE"} {
		if err := os.WriteFile(filepath.Join(context, to), []byte(readText(t, from)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const image = "zenduty-bridge-release-test"
	outputOf(t, "docker", "build", "-q", "-f", "../deployments/docker/release.Dockerfile", "--build-arg", "TARGETPLATFORM="+platform,
		"--build-arg", "VERSION=1.2.3", "-t", image, context)
	defer func() { _ = exec.Command("docker", "rmi", image).Run() }()
	if got := outputOf(t, "docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", image, "version"); !strings.HasPrefix(got, "zenduty-bridge dev") {
		t.Errorf("version: %s", got)
	}
	const labels = `{{.Config.User}} {{index .Config.Labels "org.opencontainers.image.version"}}`
	if got := outputOf(t, "docker", "inspect", "--format", labels, image); strings.TrimSpace(got) != "65532:65532 1.2.3" {
		t.Errorf("user and version: %s", got)
	}
}

func outputOf(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

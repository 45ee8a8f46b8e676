package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// compose runs a Compose project of its own, on free ports.
type compose struct {
	t       *testing.T
	command []string // docker-compose, or docker compose
	file    string
	project string
	env     []string // variables that the file reads
}

// startCompose starts the project at the top, at ports that are free.
func startCompose(t *testing.T) *compose {
	t.Helper()
	c := newCompose(t, "../docker-compose.yml",
		"BRIDGE_PORT=127.0.0.1:0", "ADMIN_PORT=0", "NATS_PORT=0", "NATS_MONITOR_PORT=0", "PROMETHEUS_PORT=0", "GRAFANA_PORT=0")
	c.up()
	return c
}

// newCompose is a project of which nothing runs yet.
func newCompose(t *testing.T, file string, env ...string) *compose {
	t.Helper()
	needDocker(t)
	c := &compose{
		t: t, file: file, project: "zenduty-bridge-" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")),
		env: append(env, "ZENDUTY_SIGNING_KEY="+signingKey, "ZENDUTY_BRIDGE_AUDIT_CANARY_INTERVAL=0s"),
	}
	switch {
	case exec.Command("docker", "compose", "version").Run() == nil:
		c.command = []string{"docker", "compose"}
	case exec.Command("docker-compose", "version").Run() == nil:
		c.command = []string{"docker-compose"}
	default:
		unavailable(t, "neither docker compose nor docker-compose is here")
	}
	return c
}

func (c *compose) up() {
	c.t.Helper()
	c.t.Cleanup(c.down)
	if out, err := c.run("up", "-d", "--build"); err != nil {
		if strings.Contains(out, "pull") || strings.Contains(out, "registry") || strings.Contains(out, "not found") {
			unavailable(c.t, "images not to be had (without a registry: integration/standins/build.sh): "+out)
		}
		c.t.Fatalf("up: %v\n%s", err, out)
	}
}

// run calls compose with the project's settings and returns all that it printed.
func (c *compose) run(args ...string) (string, error) {
	full := append(c.command[1:], "-f", c.file, "-p", c.project)
	cmd := exec.Command(c.command[0], append(full, args...)...)
	cmd.Env = append(os.Environ(), c.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *compose) must(args ...string) string {
	c.t.Helper()
	out, err := c.run(args...)
	if err != nil {
		c.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(out)
}

func (c *compose) down() {
	if c.t.Failed() {
		logs, _ := c.run("logs", "--no-color", "--tail", "40")
		c.t.Log(logs)
	}
	if out, err := c.run("down", "-v"); err != nil {
		c.t.Errorf("down: %v\n%s", err, out)
	}
}

// address is where a service's port is on the host.
func (c *compose) address(service, port string) string {
	c.t.Helper()
	lines := strings.Fields(c.must("port", service, port))
	return strings.Replace(lines[len(lines)-1], "0.0.0.0", "127.0.0.1", 1)
}

func TestComposeReads(t *testing.T) {
	for _, args := range [][]string{
		{"../docker-compose.yml"}, {"../docker-compose.yml", "--profile", "monitoring"}, {"../deployments/cluster/docker-compose.yml"},
	} {
		c := newCompose(t, args[0])
		if out, err := c.run(append(args[1:], "config", "-q")...); err != nil {
			t.Errorf("config %v: %v\n%s", args, err, out)
		}
	}
}

// OpenTelemetry's variables reach the bridge, and are not there when they are not set.
func TestComposePassesTracing(t *testing.T) {
	const name, value = "OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.test:4318"
	c := newCompose(t, "../docker-compose.yml")
	if out := c.must("config"); strings.Contains(out, "collector.test") {
		t.Fatal(out)
	}
	c.env = append(c.env, name+"="+value)
	if out := c.must("config"); !strings.Contains(out, name+": "+value) {
		t.Errorf("no %s in:\n%s", name, out)
	}
}

// Every image that is not built here is pinned by a tag, and NATS is one version.
func TestComposeImages(t *testing.T) {
	var servers []string
	for _, file := range []string{"../docker-compose.yml", "../deployments/cluster/docker-compose.yml"} {
		for _, match := range regexp.MustCompile(`(?m)^ *image: *(\S+)`).FindAllStringSubmatch(readFile(t, file), -1) {
			name, tag, _ := strings.Cut(match[1], ":")
			if tag == "" || tag == "latest" {
				t.Errorf("%s: %s has no tag that pins it", file, match[1])
			}
			if name == "nats" {
				servers = append(servers, tag)
			}
		}
	}
	if len(servers) != 2 || servers[0] != servers[1] {
		t.Errorf("versions of NATS: %v, want one, twice", servers)
	}
}

// A webhook through docker-compose up, and one while NATS is stopped.
func TestComposeCarriesWebhooks(t *testing.T) {
	c := startCompose(t)
	url := "http://" + c.address("bridge", "8080") + "/webhooks/zenduty"
	natsURL := "nats://" + c.address("nats", "4222")
	l := fixtureLoad(t, 2)
	c.postUntilTaken(url, l[0])
	eventually(t, time.Minute, "the first incident in the stream", func() bool { return c.streamHolds(natsURL, 3) })

	c.must("stop", "nats")
	began := time.Now()
	c.postUntilTaken(url, l[1])
	t.Logf("three webhooks taken in %v while NATS was stopped", time.Since(began))
	c.must("start", "nats")
	natsURL = "nats://" + c.address("nats", "4222")
	eventually(t, time.Minute, "the second incident in the stream", func() bool { return c.streamHolds(natsURL, 6) })
	report := audit(t, natsURL, l)
	if !report.clean() || report.found != 6 {
		t.Error(report)
	}
	eventually(t, time.Minute, "the container is healthy", func() bool { return c.inspect("bridge").State.Health.Status == "healthy" })
	c.checkHardening("bridge", "65532:65532")
	c.checkHardening("nats", "") // root, who alone can write to a new volume; docker-compose.yml says why
}

// postUntilTaken posts one incident, waiting for the container's port to open.
func (c *compose) postUntilTaken(url string, events []*event) {
	c.t.Helper()
	for _, e := range events {
		eventually(c.t, 30*time.Second, e.kind+" is taken", func() bool {
			status, err := post(url, e)
			return err == nil && status == http.StatusOK
		})
	}
}

func (c *compose) streamHolds(natsURL string, n uint64) bool {
	messages, err := countStream(natsURL)
	return err == nil && messages == n
}

// inspection is what docker inspect tells of a container.
type inspection struct {
	State struct {
		Health struct{ Status string }
	}
	Config     struct{ User string }
	HostConfig struct {
		ReadonlyRootfs bool
		Privileged     bool
		CapAdd         []string
		CapDrop        []string
		SecurityOpt    []string
		Binds          []string
		PidMode        string
		NetworkMode    string
	}
	Mounts []struct {
		Type, Destination string
		RW                bool
	}
}

func (c *compose) inspect(service string) inspection {
	c.t.Helper()
	out, err := exec.Command("docker", "inspect", c.must("ps", "-q", service)).Output()
	if err != nil {
		c.t.Fatal(err)
	}
	var found []inspection
	if err := json.Unmarshal(out, &found); err != nil || len(found) != 1 {
		c.t.Fatalf("docker inspect: %v: %s", err, out)
	}
	return found[0]
}

// checkHardening: a container was given no more than it needs, by what the engine says
// of it and by what the kernel says of its process.
func (c *compose) checkHardening(service, user string) {
	c.t.Helper()
	i := c.inspect(service)
	h := i.HostConfig
	options := strings.Join(h.SecurityOpt, " ")
	if i.Config.User != user || !h.ReadonlyRootfs || h.Privileged || len(h.CapAdd) > 0 || strings.Join(h.CapDrop, "") != "ALL" ||
		!strings.Contains(options, "no-new-privileges") || strings.Contains(options, "unconfined") || h.PidMode == "host" || h.NetworkMode == "host" {
		c.t.Errorf("the container of %s may do more than it needs: %+v", service, i)
	}
	for _, m := range i.Mounts {
		if m.RW && (m.Type != "volume" || m.Destination != "/data") {
			c.t.Errorf("the container of %s can write to %s", service, m.Destination)
		}
	}
	status := c.processStatus(service)
	for field, want := range map[string]string{
		"CapEff": "0000000000000000", "CapPrm": "0000000000000000", "CapBnd": "0000000000000000", "NoNewPrivs": "1",
		"Seccomp": "2", // a filter
	} {
		if status[field] != want {
			c.t.Errorf("the process of %s has %s %s, want %s", service, field, status[field], want)
		}
	}
	if id, _, _ := strings.Cut(user, ":"); id != "" && status["Uid"] != strings.Join([]string{id, id, id, id}, "\t") {
		c.t.Errorf("the process of %s is of user %q", service, status["Uid"])
	}
}

// processStatus is /proc/1/status of a container, read from another one, since these
// have no shell, and the engine's machine may be another.
func (c *compose) processStatus(service string) map[string]string {
	c.t.Helper()
	out := outputOf(c.t, "docker", "run", "--rm", "--pid", "container:"+c.must("ps", "-q", service), goImage(c.t), "cat", "/proc/1/status")
	status := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.TrimSpace(value)
	}
	return status
}

// goImage is the image that the Dockerfile builds with.
func goImage(t *testing.T) string {
	t.Helper()
	match := regexp.MustCompile(`(?m)^ARG GO_IMAGE=(\S+)$`).FindStringSubmatch(readText(t, "../deployments/docker/Dockerfile"))
	if match == nil {
		t.Fatal("the Dockerfile names no Go image")
	}
	return match[1]
}

package integration

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// compose runs a Compose project of its own, on free ports.
type compose struct {
	t       *testing.T
	command []string // docker-compose, or docker compose
	project string
}

func startCompose(t *testing.T) *compose {
	t.Helper()
	needDocker(t)
	c := &compose{t: t, project: "zenduty-bridge-" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))}
	switch {
	case exec.Command("docker", "compose", "version").Run() == nil:
		c.command = []string{"docker", "compose"}
	case exec.Command("docker-compose", "version").Run() == nil:
		c.command = []string{"docker-compose"}
	default:
		unavailable(t, "neither docker compose nor docker-compose is here")
	}
	if out, err := c.run("up", "-d", "--build"); err != nil {
		if strings.Contains(out, "pull") || strings.Contains(out, "registry") || strings.Contains(out, "not found") {
			unavailable(t, "images not to be had (without a registry: integration/standins/build.sh): "+out)
		}
		t.Fatalf("up: %v\n%s", err, out)
	}
	return c
}

// run calls compose with the project's settings and returns all that it printed.
func (c *compose) run(args ...string) (string, error) {
	full := append(c.command[1:], "-f", "../docker-compose.yml", "-p", c.project)
	cmd := exec.Command(c.command[0], append(full, args...)...)
	cmd.Env = append(os.Environ(), "ZENDUTY_SIGNING_KEY="+signingKey,
		"BRIDGE_PORT=127.0.0.1:0", "ADMIN_PORT=0", "NATS_PORT=0", "NATS_MONITOR_PORT=0", "PROMETHEUS_PORT=0", "GRAFANA_PORT=0",
		"ZENDUTY_BRIDGE_AUDIT_CANARY_INTERVAL=0s")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if args[0] == "up" {
		c.t.Cleanup(c.down)
	}
	err := cmd.Run()
	return out.String(), err
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
	needDocker(t)
	for _, profile := range [][]string{nil, {"--profile", "monitoring"}} {
		c := &compose{t: t, project: "zenduty-bridge-config", command: []string{"docker-compose"}}
		if exec.Command("docker-compose", "version").Run() != nil {
			c.command = []string{"docker", "compose"}
		}
		if out, err := c.run(append(profile, "config", "-q")...); err != nil {
			t.Errorf("config %v: %v\n%s", profile, err, out)
		}
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
	eventually(t, time.Minute, "the container is healthy", func() bool { return c.inspect().State.Health.Status == "healthy" })
	c.checkHardening()
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

// inspection is what docker inspect tells of the bridge's container.
type inspection struct {
	State struct {
		Health struct{ Status string }
	}
	Config     struct{ User string }
	HostConfig struct {
		ReadonlyRootfs bool
		CapDrop        []string
		SecurityOpt    []string
	}
}

func (c *compose) inspect() inspection {
	c.t.Helper()
	out, err := exec.Command("docker", "inspect", c.must("ps", "-q", "bridge")).Output()
	if err != nil {
		c.t.Fatal(err)
	}
	var found []inspection
	if err := json.Unmarshal(out, &found); err != nil || len(found) != 1 {
		c.t.Fatalf("docker inspect: %v: %s", err, out)
	}
	return found[0]
}

func (c *compose) checkHardening() {
	c.t.Helper()
	i := c.inspect()
	if i.Config.User != "65532:65532" || !i.HostConfig.ReadonlyRootfs ||
		strings.Join(i.HostConfig.CapDrop, "") != "ALL" || !strings.Contains(strings.Join(i.HostConfig.SecurityOpt, ""), "no-new-privileges") {
		c.t.Errorf("the container may do more than it needs: %+v", i)
	}
}

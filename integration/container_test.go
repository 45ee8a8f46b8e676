package integration

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// unavailable skips a container scenario on a laptop without what it needs, and
// fails it where CI=true says that everything must be here.
func unavailable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: with CI=true this is a failure", why)
	}
	t.Skipf("%s: skipped; set CI=true to make it a failure", why)
}

// needDocker says so when there is no Docker engine.
func needDocker(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("containers are left out with -short")
	}
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		unavailable(t, "no Docker engine: "+err.Error())
	}
	defer provider.Close()
	if err := provider.Health(context.Background()); err != nil {
		unavailable(t, "no Docker engine: "+err.Error())
	}
}

// natsImage is the image that docker-compose.yml runs.
func natsImage(t *testing.T) string {
	t.Helper()
	compose, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`image: (nats:\S+)`).FindSubmatch(compose)
	if match == nil {
		t.Fatal("docker-compose.yml names no nats image")
	}
	return string(match[1])
}

// startContainer runs a NATS container; what cannot be pulled is unavailable.
func startContainer(t *testing.T, request testcontainers.ContainerRequest) testcontainers.Container {
	t.Helper()
	needDocker(t)
	container, err := testcontainers.GenericContainer(context.Background(), testcontainers.GenericContainerRequest{
		ContainerRequest: request, Started: true,
	})
	testcontainers.CleanupContainer(t, container)
	if err != nil && (strings.Contains(err.Error(), "pull") || strings.Contains(err.Error(), "No such image") || strings.Contains(err.Error(), "reaper")) {
		unavailable(t, "image not to be had (without a registry: integration/standins/build.sh, and TESTCONTAINERS_RYUK_DISABLED=true): "+err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return container
}

func TestJourneyContainer(t *testing.T) {
	container := startContainer(t, testcontainers.ContainerRequest{
		Image: natsImage(t), Cmd: []string{"-js", "-sd", "/data"}, ExposedPorts: []string{"4222/tcp"},
		WaitingFor: wait.ForListeningPort("4222/tcp").SkipInternalCheck().WithStartupTimeout(time.Minute),
	})
	endpoint, err := container.PortEndpoint(context.Background(), "4222/tcp", "nats")
	if err != nil {
		t.Fatal(err)
	}
	journey(t, startBridge(t, t.TempDir(), "--nats-url", endpoint))
}

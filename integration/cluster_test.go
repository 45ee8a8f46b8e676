package integration

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/testcontainers/testcontainers-go"
	containernetwork "github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"
)

// cluster is three NATS servers in containers of one network.
type cluster struct {
	t     *testing.T
	nodes map[string]testcontainers.Container
	urls  map[string]string // as seen from the host
}

// startCluster: each node's port is published at one of the host's that it keeps
// over a restart, and no node tells clients of the others, whose addresses in the
// containers' network mean nothing to the host.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	needDocker(t)
	shared, err := containernetwork.New(context.Background())
	testcontainers.CleanupNetwork(t, shared)
	if err != nil {
		unavailable(t, "no network for containers: "+err.Error())
	}
	c := &cluster{t: t, nodes: map[string]testcontainers.Container{}, urls: map[string]string{}}
	for _, name := range []string{"n1", "n2", "n3"} {
		c.startNode(name, shared.Name)
	}
	eventually(t, 30*time.Second, "the cluster has a leader", func() bool {
		err := c.ask(c.names(), func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.AccountInfo(ctx)
			return err
		})
		return err == nil
	})
	return c
}

func (c *cluster) startNode(name, networkName string) {
	c.t.Helper()
	_, port, err := net.SplitHostPort(freeAddress(c.t))
	if err != nil {
		c.t.Fatal(err)
	}
	c.urls[name] = "nats://127.0.0.1:" + port
	c.nodes[name] = startContainer(c.t, testcontainers.ContainerRequest{
		Image: natsImage(c.t),
		Cmd: []string{"-js", "-sd", "/data", "-n", name, "-p", "4222", "--cluster_name", "zenduty", "--cluster", "nats://0.0.0.0:6222",
			"--routes", "nats://n1:6222,nats://n2:6222,nats://n3:6222", "--no_advertise", "--connect_retries", "1000"},
		ExposedPorts:   []string{"4222/tcp"},
		Networks:       []string{networkName},
		NetworkAliases: map[string][]string{networkName: {name}},
		HostConfigModifier: func(h *container.HostConfig) {
			h.PortBindings = network.PortMap{network.MustParsePort("4222/tcp"): {{HostIP: netip.IPv4Unspecified(), HostPort: port}}}
		},
		WaitingFor: wait.ForListeningPort("4222/tcp").SkipInternalCheck().WithStartupTimeout(time.Minute),
	})
}

func (c *cluster) names() []string {
	names := make([]string, 0, len(c.urls))
	for name := range c.urls {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// url lists nodes as a client is given them.
func (c *cluster) url(names ...string) string {
	urls := make([]string, len(names))
	for i, name := range names {
		urls[i] = c.urls[name]
	}
	return strings.Join(urls, ",")
}

// ask has one question answered by any of the nodes, within a few seconds.
func (c *cluster) ask(names []string, question func(context.Context, jetstream.JetStream) error) error {
	nc, err := nats.Connect(c.url(names...), nats.Timeout(time.Second))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return question(ctx, js)
}

// peers is what the stream's leader says of its copies.
func (c *cluster) peers(names ...string) (*jetstream.ClusterInfo, error) {
	var info *jetstream.ClusterInfo
	err := c.ask(names, func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, "ZENDUTY")
		if err == nil {
			info = stream.CachedInfo().Cluster
		}
		return err
	})
	if err == nil && info == nil {
		err = fmt.Errorf("the stream is not in a cluster")
	}
	return info, err
}

// leader waits until the stream has one among the nodes, and returns its name.
func (c *cluster) leader(names ...string) (leader string) {
	c.t.Helper()
	eventually(c.t, 30*time.Second, "the stream has a leader", func() bool {
		info, err := c.peers(names...)
		if err == nil {
			leader = info.Leader
		}
		return leader != ""
	})
	return leader
}

// stop ends a node: with a grace of none it is killed.
func (c *cluster) stop(name string, grace time.Duration) {
	c.t.Helper()
	if err := c.nodes[name].Stop(context.Background(), &grace); err != nil {
		c.t.Fatalf("stop %s: %v", name, err)
	}
}

// awaitRule waits until the cluster has a leader, who makes a consumer: while one
// is elected, requests are not answered.
func (c *cluster) awaitRule() {
	c.t.Helper()
	eventually(c.t, 30*time.Second, "the cluster has a leader", func() bool {
		err := c.ask(c.names(), func(ctx context.Context, js jetstream.JetStream) error {
			consumer, err := js.CreateConsumer(ctx, "ZENDUTY", jetstream.ConsumerConfig{})
			if err == nil {
				err = js.DeleteConsumer(ctx, "ZENDUTY", consumer.CachedInfo().Name)
			}
			return err
		})
		return err == nil
	})
}

// start runs a stopped node again and waits until it has caught up.
func (c *cluster) start(name string) {
	c.t.Helper()
	if err := c.nodes[name].Start(context.Background()); err != nil {
		c.t.Fatalf("start %s: %v", name, err)
	}
	c.awaitCurrent(name)
}

// awaitCurrent waits until the stream's leader has heard from every copy since now,
// and all are current: two nodes behind at a time would be more than the stream can
// bear.
func (c *cluster) awaitCurrent(name string) {
	c.t.Helper()
	began := time.Now()
	eventually(c.t, 60*time.Second, name+" has caught up", func() bool {
		asked := time.Since(began)
		info, err := c.peers(c.names()...)
		return err == nil && info.Leader != "" && len(info.Replicas) == 2 &&
			!slices.ContainsFunc(info.Replicas, func(p *jetstream.PeerInfo) bool { return !p.Current || p.Active >= asked })
	})
}

// streaming posts incidents until it is stopped, and returns all of them.
func streaming(t *testing.T, url string) (stop func() load) {
	t.Helper()
	var posted load
	done := make(chan struct{})
	var posting sync.WaitGroup
	posting.Go(func() {
		for seed := uint64(1); ; seed++ {
			select {
			case <-done:
				return
			default:
			}
			l := generatedLoad(t, 20, seed)
			posted = append(posted, l...)
			postAll(t, url, l, 20)
			time.Sleep(50 * time.Millisecond) // the pace: some 1,000 webhooks a second
		}
	})
	return sync.OnceValue(func() load {
		close(done)
		posting.Wait()
		return posted
	})
}

// A stream of three copies outlives the loss of its leader and of each node in
// turn, and so does every webhook that was answered meanwhile.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	b := startBridge(t, t.TempDir(), "--nats-url", c.url(c.names()...), "--nats-stream-replicas", "3")
	stop := streaming(t, b.url)
	defer stop()

	eventually(t, 30*time.Second, "webhooks flow", func() bool {
		stored, err := countStream(c.url(c.names()...))
		return err == nil && stored > 1000
	})
	killed := c.leader(c.names()...)
	c.stop(killed, 0)
	others := slices.DeleteFunc(c.names(), func(name string) bool { return name == killed })
	t.Logf("leader %s killed, now it is %s", killed, c.leader(others...))
	before, err := countStream(c.url(others...))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "webhooks flow without the old leader", func() bool {
		now, err := countStream(c.url(others...))
		return err == nil && now > before
	})
	c.start(killed)
	for _, name := range c.names() {
		c.stop(name, 10*time.Second)
		c.start(name)
		t.Logf("%s restarted, leader %s", name, c.leader(c.names()...))
	}

	l := stop()
	b.awaitDelivered()
	c.awaitRule()
	report := audit(t, c.url(c.names()...), l)
	t.Log(report)
	if !report.clean() || report.found != 3*len(l) {
		t.Errorf("want %d of %d, all clean", 3*len(l), 3*len(l))
	}
}

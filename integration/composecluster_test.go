package integration

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// incidentPace is the time between two events of an incident: much less than a person
// needs to acknowledge one, and more than a bridge needs to deliver the first while
// NATS is well. Where two bridges share an incident, its order hangs on that.
const incidentPace = 500 * time.Millisecond

// composeCluster is deployments/cluster, on ports that its containers keep.
type composeCluster struct {
	*compose
	servers *cluster
	bridges map[string]*bridgeProcess // as far as they are asked for metrics
	proxy   string                    // where webhooks go
}

func startComposeCluster(t *testing.T) *composeCluster {
	t.Helper()
	c := &composeCluster{servers: &cluster{t: t, urls: map[string]string{}}, bridges: map[string]*bridgeProcess{}}
	var env []string
	port := func(variable string) string {
		address := freeAddress(t)
		_, port, _ := net.SplitHostPort(address)
		env = append(env, variable+"="+port)
		return address
	}
	for _, n := range []string{"1", "2", "3"} {
		c.servers.urls["nats-"+n] = "nats://" + port("NATS_"+n+"_PORT")
	}
	for _, n := range []string{"1", "2"} {
		c.bridges["bridge-"+n] = &bridgeProcess{process: &process{t: t}, admin: "http://" + port("BRIDGE_"+n+"_ADMIN_PORT")}
	}
	c.proxy = "http://" + port("PROXY_PORT") + "/webhooks/zenduty"
	c.compose = newCompose(t, "../deployments/cluster/docker-compose.yml", env...)
	c.up()
	for name := range c.bridges {
		c.awaitReady(name)
	}
	return c
}

// url names all NATS servers.
func (c *composeCluster) url() string { return c.servers.url(c.servers.names()...) }

func (c *composeCluster) awaitReady(bridge string) {
	c.t.Helper()
	eventually(c.t, time.Minute, bridge+" is ready", func() bool {
		status, _ := c.bridges[bridge].get("/readyz")
		return status == http.StatusOK
	})
}

// serving is the bridge that the proxy sends webhooks to, and the other one.
func (c *composeCluster) serving(tr *traffic) (serving, other string) {
	c.t.Helper()
	before := map[string]float64{}
	for name := range c.bridges {
		before[name] = c.taken(name)
	}
	tr.await(20)
	for name := range c.bridges {
		if c.taken(name) > before[name] {
			serving += name
		} else {
			other += name
		}
	}
	if c.bridges[serving] == nil || c.bridges[other] == nil {
		c.t.Fatalf("webhooks go to %q, and not to %q: want one each", serving, other)
	}
	return serving, other
}

func (c *composeCluster) taken(bridge string) float64 {
	c.t.Helper()
	return c.bridges[bridge].metric(`zenduty_bridge_webhooks_total{outcome="accepted",source="zenduty"}`)
}

func (c *composeCluster) awaitDelivered() {
	c.t.Helper()
	for _, b := range c.bridges {
		b.awaitDelivered()
	}
}

// The cluster of deployments/cluster loses the stream's leader, and then the bridge
// that takes the webhooks; each comes back. Nobody who posts sees anything of it, and
// what was answered with 200 is in the stream once, in order. Then a bridge hangs, which
// nobody sees either, and one is killed, which loses nothing and doubles nothing.
func TestComposeCluster(t *testing.T) {
	t.Parallel()
	c := startComposeCluster(t)
	first := fixtureLoad(t, 1)
	c.postUntilTaken(c.proxy, first[0])
	eventually(t, time.Minute, "the stream is there", func() bool { return c.streamHolds(c.url(), 3) })
	if info, err := c.servers.peers(c.servers.names()...); err != nil || len(info.Replicas) != 2 {
		t.Fatalf("the stream has not three copies: %+v, %v", info, err)
	}
	tr := startTrafficAs(t, c.proxy, incidentPace, false)
	c.loseLeader(tr)
	c.stopBridge(tr)
	l := append(first, tr.stop()...)
	tr.allTaken(answersWithin)
	c.awaitDelivered()
	auditClean(t, c.url(), l)

	rough := startTrafficAs(t, c.proxy, incidentPace, false)
	l = append(l, c.hangBridge(rough)...)
	c.killBridge(rough)
	l = append(l, rough.stop()...)
	c.awaitDelivered()
	report := audit(t, c.url(), l)
	t.Log(report)
	// What the killed bridge had not delivered came when it was back.
	report.reordered = slices.DeleteFunc(report.reordered, func(e string) bool { return strings.HasPrefix(e, rough.name) })
	if !report.clean() {
		t.Error("the stream is not what was answered with 200")
	}
}

// loseLeader kills the NATS server that leads the stream, and starts it again.
func (c *composeCluster) loseLeader(tr *traffic) {
	c.t.Helper()
	tr.await(100)
	leader := c.servers.leader(c.servers.names()...)
	c.must("kill", leader)
	others := slices.DeleteFunc(c.servers.names(), func(name string) bool { return name == leader })
	eventually(c.t, time.Minute, "another leads the stream", func() bool {
		next := c.servers.leader(others...)
		return next != leader
	})
	tr.await(100)
	c.must("start", leader)
	c.servers.awaitCurrent(leader)
	c.awaitDelivered()
}

// stopBridge stops the bridge that takes the webhooks, and starts it again: then the
// other one keeps them.
func (c *composeCluster) stopBridge(tr *traffic) {
	c.t.Helper()
	serving, other := c.serving(tr)
	c.must("stop", serving)
	tr.await(100)
	c.must("start", serving)
	c.awaitReady(serving)
	tr.await(100)
	if now, _ := c.serving(tr); now != other {
		c.t.Errorf("webhooks went back to %s", now)
	}
}

// hangBridge makes the bridge that takes the webhooks stand still: the other one takes
// every one that is posted, also one of which the headers come first, which it returns.
func (c *composeCluster) hangBridge(tr *traffic) load {
	c.t.Helper()
	serving, _ := c.serving(tr)
	split := load{generatedLoad(c.t, 1, 1)[0][:1]}
	c.must("pause", serving)
	a := exchange(headersFirst, c.proxy, split[0][0].body)
	split[0][0].id = a.ID
	tr.await(100)
	c.must("unpause", serving)
	c.awaitReady(serving)
	if a.code != http.StatusOK {
		c.t.Errorf("posted in two parts while %s hung: %d %v after %v", serving, a.code, a.err, a.took)
	}
	tr.each(func(a answer) {
		if a.code != http.StatusOK {
			c.t.Errorf("not taken while %s hung: %d %v after %v", serving, a.code, a.err, a.took)
		}
	})
	return split
}

// headersFirst sends a body some time after its headers, as a slow network brings them.
var headersFirst = &http.Client{
	Timeout:   3 * time.Second,
	Transport: expecting{&http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 50 * time.Millisecond}},
}

// expecting asks for leave to send the body, and sends it when there is no answer to that.
type expecting struct{ *http.Transport }

func (e expecting) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Expect", "100-continue")
	return e.Transport.RoundTrip(r)
}

// killBridge kills the bridge that takes the webhooks, and starts it again.
func (c *composeCluster) killBridge(tr *traffic) {
	c.t.Helper()
	serving, _ := c.serving(tr)
	c.must("kill", serving)
	tr.await(100)
	c.must("start", serving)
	c.awaitReady(serving)
}

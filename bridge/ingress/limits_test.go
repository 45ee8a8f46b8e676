package ingress

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// open dials a server, from an address of the loopback network if one is given.
func open(t *testing.T, addr string, from ...string) *sender {
	t.Helper()
	var d net.Dialer
	for _, ip := range from {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(ip)}
	}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &sender{Conn: c, t: t, reader: bufio.NewReader(c)}
}

// expectCut: the connection ends, in order or by a reset, and no answer has come on it.
func (c *sender) expectCut() {
	c.t.Helper()
	b, err := c.reader.ReadByte()
	if err == nil {
		c.t.Errorf("%q came, want the end", b)
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		c.t.Errorf("the connection ends with %v", err)
	}
}

// closings is connections_closed_total by reason, less what is 0.
func closings(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	counts := map[string]float64{}
	for _, m := range gather(t, registry, "zenduty_bridge_connections_closed_total") {
		if n := m.GetCounter().GetValue(); n > 0 {
			counts[m.GetLabel()[0].GetValue()] = n
		}
	}
	return counts
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	metrics := gather(t, registry, name)
	if len(metrics) != 1 {
		t.Fatalf("%d series of %s", len(metrics), name)
	}
	return metrics[0].GetGauge().GetValue()
}

// await waits until a condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s for: %s", what)
		}
	}
}

func awaitEnded(t *testing.T, registry *prometheus.Registry, want map[string]float64) {
	t.Helper()
	defer func() {
		if diff := cmp.Diff(want, closings(t, registry)); diff != "" {
			t.Error(diff)
		}
	}()
	await(t, "connections are closed", func() bool { return cmp.Equal(want, closings(t, registry)) })
}

// head is a request's header up to where its body would be announced.
var head = "POST /webhooks/zenduty HTTP/1.1\r\nHost: x\r\n" + zenduty.SignatureHeader + ": " + zenduty.Sign(secret, sample) + "\r\n"

// beginBody sends a request's header and no more than half of its body.
func (c *sender) beginBody(size int) {
	c.t.Helper()
	c.send(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, size, strings.Repeat("x", size/2)))
}

func TestHeaderTimeout(t *testing.T) {
	opts := Options{HeaderTimeout: 200 * time.Millisecond}
	addr, registry := serve(t, &accepter{}, opts)
	silent, dripping := open(t, addr), open(t, addr)
	dripping.send("POST /webhooks/zenduty HTTP/1.1\r\nX-Slow: ")
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for { // each byte is progress, and none is enough
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				_, _ = dripping.Write([]byte("y"))
			}
		}
	}()
	began := time.Now()
	silent.expectCut()
	dripping.expectCut()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closed after %v, %v were set", took, opts.HeaderTimeout)
	}
	awaitEnded(t, registry, map[string]float64{"header_timeout": 2})
}

// A handshake that comes to no end is counted as a header that does not.
func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	addr, registry := serve(t, &accepter{}, Options{TLS: serverTLS(t), HeaderTimeout: 200 * time.Millisecond})
	silent, half := open(t, addr), open(t, addr)
	half.send("\x16\x03\x01\x02\x00\x01") // a ClientHello's begin
	silent.expectCut()
	half.expectCut()
	awaitEnded(t, registry, map[string]float64{"header_timeout": 2})
}

func TestIdleTimeout(t *testing.T) {
	addr, registry := serve(t, &accepter{}, Options{IdleTimeout: 200 * time.Millisecond})
	c := open(t, addr)
	for i := range 2 {
		c.send(signedPost(i))
		c.expect(http.StatusOK, false)
	}
	c.expectEnd()
	awaitEnded(t, registry, map[string]float64{"idle_timeout": 1})
}

func TestBodyTimeout(t *testing.T) {
	addr, registry := serve(t, &accepter{}, Options{BodyTimeout: 300 * time.Millisecond})
	c := open(t, addr)
	c.beginBody(len(sample))
	c.expect(http.StatusBadRequest, true)
	c.expectCut()
	if diff := cmp.Diff(map[string]float64{"zenduty body_timeout": 1}, counted(t, registry)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]float64{}, closings(t, registry)); diff != "" {
		t.Error(diff)
	}
}

func TestHeaderSize(t *testing.T) {
	for name, test := range map[string]struct {
		request string
		status  int
		ended   map[string]float64
	}{
		"below":     {"GET /webhooks/zenduty HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: " + strings.Repeat("y", 3000) + "\r\n\r\n", 405, map[string]float64{}},
		"above":     {"GET /webhooks/zenduty HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("y", 9000) + "\r\n\r\n", 431, map[string]float64{"header_too_large": 1}},
		"many":      {"GET /webhooks/zenduty HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: y\r\n", 2000) + "\r\n", 431, map[string]float64{"header_too_large": 1}},
		"malformed": {"GET /webhooks/zenduty HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400, map[string]float64{"bad_header": 1}},
		"no HTTP":   {"\x16\x03\x01 hello\r\n\r\n", 400, map[string]float64{"bad_header": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			addr, registry := serve(t, &accepter{}, Options{MaxHeaderBytes: 4 << 10})
			c := open(t, addr)
			c.send(test.request)
			response, err := http.ReadResponse(c.reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if response.Body.Close(); response.StatusCode != test.status {
				t.Errorf("%d, want %d", response.StatusCode, test.status)
			}
			await(t, "the connection is closed", func() bool { return gauge(t, registry, "zenduty_bridge_connections") == 0 })
			awaitEnded(t, registry, test.ended)
		})
	}
}

// A decompression bomb is refused when it has unfolded to a little more than is taken.
func TestBombIsRefused(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	for range 64 { // 64 MiB of nothing
		_, _ = w.Write(make([]byte, 1<<20))
	}
	_ = w.Close()
	addr, registry := serve(t, &accepter{}, Options{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p := post{body: bomb.Bytes(), header: map[string]string{"Content-Encoding": "gzip"}, status: 413, outcome: "too_large"}
	check(t, p, addr, registry)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
		t.Errorf("%d bytes were allocated for a bomb of %d", took, bomb.Len())
	}
}

// What a sender says that it will send costs nothing before it comes.
func TestMemoryIsTakenForWhatHasCome(t *testing.T) {
	addr, registry := serve(t, &accepter{}, Options{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		open(t, addr).send(head + "Content-Length: 1000000\r\n\r\nx")
	}
	await(t, "100 requests are under way", func() bool { return gauge(t, registry, "zenduty_bridge_requests") == 100 })
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 20<<20 {
		t.Errorf("%d bytes were allocated for 100 bodies that have not come", took)
	}
}

// At the limit the oldest connection without an authentic webhook makes way, and one
// with such only when there is no other: the one that has been without for the longest.
func TestMaxConnections(t *testing.T) {
	addr, registry := serve(t, &accepter{}, Options{MaxConnections: 3})
	known := open(t, addr)
	known.send(signedPost(1))
	known.expect(http.StatusOK, false)
	var strangers []*sender
	for i := range 2 {
		c := open(t, addr)
		c.send("POST /webhooks/zen") // and never more
		await(t, "it is taken in", func() bool { return gauge(t, registry, "zenduty_bridge_connections") == float64(2+i) })
		strangers = append(strangers, c)
	}
	older, newer := strangers[0], strangers[1]
	second := open(t, addr)
	second.send(signedPost(2))
	second.expect(http.StatusOK, false)
	older.expectCut()
	third := open(t, addr)
	third.send(signedPost(3))
	third.expect(http.StatusOK, false)
	newer.expectCut()
	known.send(signedPost(4)) // so that now second's is the longest ago
	known.expect(http.StatusOK, false)
	fourth := open(t, addr)
	fourth.send(signedPost(5))
	fourth.expect(http.StatusOK, false)
	second.expectCut()
	for i, c := range []*sender{known, third, fourth} {
		c.send(signedPost(6 + i))
		c.expect(http.StatusOK, false)
	}
	if diff := cmp.Diff(map[string]float64{"evicted": 3}, closings(t, registry)); diff != "" {
		t.Error(diff)
	}
	if n := gauge(t, registry, "zenduty_bridge_connections"); n != 3 {
		t.Errorf("%v connections are open", n)
	}
}

// gate is an accepter that answers when it is told to.
type gate struct {
	accepter
	entered chan struct{}
	open    chan struct{}
	release func()
}

func newGate() *gate {
	g := &gate{entered: make(chan struct{}, 10), open: make(chan struct{})}
	g.release = sync.OnceFunc(func() { close(g.open) })
	return g
}

func (g *gate) Accept(ctx context.Context, w bridge.Webhook) (bridge.Receipt, error) {
	g.entered <- struct{}{}
	<-g.open
	return g.accepter.Accept(ctx, w)
}

// A connection whose webhook is being answered makes way for nobody.
func TestAnsweringConnectionsStay(t *testing.T) {
	g := newGate()
	addr, registry := serve(t, g, Options{MaxConnections: 2})
	t.Cleanup(g.release) // before the server's end, should the test fail
	answering := []*sender{open(t, addr), open(t, addr)}
	for i, c := range answering {
		c.send(signedPost(i))
		<-g.entered
	}
	open(t, addr).expectCut()
	awaitEnded(t, registry, map[string]float64{"refused": 1})
	g.release()
	for _, c := range answering {
		c.expect(http.StatusOK, false)
	}
}

func TestMaxConnectionsPerAddress(t *testing.T) {
	addr, registry := serve(t, &accepter{}, Options{MaxConnectionsPerAddress: 2})
	other := open(t, addr, "127.0.0.2")
	other.send("POST")
	var own []*sender
	for i := range 3 {
		c := open(t, addr, "127.0.0.1")
		c.send("POST")
		own = append(own, c)
		await(t, "it is taken in", func() bool { return gauge(t, registry, "zenduty_bridge_connections") == float64(min(2+i, 3)) })
	}
	own[0].expectCut()
	for i, c := range []*sender{own[1], own[2], other} {
		c.send(strings.TrimPrefix(signedPost(i), "POST"))
		c.expect(http.StatusOK, false)
	}
	if diff := cmp.Diff(map[string]float64{"evicted_address": 1}, closings(t, registry)); diff != "" {
		t.Error(diff)
	}
}

// At the limit the request makes way whose body has been on its way for the longest; and
// where there is none, the new one is told to come again.
func TestMaxConcurrentRequests(t *testing.T) {
	g := newGate()
	addr, registry := serve(t, g, Options{MaxConcurrentRequests: 2})
	t.Cleanup(g.release)
	older, newer, good := open(t, addr), open(t, addr), open(t, addr)
	for i, c := range []*sender{older, newer} {
		c.beginBody(len(sample))
		await(t, "it is under way", func() bool { return gauge(t, registry, "zenduty_bridge_requests") == float64(1+i) })
	}
	good.send(signedPost(1))
	<-g.entered
	older.expect(http.StatusServiceUnavailable, true)
	second := open(t, addr)
	second.send(signedPost(2))
	<-g.entered
	newer.expect(http.StatusServiceUnavailable, true)
	p := post{header: signed(sample), status: http.StatusServiceUnavailable, retry: true}
	impatient := http.Client{Timeout: 10 * time.Second}
	response, err := impatient.Do(p.request(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != p.status || response.Header.Get("Retry-After") == "" {
		t.Errorf("%v", response)
	}
	checkBody(t, p, response, text)
	g.release()
	good.expect(http.StatusOK, false)
	second.expect(http.StatusOK, false)
	want := map[string]float64{"zenduty accepted": 2, "zenduty evicted": 2, "zenduty busy": 1}
	if diff := cmp.Diff(want, counted(t, registry)); diff != "" {
		t.Error(diff)
	}
	await(t, "nothing is under way", func() bool { return gauge(t, registry, "zenduty_bridge_requests") == 0 })
}

// Large bodies that do not come to their end cannot take more memory than is set, and
// keep no other one out.
func TestMaxUnverifiedBytes(t *testing.T) {
	addr, registry := serve(t, &accepter{}, Options{MaxUnverifiedBytes: 1}) // raised to 3 MiB: room for two and a half
	var slow []*sender
	for i := range 5 {
		c := open(t, addr)
		c.beginBody(1 << 20) // whose half takes 1 MiB, less 64 KiB
		slow = append(slow, c)
		c.send(strings.Repeat("x", 1<<19-1))
		await(t, "it is under way, or has made way", func() bool {
			under := gauge(t, registry, "zenduty_bridge_requests")
			return under+counted(t, registry)["zenduty evicted"] == float64(i+1)
		})
	}
	await(t, "those that are too many have made way", func() bool { return counted(t, registry)["zenduty evicted"] >= 3 })
	slow[0].expect(http.StatusServiceUnavailable, true)
	big := []byte(`{"payload": {"event_type": "triggered", "incident": {"title": "` + strings.Repeat("x", 1<<20-100) + `"}}}`)
	answered(t, post{body: big, header: signed(big), status: 200}, addr)
	answered(t, post{header: signed(sample), status: 200}, addr)
}

func TestMaxConnectionsFitsTheFiles(t *testing.T) {
	files, known := openFiles()
	if !known {
		t.Skip("how many files may be open is known on Linux only")
	}
	if got := (Options{MaxConnections: 10 * files}).withDefaults().MaxConnections; got != files/4*3 {
		t.Errorf("%d connections with %d files", got, files)
	}
	if got := (Options{MaxConnections: 5}).withDefaults().MaxConnections; got != 5 {
		t.Errorf("%d connections, 5 were set", got)
	}
}

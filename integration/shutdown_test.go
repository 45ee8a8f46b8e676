package integration

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

const stoppingLine = "stopping: finishing what has begun; a second signal leaves at once"

// begun is a request that the bridge has certainly begun: it was asked for its
// body (100 Continue, RFC 9110, section 10.1.1), which has not been sent yet.
type begun struct {
	event  *event
	conn   net.Conn
	reader *bufio.Reader
}

func begin(t *testing.T, b *bridgeProcess, e *event) begun {
	t.Helper()
	scheme, rest, _ := strings.Cut(b.url, "://")
	host, path, _ := strings.Cut(rest, "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	if scheme == "https" {
		secure := clientTLS()
		secure.ServerName = "localhost"
		conn = tls.Client(conn, secure)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /%s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		path, host, zenduty.SignatureHeader, zenduty.Sign(signingKey, e.body), len(e.body))
	r := begun{event: e, conn: conn, reader: bufio.NewReader(conn)}
	if line, err := r.reader.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("asked for the body: %q, %v", line, err)
	}
	if _, err := r.reader.ReadString('\n'); err != nil { // the empty line after it
		t.Fatal(err)
	}
	return r
}

// finish sends the body and reads the answer, up to the orderly end of the connection.
func (r begun) finish(t *testing.T) {
	t.Helper()
	if _, err := r.conn.Write(r.event.body); err != nil {
		t.Errorf("%s: %v", r.event, err)
		return
	}
	response, err := http.ReadResponse(r.reader, nil)
	if err != nil {
		t.Errorf("%s has no answer: %v", r.event, err)
		return
	}
	defer response.Body.Close()
	var a answer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%s: %d %v", r.event, response.StatusCode, err)
		return
	}
	r.event.id = a.ID
	if _, err := r.reader.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("%s: the connection ends with %v, want its orderly end", r.event, err)
	}
}

// SIGTERM under load, again and again. Promised is: no connection is reset, nor ends
// before an answer; every 200 is in the stream, after the next start at the latest.
func TestStoppedUnderLoad(t *testing.T) {
	stoppedUnderLoad(t, rounds(8, 3), false)
}

// The same over TLS, where HTTP/2 has a farewell of its own.
func TestStoppedUnderLoadOverTLS(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) { stoppedUnderLoad(t, rounds(5, 2), http2, newPair(t, time.Hour).ingress()...) })
	}
}

func stoppedUnderLoad(t *testing.T, times int, http2 bool, args ...string) {
	t.Helper()
	n := startNATS(t)
	b := startQuick(t, n.url(), args...)
	tr := startTrafficOver(t, b.url, http2)
	var l load
	for round := range times {
		tr.await(50)
		atRandom(200 * time.Millisecond)
		stopWithRequestsBegun(t, b, round, &l)
		b = b.again(t)
	}
	tr.await(100)
	l = append(l, tr.stop()...)
	b.awaitDelivered()
	tr.noneCut()
	auditClean(t, n.url(), l)
}

// noneCut fails the test if a connection was reset or ended before an answer. A post
// may find the port closed, which says plainly that it was not taken, and the sender
// may lose patience with a busy machine whose bridge has its port and not yet its
// spool.
func (tr *traffic) noneCut() {
	tr.t.Helper()
	counts := map[string]int{}
	tr.each(func(a answer) {
		var failed net.Error
		switch {
		case a.err == nil:
			counts[strconv.Itoa(a.code)]++
		case errors.Is(a.err, syscall.ECONNREFUSED):
			counts["port closed"]++
		case errors.As(a.err, &failed) && failed.Timeout():
			counts["too late"]++
		default:
			tr.t.Errorf("a post has no answer: %v", a.err)
		}
	})
	tr.t.Logf("posts by answer: %v", counts)
}

// stopWithRequestsBegun sends SIGTERM while requests have begun, then finishes them.
func stopWithRequestsBegun(t *testing.T, b *bridgeProcess, round int, l *load) {
	t.Helper()
	var requests []begun
	for i := range 32 {
		incident := fmt.Sprintf("begun-%d-%d", round, i)
		e := &event{kind: "triggered", service: "s", incident: incident, body: generated(t, "triggered", incident, "s", incident, false)}
		*l = append(*l, []*event{e})
		requests = append(requests, begin(t, b, e))
	}
	b.signal(syscall.SIGTERM)
	eventually(t, 10*time.Second, "it is stopping", func() bool { return b.said(stoppingLine) > 0 })
	if status, text := b.get("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz of a bridge that is stopping: %d %s", status, text)
	}
	if b.metric("zenduty_bridge_ready") != 0 {
		t.Error("zenduty_bridge_ready of a bridge that is stopping is not 0")
	}
	for _, r := range requests {
		r.finish(t)
	}
	select {
	case <-b.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("not stopped 20 s after SIGTERM")
	}
	if b.err != nil {
		t.Errorf("stopped with %v", b.err)
	}
}

// The first signal's work may take a minute, and NATS is hung: the second signal
// ends it at once, and nothing is lost.
func TestSecondSignalLeavesAtOnce(t *testing.T) {
	for name, args := range map[string][]string{
		"lame duck":   {"--ingress-lame-duck", "1m"},
		"relay drain": {"--ingress-lame-duck", "0s", "--relay-drain-timeout", "1m"},
	} {
		t.Run(name, func(t *testing.T) {
			n := startNATS(t)
			b := startQuick(t, n.url(), args...)
			tr := startTraffic(t, b.url)
			tr.await(100)
			n.hang()
			tr.await(50)
			b.signal(syscall.SIGTERM)
			eventually(t, 10*time.Second, "it is stopping", func() bool { return b.said(stoppingLine) > 0 })
			time.Sleep(time.Second)
			if b.hasEnded() {
				t.Fatal("ended at the first signal, with webhooks pending and a minute to go")
			}
			began := time.Now()
			b.signal(syscall.SIGTERM)
			<-b.ended
			if took := time.Since(began); took > time.Second {
				t.Errorf("left %v after the second signal", took)
			}
			n.resume()
			b = b.again(t)
			tr.await(50)
			l := tr.stop()
			b.awaitDelivered()
			auditClean(t, n.url(), l)
		})
	}
}

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
	"github.com/zenduty-bridge/zenduty-bridge/config"
)

const (
	floodSlow    = 2000                   // connections that never finish their header
	floodRamp    = 5 * time.Second        // in which they are opened, and then again and again
	floodBad     = 1000                   // wrong signatures a second
	floodGivesUp = 100 * time.Millisecond // on the answer to each; it is held back for longer
	floodGood    = 50                     // good webhooks a second
	floodFor     = 12 * time.Second
	floodWithin  = 100 * time.Millisecond // 99 % of them are answered
	floodFactor  = 5                      // times as long as by a bridge in peace, where that is more
	floodMemory  = 300e6
	floodSlowIn  = 10 * time.Second // within which a slow connection is closed
)

// flood is one address's attack on a bridge.
type flood struct {
	t        *testing.T
	bridge   *bridgeProcess
	opening  string // what a slow connection begins with
	client   *http.Client
	stopping chan struct{}
	senders  sync.WaitGroup
	open     atomic.Int64 // slow connections

	mu    sync.Mutex
	lifes []time.Duration // of slow connections that were closed
}

func startFlood(t *testing.T, b *bridgeProcess, opening string) *flood {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: clientTLS(), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	f := &flood{t: t, bridge: b, opening: opening, client: &http.Client{Timeout: floodGivesUp, Transport: transport}, stopping: make(chan struct{})}
	for i := range floodSlow {
		f.senders.Go(func() {
			time.Sleep(floodRamp * time.Duration(i) / floodSlow)
			for !f.stopped() {
				f.drip()
			}
		})
	}
	f.senders.Go(f.forge)
	return f
}

func (f *flood) stopped() bool {
	select {
	case <-f.stopping:
		return true
	default:
		return false
	}
}

// stop opens nothing new, and returns when the bridge has closed all slow connections.
func (f *flood) stop() {
	close(f.stopping)
	f.senders.Wait()
}

// drip opens a connection and sends a byte a second until it is closed.
func (f *flood) drip() {
	conn, err := net.Dial("tcp", f.bridge.address())
	if err != nil {
		f.t.Error(err)
		return
	}
	defer conn.Close()
	began := time.Now()
	f.open.Add(1)
	defer f.open.Add(-1)
	text := []byte(f.opening)
	for {
		_, _ = conn.Write(text) // Read tells of the end
		text = []byte("y")
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		_, err := conn.Read(make([]byte, 64))
		life := time.Since(began)
		if !errors.Is(err, os.ErrDeadlineExceeded) || life > 3*floodSlowIn {
			f.mu.Lock()
			f.lifes = append(f.lifes, life)
			f.mu.Unlock()
			return
		}
	}
}

// forge posts wrong signatures at a steady rate, whatever becomes of the earlier ones:
// over HTTP/1.1 each leaves a connection behind, over HTTP/2 a stream that is reset.
func (f *flood) forge() {
	body := fixture(f.t, "triggered")
	signature := zenduty.Sign("another key", body)
	began, sent := time.Now(), 0
	for ; !f.stopped(); time.Sleep(5 * time.Millisecond) {
		for ; sent < int(time.Since(began).Seconds()*floodBad); sent++ {
			f.senders.Go(func() {
				request, err := http.NewRequest(http.MethodPost, f.bridge.url, bytes.NewReader(body))
				if err != nil {
					f.t.Error(err)
					return
				}
				request.Header.Set(zenduty.SignatureHeader, signature)
				if response, err := f.client.Do(request); err == nil { // one of the first
					_ = response.Body.Close()
				}
			})
		}
	}
}

// goodWebhooks posts at a steady rate, whether the earlier ones were answered or not,
// over HTTP/1.1 each on a connection of its own, and returns them with their answers.
func goodWebhooks(t *testing.T, url string, d time.Duration) (load, []answer) {
	t.Helper()
	secure := strings.HasPrefix(url, "https")
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: !secure, TLSClientConfig: clientTLS(), ForceAttemptHTTP2: true}}
	answers := make([]answer, int(d.Seconds()*floodGood))
	l := make(load, len(answers))
	var posts sync.WaitGroup
	tick := time.NewTicker(time.Second / floodGood)
	defer tick.Stop()
	for i := range answers {
		<-tick.C
		incident := fmt.Sprintf("good-%d", i)
		e := &event{kind: "triggered", service: "s", incident: incident, body: generated(t, "triggered", incident, "s", "good", false)}
		l[i] = []*event{e}
		posts.Go(func() {
			answers[i] = exchange(client, url, e.body)
			e.id = answers[i].ID
		})
	}
	posts.Wait()
	return l, answers
}

// peakMemory looks at the bridge's memory until the flood ends.
func (f *flood) peakMemory() <-chan float64 {
	peak := make(chan float64, 1)
	go func() {
		most := 0.0
		for ; !f.stopped(); time.Sleep(200 * time.Millisecond) {
			most = max(most, f.bridge.metric("process_resident_memory_bytes"))
		}
		peak <- most
	}()
	return peak
}

// One address holds 2,000 connections open on which no request comes, and posts wrong
// signatures and does not wait for the answers. Good webhooks from the same address are
// answered all the same, about as soon as at the same time by a bridge in peace: what
// else the machine does slows both. In how large a flood is for the benchmark to say.
func TestFlood(t *testing.T) {
	t.Run("HTTP/1.1", func(t *testing.T) {
		tryFlood(t, startBridge(t, t.TempDir()), startBridge(t, t.TempDir()), "POST /webhooks/zenduty HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	})
	t.Run("HTTP/2", func(t *testing.T) {
		secure := newPair(t, time.Hour).ingress()
		tryFlood(t, startBridge(t, t.TempDir(), secure...), startBridge(t, t.TempDir(), secure...), "\x16\x03\x01\x02\x00\x01") // a ClientHello's begin
	})
}

// percentiles are how soon half of the answers have come, 99 % of them, and all.
func percentiles(answers []answer) (p50, p99, most time.Duration) {
	var took []time.Duration
	for _, a := range answers {
		took = append(took, a.took)
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
}

func tryFlood(t *testing.T, b, other *bridgeProcess, opening string) {
	f := startFlood(t, b, opening)
	peak := f.peakMemory()
	eventually(t, 30*time.Second, "the slow connections are open", func() bool { return f.open.Load() >= floodSlow*9/10 })
	var calm []answer
	var posts sync.WaitGroup
	posts.Go(func() { _, calm = goodWebhooks(t, other.url, floodFor) })
	l, answers := goodWebhooks(t, b.url, floodFor)
	posts.Wait()
	f.stop()
	refused := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return a.code == http.StatusOK })
	if slow := b.metric(`zenduty_bridge_webhooks_total{outcome="deadline",source="zenduty"}`); len(refused) > int(slow) {
		t.Errorf("%d good webhooks were not taken, %v of them for a slow disk: %v", len(refused), slow, refused[0])
	}
	p50, p99, _ := percentiles(answers)
	calm50, calm99, calmMost := percentiles(calm)
	// The race detector makes a flood that leaves processor one that does not.
	if !underRace && (p50 > max(floodWithin, floodFactor*calm50) || p99 > max(floodWithin, floodFactor*calm99)) {
		t.Errorf("good webhooks were answered within %v (half) and %v (99 %%), by a bridge in peace within %v and %v", p50, p99, calm50, calm99)
	}
	longest, memory := slices.Max(f.lifes), <-peak
	if len(f.lifes) < floodSlow || longest > floodSlowIn+calmMost {
		t.Errorf("of %d slow connections the longest lasted %v", len(f.lifes), longest)
	}
	if memory > floodMemory && !underRace {
		t.Errorf("%.0f MB in memory", memory/1e6)
	}
	if closed := b.metric(`zenduty_bridge_connections_closed_total{reason="header_timeout"}`); closed < floodSlow {
		t.Errorf("%v connections are counted as closed by the header's timeout", closed)
	}
	told, limited := b.metric(`zenduty_bridge_webhooks_total{outcome="wrong_signature",source="zenduty"}`), b.metric(`zenduty_bridge_webhooks_total{outcome="rate_limited",source="zenduty"}`)
	if told == 0 || limited < 10*told {
		t.Errorf("of the wrong signatures %v were answered with 401, %v with 429", told, limited)
	}
	t.Logf("%d good webhooks: p50 %v, p99 %v, of a bridge in peace %v and %v; %.0f wrong signatures; %d slow connections, closed within %v; memory %.0f MB",
		len(answers), p50, p99, calm50, calm99, told+limited, len(f.lifes), longest, memory/1e6)
	b.awaitDelivered()
	auditClean(t, b.nats, l)
}

// As many connections as may be, of any addresses, with as large a header as is waited
// for, take no more memory than a flood may.
func TestMemoryAtMaxConnections(t *testing.T) {
	if underRace {
		t.Skip("the race detector takes memory of its own")
	}
	b := startBridge(t, t.TempDir(), "--ingress-header-timeout", "1m") // until they are all open
	most := config.Default().Ingress.MaxConnections
	half := []byte("POST /webhooks/zenduty HTTP/1.1\r\nHost: x\r\nX-Slow: " + strings.Repeat("y", 19<<10))
	var conns []net.Conn
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
	})
	for range most + 1 {
		conn, err := net.Dial("tcp", b.address())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		if _, err := conn.Write(half); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 30*time.Second, "one has made way", func() bool {
		return b.metric(`zenduty_bridge_connections_closed_total{reason="evicted"}`) == 1
	})
	if open := b.metric("zenduty_bridge_connections"); open != float64(most) {
		t.Errorf("%v connections are open, %d may be", open, most)
	}
	memory, grown := 0.0, time.Now()
	eventually(t, 30*time.Second, "it takes no more memory", func() bool {
		if now := b.metric("process_resident_memory_bytes"); now > memory {
			memory, grown = now, time.Now()
		}
		return time.Since(grown) > time.Second
	})
	t.Logf("%d connections: %.0f MB", most, memory/1e6)
	if memory > floodMemory {
		t.Errorf("%.0f MB in memory", memory/1e6)
	}
}

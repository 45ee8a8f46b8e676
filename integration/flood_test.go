package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
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
)

const (
	floodSlow   = 2000            // connections that never finish their header
	floodBad    = 256             // connections that post wrong signatures, as fast as they can
	floodRamp   = 5 * time.Second // in which they are opened, and then again and again
	floodGood   = 50              // good webhooks a second, each on a connection of its own
	floodFor    = 12 * time.Second
	floodMemory = 300e6
	floodSlowIn = 10 * time.Second // within which a slow connection is closed
)

// flood is one address's attack on a bridge.
type flood struct {
	t        *testing.T
	address  string
	stopping chan struct{}
	senders  sync.WaitGroup
	open     atomic.Int64 // slow connections

	mu       sync.Mutex
	lifes    []time.Duration // of slow connections that were closed
	statuses map[int]int     // of wrong signatures
}

func startFlood(t *testing.T, b *bridgeProcess) *flood {
	t.Helper()
	host, _, _ := strings.Cut(strings.TrimPrefix(b.url, "http://"), "/")
	f := &flood{t: t, address: host, stopping: make(chan struct{}), statuses: map[int]int{}}
	for i := range floodSlow {
		f.senders.Go(func() {
			time.Sleep(floodRamp * time.Duration(i) / floodSlow)
			for !f.stopped() {
				f.drip()
			}
		})
	}
	for range floodBad {
		f.senders.Go(f.forge)
	}
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

// drip opens a connection and sends a byte of its header a second until it is closed.
func (f *flood) drip() {
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer conn.Close()
	began := time.Now()
	f.open.Add(1)
	defer f.open.Add(-1)
	text := []byte("POST /webhooks/zenduty HTTP/1.1\r\nHost: x\r\nX-Slow: ")
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

// forge posts wrong signatures one after the other.
func (f *flood) forge() {
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer conn.Close()
	body := fixture(f.t, "triggered")
	request := fmt.Appendf(nil, "POST /webhooks/zenduty HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s",
		zenduty.SignatureHeader, zenduty.Sign("another key", body), len(body), body)
	for reader := bufio.NewReader(conn); !f.stopped(); {
		if _, err := conn.Write(request); err != nil {
			f.t.Error(err)
			return
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			f.t.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		f.mu.Lock()
		f.statuses[response.StatusCode]++
		f.mu.Unlock()
	}
}

// goodWebhooks posts at a steady rate, whether the earlier ones were answered or not,
// and returns them with their answers.
func goodWebhooks(t *testing.T, url string, d time.Duration) (load, []answer) {
	t.Helper()
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
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
func (f *flood) peakMemory(b *bridgeProcess) <-chan float64 {
	peak := make(chan float64, 1)
	go func() {
		most := 0.0
		for ; !f.stopped(); time.Sleep(200 * time.Millisecond) {
			most = max(most, b.metric("process_resident_memory_bytes"))
		}
		peak <- most
	}()
	return peak
}

// One address holds 2,000 connections open by slow headers, and posts as many wrong
// signatures as it can. Good webhooks from the same address are answered all the same.
func TestFlood(t *testing.T) {
	b := startBridge(t, t.TempDir())
	f := startFlood(t, b)
	peak := f.peakMemory(b)
	eventually(t, 30*time.Second, "the slow connections are open", func() bool { return f.open.Load() >= floodSlow*9/10 })
	l, answers := goodWebhooks(t, b.url, floodFor)
	f.stop()
	slices.SortFunc(answers, func(a, b answer) int { return int(a.took - b.took) })
	for _, a := range answers {
		if a.code != http.StatusOK {
			t.Errorf("a good webhook was not taken: %d %v", a.code, a.err)
		}
	}
	longest, memory := slices.Max(f.lifes), <-peak
	t.Logf("%d good webhooks: p50 %v, p99 %v, longest %v; wrong signatures: %v in %v; %d slow connections, closed within %v; memory %.0f MB",
		len(answers), answers[len(answers)/2].took, answers[len(answers)*99/100].took, answers[len(answers)-1].took,
		f.statuses, floodFor, len(f.lifes), longest, memory/1e6)
	if len(f.lifes) < floodSlow || longest > floodSlowIn {
		t.Errorf("of %d slow connections the longest lasted %v", len(f.lifes), longest)
	}
	if memory > floodMemory && !underRace {
		t.Errorf("%.0f MB in memory", memory/1e6)
	}
	if f.statuses[http.StatusTooManyRequests] == 0 || len(f.statuses) != 2 || f.statuses[http.StatusUnauthorized] == 0 {
		t.Errorf("wrong signatures by answer: %v", f.statuses)
	}
	if closed := b.metric(`zenduty_bridge_connections_closed_total{reason="header_timeout"}`); closed < floodSlow {
		t.Errorf("%v connections are counted as closed by the header's timeout", closed)
	}
	b.awaitDelivered()
	auditClean(t, b.nats, l)
}

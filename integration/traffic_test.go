package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// traffic posts incidents side by side, each one's events in order, for as long
// as a scenario lasts. Half of its senders are insistent: they post the same bytes
// until they get a 200. The others post once, whatever comes back, and go on. Half
// keep their connections, the others open one for each post.
type traffic struct {
	t         *testing.T
	url       string
	keeping   *http.Client
	opening   *http.Client
	templates map[string][]byte // the samples, by kind
	stopping  chan struct{}
	senders   sync.WaitGroup
	name      string        // begins the names of its incidents
	pause     time.Duration // of each sender, after an event and before a retry
	incidents atomic.Int64

	mu      sync.Mutex
	load    load
	answers []answer
}

const (
	trafficSenders = 12
	trafficPause   = 25 * time.Millisecond
)

// startTraffic begins to post, over HTTP/1.1; stop ends it.
func startTraffic(t *testing.T, url string) *traffic {
	t.Helper()
	return startTrafficAs(t, url, trafficPause, false)
}

// startTrafficOver is startTraffic, over HTTP/2 if that is asked for.
func startTrafficOver(t *testing.T, url string, http2 bool) *traffic {
	t.Helper()
	return startTrafficAs(t, url, trafficPause, http2)
}

// startTrafficAs is startTraffic, with another pause after an event and before a retry.
func startTrafficAs(t *testing.T, url string, pause time.Duration, http2 bool) *traffic {
	t.Helper()
	tr := &traffic{
		t: t, url: url, pause: pause, name: fmt.Sprintf("traffic-%08x", rand.Uint32()), templates: map[string][]byte{}, stopping: make(chan struct{}),
		keeping: &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: trafficSenders, TLSClientConfig: clientTLS(), ForceAttemptHTTP2: http2}},
		opening: &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: clientTLS(), ForceAttemptHTTP2: http2}},
	}
	for _, kind := range kinds {
		tr.templates[kind] = fixture(t, kind)
	}
	for i := range trafficSenders {
		client := tr.keeping
		if i%4 >= 2 {
			client = tr.opening
		}
		tr.senders.Go(func() { tr.send(client, i%2 == 0, rand.New(rand.NewPCG(uint64(i), 3))) })
	}
	t.Cleanup(func() { tr.stop() })
	return tr
}

// pass posts for a while and returns what was posted.
func pass(t *testing.T, url string, d time.Duration) load {
	t.Helper()
	tr := startTraffic(t, url)
	time.Sleep(d)
	return tr.stop()
}

// stop lets the incidents that have begun come to their end and returns all that
// was posted. It may be called again.
func (tr *traffic) stop() load {
	tr.mu.Lock()
	select {
	case <-tr.stopping:
	default:
		close(tr.stopping)
	}
	tr.mu.Unlock()
	tr.senders.Wait()
	return tr.load
}

func (tr *traffic) send(client *http.Client, insistent bool, random *rand.Rand) {
	for {
		events, err := tr.incident(random)
		if err != nil {
			tr.t.Error(err)
			return
		}
		tr.mu.Lock()
		tr.load = append(tr.load, events)
		tr.mu.Unlock()
		for _, e := range events {
			tr.post(client, e, insistent)
		}
		select {
		case <-tr.stopping:
			return
		default:
		}
	}
}

// post sends one event, once or until it is taken.
func (tr *traffic) post(client *http.Client, e *event, insistent bool) {
	for deadline := time.Now().Add(time.Minute); ; {
		a := exchange(client, tr.url, e.body)
		tr.mu.Lock()
		tr.answers = append(tr.answers, a)
		tr.mu.Unlock()
		time.Sleep(tr.pause)
		if a.code == http.StatusOK {
			e.id = a.ID
			return
		}
		if !insistent {
			return
		}
		if time.Now().After(deadline) {
			tr.t.Errorf("%s not taken within a minute: %d %v", e, a.code, a.err)
			return
		}
	}
}

// incident makes the next incident: three to six events, or now and then three
// webhooks that cannot be keyed.
func (tr *traffic) incident(random *rand.Rand) (events []*event, err error) {
	name := fmt.Sprintf("%s-%d", tr.name, tr.incidents.Add(1))
	if random.IntN(16) == 0 {
		return unkeyable(name), nil
	}
	service, title := fmt.Sprintf("service-%d", random.IntN(7)), titles[random.IntN(len(titles))]
	for number := range 3 + random.IntN(4) {
		kind := kinds[number%len(kinds)]
		body := rewrite(tr.templates[kind], name, service, fmt.Sprintf("%d %s", number, title))
		if random.IntN(2) == 0 {
			if body, err = zenduty.AppendDumps(nil, body); err != nil {
				return nil, err
			}
		}
		events = append(events, &event{kind: kind, service: service, incident: name, number: number, body: body})
	}
	return events, nil
}

// unkeyable is three webhooks that are authentic and no JSON objects.
func unkeyable(name string) (events []*event) {
	for number := range 3 {
		events = append(events, &event{incident: name, number: number, body: fmt.Appendf(nil, `"%s %d"`, name, number)})
	}
	return events
}

// each calls visit for every answer so far.
func (tr *traffic) each(visit func(answer)) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, a := range tr.answers {
		visit(a)
	}
}

// count is how many answers so far have that status; 0 for no answer.
func (tr *traffic) count(code int) (n int) {
	tr.each(func(a answer) {
		if a.code == code {
			n++
		}
	})
	return n
}

// await waits until n more webhooks were answered with 200.
func (tr *traffic) await(n int) {
	tr.t.Helper()
	goal := tr.count(http.StatusOK) + n
	eventually(tr.t, time.Minute, fmt.Sprintf("%d more webhooks are taken", n), func() bool { return tr.count(http.StatusOK) >= goal })
}

// allTaken fails the test unless every single post was answered with 200, soon.
// The bound is generous, for the sake of busy machines; the log has the figures.
func (tr *traffic) allTaken(within time.Duration) {
	tr.t.Helper()
	var took []time.Duration
	tr.each(func(a answer) {
		took = append(took, a.took)
		if a.code != http.StatusOK {
			tr.t.Errorf("not taken: %d %v", a.code, a.err)
		}
	})
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	tr.t.Logf("%d webhooks, answered within: half %v, 99 %% %v, all %v", len(took), took[len(took)/2], p99, took[len(took)-1])
	if p99 > within {
		tr.t.Errorf("99 %% were answered within %v, want %v", p99, within)
	}
}

// allDelivered lets it go on when a fault is over, ends it, and fails the test unless
// every single post was taken, soon, and is in the stream as it should be.
func (tr *traffic) allDelivered(b *bridgeProcess, n *natsProcess) {
	tr.t.Helper()
	tr.await(100)
	l := tr.stop()
	tr.allTaken(answersWithin)
	b.awaitDelivered()
	auditClean(tr.t, n.url(), l)
}

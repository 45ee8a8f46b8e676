package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// event is one webhook of a load.
type event struct {
	kind, service, incident string // kind is empty for a webhook that cannot be keyed
	number                  int    // position within the incident
	body                    []byte
	id                      string // as answered; empty while there was no 200
	setAside                bool   // JetStream is known to refuse it for good
}

// load is incidents with their events in order.
type load [][]*event

var kinds = []string{"triggered", "acknowledged", "resolved"}

// fixture returns one of Zenduty's sample payloads.
func fixture(t *testing.T, kind string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + kind + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const (
	fixtureIncident = "vuwtGfyHf9JaN5vg5sEc4N"
	fixtureService  = "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0"
	fixtureTitle    = "Free disk space is less than 20% on volume sdx-03"
)

// fixtureLoad is n incidents exactly as the samples have them, but for their ids.
func fixtureLoad(t *testing.T, n int) load {
	t.Helper()
	l := make(load, n)
	for i := range l {
		incident := fmt.Sprintf("fixture-%d", i)
		for j, kind := range kinds {
			body := bytes.ReplaceAll(fixture(t, kind), []byte(fixtureIncident), []byte(incident))
			l[i] = append(l[i], &event{kind: kind, service: fixtureService, incident: incident, number: j, body: body})
		}
	}
	return l
}

// titles that have broken JSON, HTTP and header code somewhere.
var titles = []string{
	"plain", "", "Überlast: «Платежи» 支払い 🔥", `quotes " and \ and </script>`, "line\nbreak\ttab\x00nul\x7f",
	"\u2028\u2029\ufeff", strings.Repeat("very long ", 4000), "%s %d {{template}} ${env}", "\ufffd\U0010ffff",
}

// generatedLoad is n incidents of three events with titles of every kind, several
// services, and bodies that differ in their spelling.
func generatedLoad(t *testing.T, n int, seed uint64) load {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	l := make(load, n)
	for i := range l {
		incident, service := fmt.Sprintf("inc-%d-%d", seed, i), fmt.Sprintf("service-%d", random.IntN(7))
		title := titles[random.IntN(len(titles))]
		for j, kind := range kinds {
			body := generated(t, kind, incident, service, title, random.IntN(2) == 0)
			l[i] = append(l[i], &event{kind: kind, service: service, incident: incident, number: j, body: body})
		}
	}
	return l
}

func generated(t *testing.T, kind, incident, service, title string, python bool) []byte {
	t.Helper()
	body := rewrite(fixture(t, kind), incident, service, title)
	if !python {
		return body
	}
	dumps, err := zenduty.AppendDumps(nil, body)
	if err != nil {
		t.Fatal(err)
	}
	return dumps
}

// rewrite makes another incident of a sample.
func rewrite(sample []byte, incident, service, title string) []byte {
	text, _ := json.Marshal(title) // a string is never refused
	body := bytes.ReplaceAll(sample, []byte(fixtureIncident), []byte(incident))
	body = bytes.ReplaceAll(body, []byte(fixtureService), []byte(service))
	return bytes.ReplaceAll(body, []byte(`"`+fixtureTitle+`"`), text)
}

// answer is what came back for one post.
type answer struct {
	code       int // HTTP status; 0 is no answer, and err says why
	retryAfter string
	took       time.Duration
	err        error

	Status, ID string // of a 200
}

// exchange posts one signed body.
func exchange(c *http.Client, url string, body []byte) answer {
	began := time.Now()
	a, err := tryExchange(c, url, body)
	a.took, a.err = time.Since(began), err
	if err != nil {
		a.code = 0
	}
	return a
}

func tryExchange(c *http.Client, url string, body []byte) (a answer, err error) {
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(zenduty.SignatureHeader, zenduty.Sign(signingKey, body))
	response, err := c.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return a, err
	}
	a.code, a.retryAfter = response.StatusCode, response.Header.Get("Retry-After")
	if a.code == http.StatusOK {
		err = json.Unmarshal(text, &a)
	}
	return a, err
}

// post sends one webhook and returns the status; 0 is no answer.
func post(url string, e *event) (status int, err error) {
	a := exchange(client, url, e.body)
	if a.code == http.StatusOK {
		e.id = a.ID
	}
	return a.code, a.err
}

// client waits as long as Zenduty does.
var client = &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 128, TLSClientConfig: clientTLS()}}

// postAll posts a load's incidents side by side, each one's events in order, and
// fails the test on anything but 200.
func postAll(t *testing.T, url string, l load, concurrency int) {
	t.Helper()
	incidents := make(chan []*event)
	var posters sync.WaitGroup
	for range concurrency {
		posters.Go(func() {
			for events := range incidents {
				for _, e := range events {
					if status, err := post(url, e); status != http.StatusOK {
						t.Errorf("%s of %s: %d, %v", e.kind, e.incident, status, err)
					}
				}
			}
		})
	}
	for _, events := range l {
		incidents <- events
	}
	close(incidents)
	posters.Wait()
}

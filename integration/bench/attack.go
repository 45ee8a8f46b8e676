//go:build linux

package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// attackRate is in webhooks a second.
const attackRate = 1000

// attack is webhooks posted in an open loop: each at its time, whether the earlier
// ones were answered or not, so that a stall shows in every latency it caused.
type attack struct {
	attacker *vegeta.Attacker
	done     chan struct{} // closed when the last answer is in

	mu      sync.Mutex
	answers []answer
	refused int
	err     error // of the first that failed
}

type answer struct {
	id   string // of the webhook
	sent time.Time
	took time.Duration
}

// startAttack begins to post to address; stop ends it.
func (b *bench) startAttack(address string) *attack {
	return b.startAttackAt(address, attackRate, true)
}

// startAttackAt is startAttack at a rate a second, on connections that are kept or on
// one for each webhook.
func (b *bench) startAttackAt(address string, rate int, keep bool) *attack {
	a := &attack{
		attacker: vegeta.NewAttacker(vegeta.Workers(16), vegeta.Timeout(answerWithin), vegeta.KeepAlive(keep)),
		done:     make(chan struct{}),
	}
	results := a.attacker.Attack(b.targeter(address), vegeta.Rate{Freq: rate, Per: time.Second}, 0, "")
	go func() {
		for r := range results {
			a.note(r)
		}
		close(a.done)
	}()
	return a
}

// targeter makes distinct webhooks, an incident's a second apart.
func (b *bench) targeter(address string) vegeta.Targeter {
	var mu sync.Mutex
	s := newSequence(attackRate)
	return func(t *vegeta.Target) error {
		mu.Lock()
		incident, kind := s.next()
		mu.Unlock()
		sample := &b.samples[kind]
		body := slices.Clone(sample.body)
		sample.fill(body, incident)
		mac := hmac.New(sha256.New, []byte(signingKey))
		_, _ = mac.Write(body)
		*t = vegeta.Target{
			Method: http.MethodPost, URL: "http://" + address + "/webhooks/zenduty", Body: body,
			Header: http.Header{
				"Content-Type": {"application/json"},
				"X-Signature":  {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
			},
		}
		return nil
	}
}

func (a *attack) note(r *vegeta.Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var text struct{ Status, ID string }
	err := json.Unmarshal(r.Body, &text)
	if r.Code != http.StatusOK || err != nil || text.Status != "accepted" {
		a.refused++
		a.err = cmp.Or(a.err, fmt.Errorf("%w: %d %s %.300s", errRefused, r.Code, r.Error, r.Body))
	}
	a.answers = append(a.answers, answer{text.ID, r.Timestamp, r.Latency})
}

// byID is all answers, after stop.
func (a *attack) byID() map[string]answer {
	answers := map[string]answer{}
	for _, one := range a.answers {
		answers[one.id] = one
	}
	return answers
}

// count is how many were answered so far; the error is of the first that was not
// with 200.
func (a *attack) count() (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int64(len(a.answers)), a.err
}

// await waits until n were answered.
func (a *attack) await(ctx context.Context, n int64) error {
	for {
		have, err := a.count()
		switch {
		case err != nil:
			return err
		case have >= n:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// during lets it go on for d and returns the time that was.
func (a *attack) during(ctx context.Context, d time.Duration) (span, error) {
	from := time.Now()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return span{}, context.Cause(ctx)
	}
	_, err := a.count()
	return span{from, time.Now()}, err
}

type span struct{ from, to time.Time }

// stop ends it when what was sent is answered, and returns how many were.
func (a *attack) stop() (int64, error) {
	a.attacker.Stop()
	<-a.done
	return a.count()
}

// latency is how long the answers to what was sent within s took, in milliseconds.
func (a *attack) latency(s span) (p50, p99, longest float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var took []time.Duration
	for _, answer := range a.answers {
		if !answer.sent.Before(s.from) && answer.sent.Before(s.to) {
			took = append(took, answer.took)
		}
	}
	if len(took) == 0 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	slices.Sort(took)
	at := func(p float64) float64 { // nearest rank: one that was really measured
		return took[int(math.Ceil(p*float64(len(took))))-1].Seconds() * 1000
	}
	return at(0.50), at(0.99), at(1)
}

// recordLatency records them under name.
func (b *bench) recordLatency(a *attack, s span, name string) {
	p50, p99, longest := a.latency(s)
	b.record(name+" p50", "ms", p50)
	b.record(name+" p99", "ms", p99)
	b.record(name+" max", "ms", longest)
}

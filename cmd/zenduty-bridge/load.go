package main

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// webhook is one to send.
type webhook struct {
	event  string
	number int64 // of its incident; 0 if unknown
	body   []byte
}

// load is what to send and how fast.
type load struct {
	// incidents is how many there are. Up to concurrency of them are under way at
	// once; the webhooks of one are sent one after the other.
	incidents, concurrency int
	// webhooks are those of the incident i, each asked for when it is due; there
	// are perIncident of them.
	webhooks    func(i int) iter.Seq[webhook]
	perIncident int
	// rate is in webhooks a second. Their times are then fixed beforehand, and a
	// webhook that goes out late because earlier ones were not answered has been
	// waiting since its time: a stall shows in every latency that it caused.
	// 0 sends each as soon as it can be.
	rate float64
}

func (l load) total() int { return l.incidents * l.perIncident }

// run sends until all is sent or ctx ends; what is then under way is still
// answered. answered is called for every answer, by several goroutines.
func (l load) run(ctx context.Context, t *target, answered func(delivery)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	began := time.Now()
	for range min(l.concurrency, l.incidents) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < l.incidents && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				l.sendIncident(ctx, t, began, i, answered)
			}
		})
	}
	workers.Wait()
}

// delivery is a webhook with its answer.
type delivery struct {
	webhook
	answer
	took time.Duration // from when the webhook was due
}

func (l load) sendIncident(ctx context.Context, t *target, began time.Time, i int, answered func(delivery)) {
	if !sleepUntil(ctx, l.due(began, i*l.perIncident)) {
		return
	}
	n := 0
	for w := range l.webhooks(i) {
		due := l.due(began, i*l.perIncident+n)
		if n++; !sleepUntil(ctx, due) {
			return
		}
		a := t.post(context.WithoutCancel(ctx), w.body)
		answered(delivery{webhook: w, answer: a, took: time.Since(due)})
	}
}

// due is when the webhook n of all goes out.
func (l load) due(began time.Time, n int) time.Time {
	if l.rate == 0 {
		return time.Now()
	}
	return began.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
}

// sleepUntil reports whether ctx lasted until then.
func sleepUntil(ctx context.Context, then time.Time) bool {
	if wait := time.Until(then); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	return ctx.Err() == nil
}

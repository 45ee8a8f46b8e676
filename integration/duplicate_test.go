package integration

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// postAtOnce posts the same bytes n times at once.
func postAtOnce(url string, body []byte, n int) []answer {
	answers := make([]answer, n)
	start := make(chan struct{})
	var posts sync.WaitGroup
	for i := range answers {
		posts.Go(func() {
			<-start
			answers[i] = exchange(client, url, body)
		})
	}
	close(start)
	posts.Wait()
	return answers
}

// tally counts the answers by what they say; 200 of another id than e's are faults.
func (e *event) tally(t *testing.T, answers []answer) map[string]int {
	t.Helper()
	tally := map[string]int{}
	for _, a := range answers {
		if a.code != http.StatusOK {
			tally["none"]++
			continue
		}
		tally[a.Status]++
		if e.id == "" {
			e.id = a.ID
		}
		if a.ID != e.id {
			t.Errorf("%s has the ids %s and %s", e, e.id, a.ID)
		}
	}
	return tally
}

// One of fifty is accepted, whichever; the rest are duplicates, also later, and
// after the bridge was killed and started again.
func TestSameWebhookManyTimes(t *testing.T) {
	const at = 50
	n := startNATS(t)
	b := startQuick(t, n.url())
	l := generatedLoad(t, rounds(10, 3), 11)
	check := func(e *event, accepted int) {
		t.Helper()
		tally := e.tally(t, postAtOnce(b.url, e.body, at))
		if tally["accepted"] != accepted || tally["duplicate"] != at-accepted {
			t.Errorf("%s, %d times at once: %v, want %d accepted", e, at, tally, accepted)
		}
	}
	all := func(accepted int) {
		t.Helper()
		for _, events := range l {
			for _, e := range events {
				check(e, accepted)
			}
		}
	}
	all(1)
	all(0)
	b.awaitDelivered()
	all(0) // JetStream has it, the bridge has its history
	b.kill()
	b = b.again(t)
	all(0)
	b.awaitDelivered()
	auditClean(t, n.url(), l)
}

// Killed while fifty of each are on their way: some are answered, most are not.
// Posted again they are all taken, and whatever was answered, it is one message.
func TestSameWebhookManyTimesAroundAKill(t *testing.T) {
	n := startNATS(t)
	b := startQuick(t, n.url())
	l := generatedLoad(t, rounds(20, 5), 12)
	for _, events := range l {
		e := events[0]
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			atRandom(8 * time.Millisecond)
			b.kill()
		}()
		before := e.tally(t, postAtOnce(b.url, e.body, 50))
		<-ended
		b = b.again(t)
		after := e.tally(t, postAtOnce(b.url, e.body, 50))
		if before["accepted"]+after["accepted"] > 1 || after["none"] > 0 {
			t.Errorf("%s: %v, and %v after the kill", e, before, after)
		}
	}
	b.awaitDelivered()
	auditClean(t, n.url(), l)
}

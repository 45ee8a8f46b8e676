package publisher

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// benchMessage is of the size of Zenduty's webhooks.
func benchMessage(n int) *Message {
	return &Message{
		ID: fmt.Sprintf("%032d", n), Source: "zenduty", EventType: "triggered",
		Service: "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0", Incident: "vuwtGfyHf9JaN5vg5sEc4N",
		Time: time.Unix(1590090136, 372614000), Data: make([]byte, 1300),
	}
}

// BenchmarkPublish publishes to a real nats-server, as many at once as the relay
// does by default. Time and allocations include the server's, which runs in this
// process; what the publisher itself makes of a message is BenchmarkHeader.
func BenchmarkPublish(b *testing.B) {
	s := runServer(b, b.TempDir(), 0, nil)
	p := newPublisher(b, s.ClientURL(), nil)
	ensure(b, p)
	window := make(chan struct{}, 4096)
	var outstanding sync.WaitGroup
	done := func(_ Ack, err *Error) {
		if err != nil {
			b.Error(err)
		}
		<-window
		outstanding.Done()
	}
	b.SetBytes(1300)
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N { // not b.Loop, whose clock would stop before the last acknowledgements
		window <- struct{}{}
		outstanding.Add(1)
		p.Publish(benchMessage(n), done)
	}
	outstanding.Wait()
}

// BenchmarkHeader is a message's subject and headers.
func BenchmarkHeader(b *testing.B) {
	p := &Publisher{opts: Options{}.withDefaults()}
	m := benchMessage(1)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = p.subject(m), header(m)
	}
}

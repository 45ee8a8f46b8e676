//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// maxPending is how many publishes may wait for their acknowledgement: as many as
// the bridge's relay.window is.
const maxPending = 4096

// publish is what JetStream takes at most from one client: n messages, published
// asynchronously and as they come, from memory, over one connection. Their bodies
// are webhooks; with headers they are the bridge's, ids included, else none, as
// those of `nats bench js pub async`.
func publish(url string, samples [len(kinds)]sample, n int, headers bool) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	var failed sync.Once
	var first error
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(maxPending),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { failed.Do(func() { first = err }) }))
	if err != nil {
		return err
	}
	for s := newSequence(incidentsAtOnce * 256); n > 0; n-- {
		if _, err := js.PublishMsgAsync(newMessage(samples, s, headers), jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
	}
	<-js.PublishAsyncComplete()
	failed.Do(func() {}) // what the handler wrote is now seen here
	return first
}

func newMessage(samples [len(kinds)]sample, s *sequence, headers bool) *nats.Msg {
	incident, kind := s.next()
	sample := &samples[kind]
	body := slices.Clone(sample.body)
	sample.fill(body, incident)
	msg := &nats.Msg{Subject: "zenduty.incident." + kinds[kind] + "." + string(body[sample.service:sample.service+len(sampleService)]), Data: body}
	if headers {
		id := fmt.Sprintf("%032x", incident<<2|uint64(kind)) // as long as the bridge's
		msg.Header = nats.Header{
			nats.MsgIdHdr:        {id},
			"ce-specversion":     {"1.0"},
			"ce-id":              {id},
			"ce-source":          {"/webhooks/zenduty"},
			"ce-type":            {"com.zenduty.incident." + kinds[kind]},
			"ce-time":            {"2020-05-28T16:46:46.020227Z"},
			"ce-datacontenttype": {"application/json"},
			"ce-subject":         {string(body[sample.id : sample.id+idSize])},
		}
	}
	return msg
}

// makeStream lets a bridge make the stream on a nats-server, so that it is as the
// bridge's in everything.
func (b *bench) makeStream(ctx context.Context, n *natsServer) error {
	data, err := b.newData()
	if err != nil {
		return err
	}
	maker, err := b.startBridge(ctx, n.url(), data)
	if err != nil {
		return err
	}
	r, err := n.reader()
	if err != nil {
		return err
	}
	defer r.close()
	if _, err := r.stream(ctx); err != nil {
		return err
	}
	return maker.stop()
}

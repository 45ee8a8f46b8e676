package publisher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// requestTimeout bounds a request to the stream; of a look through it, the time
// without a message.
const requestTimeout = 10 * time.Second

// Find looks for messages by their Nats-Msg-Id among those with a sequence number
// above after, and returns the sequence numbers of those that are there. It reads
// headers only, up to the last message there was when it began.
func (p *Publisher) Find(ctx context.Context, ids map[string]bool, after uint64) (map[string]uint64, error) {
	found := map[string]uint64{}
	return found, p.look(ctx, after, func(id string, sequence uint64) bool {
		if ids[id] {
			found[id] = sequence
		}
		return true
	})
}

// IDAt returns the Nats-Msg-Id of the message with a sequence number; "" if there
// is no such message, or it has no id.
func (p *Publisher) IDAt(ctx context.Context, sequence uint64) (string, error) {
	at := ""
	return at, p.look(ctx, sequence-1, func(id string, found uint64) bool {
		if found == sequence {
			at = id
		}
		return false
	})
}

// look calls each for the messages with a sequence number above after, until it
// returns false.
func (p *Publisher) look(ctx context.Context, after uint64, each func(id string, sequence uint64) bool) error {
	if err := p.readHeaders(ctx, after, each); err != nil {
		return fmt.Errorf("look into stream %s after %d: %w", p.opts.Stream.Name, after, err)
	}
	return nil
}

func (p *Publisher) readHeaders(ctx context.Context, after uint64, each func(id string, sequence uint64) bool) error {
	r, err := p.consume(ctx, after)
	if err != nil || r == nil {
		return err
	}
	r.each = each
	for more := true; more && err == nil; {
		err = p.denied.ask(ctx, consumerNext, func(ctx context.Context) (err error) {
			more, err = r.readBatch(ctx)
			return err
		})
	}
	return err
}

// reader reads the stream up to last.
type reader struct {
	consumer jetstream.Consumer
	last     uint64
	each     func(id string, sequence uint64) bool
	received uint64 // messages
}

// consume begins to read the stream; the reader is nil if there is nothing to read.
// The consumer is not deleted, which would need another right: it ends by itself.
func (p *Publisher) consume(ctx context.Context, after uint64) (*reader, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := p.streamInfo(ctx)
	if err != nil || info.State.LastSeq <= after || info.State.Msgs == 0 {
		return nil, err
	}
	r := &reader{last: info.State.LastSeq}
	err = p.denied.ask(ctx, consumerCreate, func(ctx context.Context) (err error) {
		r.consumer, err = p.js.CreateConsumer(ctx, p.opts.Stream.Name, jetstream.ConsumerConfig{
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1, HeadersOnly: true,
			AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: 30 * time.Second,
		})
		return err
	})
	if err != nil || r.consumer.CachedInfo().NumPending == 0 { // none left of those that there were
		return nil, err
	}
	return r, nil
}

// readBatch reads the next messages; more is false after the last one, or when each
// has returned false.
func (r *reader) readBatch(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	batch, err := r.consumer.Fetch(1000, jetstream.FetchContext(ctx))
	if err != nil {
		return false, err
	}
	before := r.received
	for msg := range batch.Messages() {
		meta, err := msg.Metadata()
		if err != nil {
			return false, err
		}
		r.received++
		if meta.Sequence.Consumer != r.received { // nothing is delivered twice: it would be missed
			return false, fmt.Errorf("message %d of the consumer came after %d others", meta.Sequence.Consumer, r.received-1)
		}
		if !r.each(msg.Headers().Get(nats.MsgIdHdr), meta.Sequence.Stream) || meta.Sequence.Stream >= r.last || meta.NumPending == 0 {
			return false, nil
		}
	}
	if err := batch.Error(); err != nil {
		return false, err
	}
	if r.received == before {
		return false, errors.New("no messages came")
	}
	return true, nil
}

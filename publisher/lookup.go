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
	err := p.readHeaders(ctx, after, each)
	if err != nil && p.blind.Load() {
		return ErrNoRights
	}
	if err != nil {
		return fmt.Errorf("look into stream %s after %d: %w", p.opts.Stream.Name, after, err)
	}
	return nil
}

func (p *Publisher) readHeaders(ctx context.Context, after uint64, each func(id string, sequence uint64) bool) error {
	consumer, last, err := p.consume(ctx, after)
	if err != nil || consumer == nil {
		return err
	}
	for more := true; more && err == nil; {
		more, err = readBatch(ctx, consumer, last, each)
	}
	return err
}

// consume begins to read the stream; consumer is nil if there is nothing to read.
func (p *Publisher) consume(ctx context.Context, after uint64) (consumer jetstream.Consumer, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := p.js.Stream(ctx, p.opts.Stream.Name)
	if err != nil || stream.CachedInfo().State.LastSeq <= after {
		return nil, 0, err
	}
	consumer, err = stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1, HeadersOnly: true,
		InactiveThreshold: 30 * time.Second, // it is not deleted, which would need another right
	})
	if err != nil {
		return nil, 0, err
	}
	info, err := consumer.Info(ctx)
	if err != nil || info.NumPending == 0 { // none left of those that there were
		return nil, 0, err
	}
	return consumer, stream.CachedInfo().State.LastSeq, nil
}

// readBatch reads the next messages, up to last; more is false after that one, or
// when each has returned false.
func readBatch(ctx context.Context, consumer jetstream.Consumer, last uint64, each func(id string, sequence uint64) bool) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	batch, err := consumer.Fetch(1000, jetstream.FetchContext(ctx))
	if err != nil {
		return false, err
	}
	read := 0
	for msg := range batch.Messages() {
		read++
		meta, err := msg.Metadata()
		if err != nil {
			return false, err
		}
		if !each(msg.Headers().Get(nats.MsgIdHdr), meta.Sequence.Stream) || meta.Sequence.Stream >= last || meta.NumPending == 0 {
			return false, nil
		}
	}
	if err := batch.Error(); err != nil {
		return false, err
	}
	if read == 0 {
		return false, errors.New("no messages came")
	}
	return true, nil
}

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
	for more := r.consumer.CachedInfo().NumPending > 0; more && err == nil; {
		err = p.denied.ask(ctx, consumerNext, func(ctx context.Context) (err error) {
			more, err = r.readBatch(ctx)
			return err
		})
	}
	if err != nil || r.complete {
		return err
	}
	return p.confirmRemoved(ctx, r.last)
}

// confirmRemoved returns an error unless the leader does not have a message any more,
// for which the stream was read in vain. The consumer may be on a replica that is
// behind, and then ends where that one does.
func (p *Publisher) confirmRemoved(ctx context.Context, sequence uint64) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := p.denied.ask(ctx, streamMsgGet, func(ctx context.Context) error {
		_, err := getMsg(ctx, p.nc, p.opts.Stream.Name, msgGet{Sequence: sequence})
		return err
	})
	switch {
	case err == nil:
		return fmt.Errorf("the replica that was read is behind: it does not have message %d", sequence)
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil
	}
	return err
}

// reader reads the stream up to last.
type reader struct {
	consumer jetstream.Consumer
	last     uint64
	each     func(id string, sequence uint64) bool
	received uint64 // messages
	complete bool   // last was reached, or each has returned false
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
	return r, err
}

// readBatch reads the next messages; more is false when it is complete, or after the
// last one that the consumer has.
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
		r.complete = !r.each(msg.Headers().Get(nats.MsgIdHdr), meta.Sequence.Stream) || meta.Sequence.Stream >= r.last
		if r.complete || meta.NumPending == 0 {
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

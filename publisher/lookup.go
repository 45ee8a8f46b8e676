package publisher

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Find looks for messages by their Nats-Msg-Id among those with a sequence number
// above after, and returns the sequence numbers of those that are there. It reads
// headers only, up to the last message there was when it began.
func (p *Publisher) Find(ctx context.Context, ids map[string]bool, after uint64) (map[string]uint64, error) {
	found, err := p.find(ctx, ids, after)
	if err != nil && p.blind.Load() {
		return nil, ErrNoRights
	}
	if err != nil {
		return nil, fmt.Errorf("look into stream %s after %d: %w", p.opts.Stream.Name, after, err)
	}
	return found, nil
}

func (p *Publisher) find(ctx context.Context, ids map[string]bool, after uint64) (map[string]uint64, error) {
	stream, err := p.js.Stream(ctx, p.opts.Stream.Name)
	if err != nil {
		return nil, err
	}
	found, last := map[string]uint64{}, stream.CachedInfo().State.LastSeq
	if last <= after {
		return found, nil
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1, HeadersOnly: true,
	})
	if err != nil {
		return nil, err
	}
	info, err := consumer.Info(ctx)
	if err != nil || info.NumPending == 0 { // none left of those that there were
		return found, err
	}
	return found, readHeaders(ctx, consumer, last, func(id string, sequence uint64) {
		if ids[id] {
			found[id] = sequence
		}
	})
}

// readHeaders calls each for every message up to the sequence number last.
func readHeaders(ctx context.Context, consumer jetstream.Consumer, last uint64, each func(id string, sequence uint64)) error {
	for {
		batch, err := consumer.Fetch(1000, jetstream.FetchContext(ctx))
		if err != nil {
			return err
		}
		read := 0
		for msg := range batch.Messages() {
			read++
			meta, err := msg.Metadata()
			if err != nil {
				return err
			}
			each(msg.Headers().Get(nats.MsgIdHdr), meta.Sequence.Stream)
			if meta.Sequence.Stream >= last || meta.NumPending == 0 {
				return nil
			}
		}
		if err := batch.Error(); err != nil {
			return err
		}
		if read == 0 {
			return errors.New("no messages came")
		}
	}
}

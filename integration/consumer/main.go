// Command consumer is a worked example of a service that reads incidents from the
// bridge's stream: durable, in order, and once.
//
//	go run ./integration/consumer --nats nats://127.0.0.1:4222 --out incidents.log
//
// Its work is to write a line for each event to a file. Replace it with your own,
// and keep what is around it:
//
//   - A durable pull consumer: the server remembers what is done, whatever becomes of
//     this process.
//   - One message at a time (MaxAckPending: 1): the next event of an incident waits
//     until this one is done, also while a failed one waits to be tried again. For
//     more at once, run several with filters of their own, such as
//     zenduty.incident.*.<service>, as an incident stays with its service.
//   - The webhook's id (ce-id) is kept together with the work, here in the same line,
//     elsewhere in the same transaction. A message that comes again, because this
//     process died or the acknowledgement was lost after the work, is recognised by it,
//     and so is a replay.
//   - The acknowledgement is acknowledged (DoubleAck): only then is it certain that
//     the message will not come again.
//   - What fails is tried again after a while (NakWithDelay). What can never be handled
//     is put away with the reason (TermWithReason), and does not stop the rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

func main() {
	url := flag.String("nats", nats.DefaultURL, "URL of the bridge's NATS")
	out := flag.String("out", "incidents.log", "file to write a line for each event to")
	ackWait := flag.Duration("ack-wait", 30*time.Second, "time after which a message comes again that is not acknowledged")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, *url, *out, *ackWait)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// run consumes until ctx ends. What is then in hand is still finished.
func run(ctx context.Context, url, out string, ackWait time.Duration) error {
	done, err := openLedger(out)
	if err != nil {
		return err
	}
	defer done.Close()
	nc, err := nats.Connect(url, nats.Name("consumer"), nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", url, err)
	}
	defer nc.Close()
	messages, err := subscribe(ctx, nc, ackWait)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, messages.Drain)()
	log.Print("consuming")
	for {
		msg, err := messages.Next()
		switch {
		case err == nil:
			handle(context.WithoutCancel(ctx), done, msg)
		case errors.Is(err, jetstream.ErrNoHeartbeat): // NATS is away; it goes on by itself
			log.Print(err)
		case ctx.Err() != nil:
			return nil
		default: // the consumer was deleted, say
			return fmt.Errorf("next message: %w", err)
		}
	}
}

// subscribe makes the durable consumer, or finds it where it left off.
func subscribe(ctx context.Context, nc *nats.Conn, ackWait time.Duration) (jetstream.MessagesContext, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	consumer, err := js.CreateOrUpdateConsumer(ctx, "ZENDUTY", jetstream.ConsumerConfig{
		Durable:       "example",
		FilterSubject: "zenduty.incident.*.*",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait, // longer than the work takes; InProgress extends it
		MaxAckPending: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("consumer of stream ZENDUTY: %w", err)
	}
	// One at a time: what waits in this process waits on the server's clock, AckWait.
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1))
	if err != nil {
		return nil, fmt.Errorf("read stream ZENDUTY: %w", err)
	}
	return messages, nil
}

const (
	patience   = 5 * time.Second // for an answer from the server
	retryAfter = 2 * time.Second // what failed is tried again after this
)

// handle does the work for one message and tells the server how that went. If the
// server is not reached, the message comes again.
func handle(ctx context.Context, done *ledger, msg jetstream.Msg) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	id := msg.Headers().Get("ce-id")
	event, err := zenduty.Parse(msg.Data())
	if err != nil || id == "" { // not from a bridge
		log.Printf("put away: %s %q: %v", msg.Subject(), id, err)
		tell(msg.TermWithReason(fmt.Sprintf("no webhook of Zenduty: %v", err)))
		return
	}
	if done.has(id) {
		log.Printf("again: %s is done already", id)
	} else if err := done.add(id, event); err != nil {
		log.Printf("failed: %s: %v; trying again in %s", id, err, retryAfter)
		tell(msg.NakWithDelay(retryAfter))
		return
	}
	tell(msg.DoubleAck(ctx))
}

func tell(err error) {
	if err != nil {
		log.Printf("not told: %v; the message comes again", err)
	}
}

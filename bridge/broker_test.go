package bridge

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// broker is a Publisher with a model of a JetStream stream behind it, whose
// behaviour a test decides message by message.
type broker struct {
	mu      sync.Mutex
	ready   bool
	changed chan struct{}
	calls   sync.WaitGroup // of outcomes still to come
	decide  func(m *publisher.Message, attempt int) fate
	lookErr error         // of Stream, IDAt and Find
	look    func() error  // the same, each time; nil is none
	frozen  chan struct{} // closed when it answers again; nil while it does

	created time.Time
	last    uint64
	window  time.Duration
	stream  []stored

	attempts map[string]int
	flying   map[string]int // by flight
	most     int            // in flight at once, over all incidents
	overlaps []string
	lookups  int
}

// stored is one message of the stream.
type stored struct {
	*publisher.Message
	sequence uint64
	at       time.Time
}

// fate is what happens to one publish.
type fate struct {
	stored  bool             // it arrives
	arrives time.Duration    // when
	err     *publisher.Error // what is told instead of an acknowledgement
	told    time.Duration    // when
}

func newBroker() *broker {
	return &broker{
		ready: true, changed: make(chan struct{}, 1), created: time.Now(), window: 2 * time.Minute,
		decide:   func(*publisher.Message, int) fate { return fate{stored: true} },
		attempts: map[string]int{}, flying: map[string]int{},
	}
}

func (b *broker) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready
}

func (b *broker) Changed() <-chan struct{} { return b.changed }

func (b *broker) setReady(ready bool) {
	b.mu.Lock()
	b.ready = ready
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

func (b *broker) StreamName() string { return "S" }

func (b *broker) Stream(ctx context.Context) (publisher.StreamState, error) {
	if err := b.answers(ctx); err != nil {
		return publisher.StreamState{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.last + 1
	if len(b.stream) > 0 {
		first = b.stream[0].sequence
	}
	return publisher.StreamState{Created: b.created, First: first, Last: b.last, DuplicateWindow: b.window}, b.lookErr
}

func (b *broker) IDAt(ctx context.Context, sequence uint64) (string, error) {
	if err := b.answers(ctx); err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.stream {
		if m.sequence == sequence {
			return m.MessageID(), b.lookErr
		}
	}
	return "", b.lookErr
}

func (b *broker) Find(ctx context.Context, ids map[string]bool, after uint64) (map[string]uint64, error) {
	if err := b.answers(ctx); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lookups++
	found := map[string]uint64{}
	for _, m := range b.stream {
		if ids[m.MessageID()] && m.sequence > after {
			found[m.MessageID()] = m.sequence
		}
	}
	return found, b.lookErr
}

// setFrozen stops the broker where it stands, or lets it go on: what it was sent
// meanwhile it takes then.
func (b *broker) setFrozen(frozen bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case frozen && b.frozen == nil:
		b.frozen = make(chan struct{})
	case !frozen && b.frozen != nil:
		close(b.frozen)
		b.frozen = nil
	}
}

// answers waits until a request is answered, at most as long as ctx.
func (b *broker) answers(ctx context.Context) error {
	b.mu.Lock()
	thaw := b.frozen
	b.mu.Unlock()
	if thaw == nil {
		return b.looking()
	}
	select {
	case <-thaw:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *broker) looking() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.look == nil {
		return nil
	}
	return b.look()
}

// flight is what at most one message may be under way of: an incident, or an incident
// of a replay.
func flight(m *publisher.Message) string { return m.Incident + " " + m.Replay }

func (b *broker) Publish(m *publisher.Message, done func(publisher.Ack, *publisher.Error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attempts[m.MessageID()]++
	b.flying[flight(m)]++
	if b.flying[flight(m)] > 1 {
		b.overlaps = append(b.overlaps, m.Incident)
	}
	total := 0
	for _, n := range b.flying {
		total += n
	}
	b.most = max(b.most, total)
	f := b.decide(m, b.attempts[m.MessageID()])
	b.calls.Add(1)
	go func() {
		defer b.calls.Done()
		b.carryOut(m, f, done)
	}()
}

// ackTimeout is how long a sender waits for a frozen broker.
const ackTimeout = 5 * time.Second

// carryOut stores and tells, in the order of their times. What comes to a frozen
// broker is taken at the thaw, whether or not the sender still waits.
func (b *broker) carryOut(m *publisher.Message, f fate, done func(publisher.Ack, *publisher.Error)) {
	tell := func(ack publisher.Ack, err *publisher.Error) {
		b.mu.Lock()
		b.flying[flight(m)]--
		b.mu.Unlock()
		done(ack, err)
	}
	if f.err != nil && f.told < f.arrives {
		time.Sleep(f.told)
		tell(publisher.Ack{}, f.err)
		time.Sleep(f.arrives - f.told)
		_ = b.answers(context.Background())
		b.store(m, f.stored)
		return
	}
	time.Sleep(f.arrives)
	ctx, cancel := context.WithTimeout(context.Background(), ackTimeout)
	defer cancel()
	if b.answers(ctx) != nil {
		tell(publisher.Ack{}, transient)
		_ = b.answers(context.Background())
		b.store(m, f.stored)
		return
	}
	ack := b.store(m, f.stored)
	time.Sleep(max(0, f.told-f.arrives))
	if b.answers(ctx) != nil { // stopped between storing and telling
		tell(publisher.Ack{}, transient)
		return
	}
	tell(ack, f.err)
}

// store is JetStream: it keeps a message unless it has one of that id, which it
// knows for as long as the duplicate window.
func (b *broker) store(m *publisher.Message, arrives bool) publisher.Ack {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !arrives {
		return publisher.Ack{}
	}
	for _, held := range slices.Backward(b.stream) {
		if held.MessageID() == m.MessageID() && time.Since(held.at) < b.window {
			return publisher.Ack{Stream: "S", Sequence: held.sequence, Duplicate: true}
		}
	}
	b.last++
	b.stream = append(b.stream, stored{Message: m, sequence: b.last, at: time.Now()})
	return publisher.Ack{Stream: "S", Sequence: b.last}
}

// recreate makes another stream of the same name.
func (b *broker) recreate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.created, b.last, b.stream = time.Now(), 0, nil
}

// publishOthers is somebody else publishing n messages.
func (b *broker) publishOthers(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range n {
		b.last++
		m := &publisher.Message{ID: fmt.Sprintf("somebody else's %d", b.last), Incident: "somebody else's"}
		b.stream = append(b.stream, stored{Message: m, sequence: b.last, at: time.Now()})
	}
}

// rollBack forgets the newest n messages, as a store restored from a copy does.
func (b *broker) rollBack(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stream = b.stream[:len(b.stream)-min(n, len(b.stream))]
	b.last = 0
	if len(b.stream) > 0 {
		b.last = b.stream[len(b.stream)-1].sequence
	}
}

// published is what the stream holds of one incident, but for replays.
func (b *broker) published(incident string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var got []string
	for _, m := range b.stream {
		if m.Incident == incident && m.Replay == "" {
			got = append(got, string(m.Data))
		}
	}
	return got
}

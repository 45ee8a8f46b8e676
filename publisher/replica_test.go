package publisher

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// leader answers for the leader of a stream whose last message is 3; the server's own
// stream then is the replica that consumers read.
func leader(t *testing.T, s *server.Server, removed bool) {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	stored := `{"message":{"seq":3,"subject":"s"}}`
	if removed {
		stored = `{"error":{"code":404,"err_code":10037,"description":"no message found"}}`
	}
	for request, answer := range map[string]string{
		"STREAM.INFO":    `{"config":{"name":"ZENDUTY","allow_direct":true,"num_replicas":3},"state":{"messages":3,"first_seq":1,"last_seq":3}}`,
		"STREAM.MSG.GET": stored,
	} {
		if _, err := nc.Subscribe("leader."+request, func(m *nats.Msg) { _ = m.Respond([]byte(answer)) }); err != nil {
			t.Fatal(err)
		}
		if err := s.GlobalAccount().AddMapping("$JS.API."+request+".ZENDUTY", "leader."+request); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// What a replica does not have yet is not taken for removed: that webhook would be
// sent again.
func TestReplicaIsBehind(t *testing.T) {
	for name, c := range map[string]struct {
		has     int  // messages of the replica
		removed bool // message 3, from the leader too
		fails   bool
	}{
		"up to date":          {3, false, false},
		"behind":              {2, false, true},
		"empty":               {0, false, true},
		"the last is removed": {2, true, false},
		"all are removed":     {0, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := runServer(t, t.TempDir(), 0, nil)
			p := newPublisher(t, s.ClientURL(), nil)
			ensure(t, p)
			for i := range c.has {
				send(t, p, incident(fmt.Sprint("id", i+1)))
			}
			leader(t, s, c.removed)
			got, err := p.Find(t.Context(), map[string]bool{"id3": true}, 0)
			if (err != nil) != c.fails || err == nil && (got["id3"] == 3) == c.removed {
				t.Errorf("Find: %v, %v", got, err)
			}
			id, err := p.IDAt(t.Context(), 3)
			if (err != nil) != c.fails || err == nil && (id == "id3") == c.removed {
				t.Errorf("IDAt: %q, %v", id, err)
			}
		})
	}
}

// numbered is a consumer that delivers messages of these numbers of its own.
type numbered struct {
	jetstream.Consumer
	batch numberedBatch
}

type numberedBatch struct{ messages chan jetstream.Msg }

type numberedMsg struct {
	jetstream.Msg
	number uint64
}

func (n numbered) Fetch(int, ...jetstream.FetchOpt) (jetstream.MessageBatch, error) {
	return n.batch, nil
}
func (b numberedBatch) Messages() <-chan jetstream.Msg { return b.messages }
func (numberedBatch) Error() error                     { return nil }
func (numberedMsg) Headers() nats.Header               { return nil }
func (m numberedMsg) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Consumer: m.number, Stream: m.number}, NumPending: 9}, nil
}

// A message that was lost between server and client ends the look.
func TestMessageLostOnTheWay(t *testing.T) {
	messages := make(chan jetstream.Msg, 3)
	for _, number := range []uint64{1, 3, 4} {
		messages <- numberedMsg{number: number}
	}
	close(messages)
	r := &reader{consumer: numbered{batch: numberedBatch{messages}}, last: 10, each: func(string, uint64) bool { return true }}
	if _, err := r.readBatch(t.Context()); err == nil || !strings.Contains(err.Error(), "message 3 of the consumer came after 1 others") {
		t.Errorf("%v", err)
	}
}

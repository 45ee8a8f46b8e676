package publisher

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

func TestFind(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), nil)
	ensure(t, p)
	const n = 2500 // more than one fetch
	wanted := map[string]bool{"never sent": true}
	for i := range n {
		if r := send(t, p, incident(fmt.Sprint(i))); r.err != nil {
			t.Fatal(r.err)
		}
	}
	for _, i := range []int{0, 1, 1499, n - 1} {
		wanted[fmt.Sprint(i)] = true
	}
	for _, test := range []struct {
		after uint64
		want  map[string]uint64
	}{
		{0, map[string]uint64{"0": 1, "1": 2, "1499": 1500, "2499": 2500}},
		{1, map[string]uint64{"1": 2, "1499": 1500, "2499": 2500}},
		{1500, map[string]uint64{"2499": 2500}},
		{n, map[string]uint64{}},
		{n + 10, map[string]uint64{}},
	} {
		got, err := p.Find(context.Background(), wanted, test.after)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("after %d: %s", test.after, diff)
		}
	}
}

// What was deleted leaves holes, at the end too.
func TestFindWithHoles(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), nil)
	ensure(t, p)
	for i := range 5 {
		send(t, p, incident(fmt.Sprint(i)))
	}
	js := stream(t, s.ClientURL())
	for _, sequence := range []uint64{2, 5} {
		if err := js.DeleteMsg(context.Background(), sequence); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	got, err := p.Find(ctx, map[string]bool{"0": true, "1": true, "3": true, "4": true}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]uint64{"0": 1, "3": 4}, got); diff != "" {
		t.Error(diff)
	}
	if got, err := p.Find(ctx, map[string]bool{"4": true}, 4); err != nil || len(got) != 0 {
		t.Errorf("where only the deleted one was: %v, %v", got, err)
	}
	if err := js.Purge(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Find(ctx, map[string]bool{"0": true}, 0); err != nil || len(got) != 0 {
		t.Errorf("in an emptied stream: %v, %v", got, err)
	}
}

func TestIDAt(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), nil)
	ensure(t, p)
	for i := range 4 {
		send(t, p, incident(fmt.Sprint("id", i)))
	}
	if err := stream(t, s.ClientURL()).DeleteMsg(context.Background(), 2); err != nil {
		t.Fatal(err)
	}
	for sequence, want := range map[uint64]string{1: "id0", 2: "", 3: "id2", 4: "id3", 5: "", 100: ""} {
		if got, err := p.IDAt(context.Background(), sequence); err != nil || got != want {
			t.Errorf("at %d: %q, %v, want %q", sequence, got, err, want)
		}
	}
}

// What others put on the subjects is told apart by its Nats-Msg-Id alone: a message with
// another one, or with none, is not taken for the bridge's whatever else it says; one
// with the same is, whatever it says. Hence the README's advice to let nobody else publish.
func TestOnlyTheIDTellsMessagesApart(t *testing.T) {
	s := runServer(t, t.TempDir(), 0, nil)
	p := newPublisher(t, s.ClientURL(), nil)
	ensure(t, p)
	js := connectJetStream(t, s.ClientURL())
	own := incident("own")
	for _, id := range []string{"", "another", "OWN", "own.replay"} {
		foreign := &nats.Msg{Subject: p.subject(own), Header: header(own), Data: own.Data}
		foreign.Header[nats.MsgIdHdr] = []string{id}
		if _, err := js.PublishMsg(context.Background(), foreign); err != nil {
			t.Fatal(err)
		}
	}
	find := func() map[string]uint64 {
		found, err := p.Find(context.Background(), map[string]bool{"own": true, "taken": true}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if got := find(); len(got) != 0 {
		t.Errorf("found before it was sent: %v", got)
	}
	if r := send(t, p, own); r.err != nil || r.ack.Duplicate || r.ack.Sequence != 5 {
		t.Errorf("sent after the others': %+v", r)
	}
	taken := &nats.Msg{Subject: "zenduty.incident.x.y", Header: nats.Header{nats.MsgIdHdr: {"taken"}}, Data: []byte("anything")}
	if _, err := js.PublishMsg(context.Background(), taken); err != nil {
		t.Fatal(err)
	}
	if r := send(t, p, incident("taken")); r.err != nil || !r.ack.Duplicate || r.ack.Sequence != 6 {
		t.Errorf("sent under an id that is taken: %+v", r)
	}
	if diff := cmp.Diff(map[string]uint64{"own": 5, "taken": 6}, find()); diff != "" {
		t.Error(diff)
	}
}

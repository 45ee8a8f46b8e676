package publisher

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

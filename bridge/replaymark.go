package bridge

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/spool"
)

// maxKeptReplays is how many replays are remembered, each in a mark of its own that
// the next one in its slot overwrites.
const maxKeptReplays = 16

// keptReplay is a replay as it is on disk, in JSON.
type keptReplay struct {
	Replay
	// Done are the records above Position that are done, in no order: at most
	// replayWindow.
	Done []uint64 `json:"done,omitempty"`

	slot int
}

func replayMark(slot int) string { return fmt.Sprintf("replay-%02d", slot) }

func (k *keptReplay) save(s *spool.Spool) error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return s.SetMark(spool.Mark{Name: replayMark(k.slot), Value: text})
}

// loadReplays reads those that are kept, oldest first.
func loadReplays(s *spool.Spool) ([]*keptReplay, error) {
	var kept []*keptReplay
	for slot := range maxKeptReplays {
		name := replayMark(slot)
		text, err := s.Mark(name)
		if err != nil {
			return nil, err
		}
		if text == nil {
			break
		}
		k := &keptReplay{slot: slot}
		if err := json.Unmarshal(text, k); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", name, errMark, err)
		}
		kept = append(kept, k)
	}
	slices.SortFunc(kept, func(a, b *keptReplay) int { return a.Started.Compare(b.Started) })
	return kept, nil
}

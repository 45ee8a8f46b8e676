package publisher

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// msgGet asks for a message of a stream: that with a sequence number, or the first on
// a subject from there on (nats-server, JSApiMsgGetRequest).
type msgGet struct {
	Sequence uint64 `json:"seq"`
	Subject  string `json:"next_by_subj,omitempty"`
}

// storedMsg is a message as the stream has it.
type storedMsg struct {
	Sequence uint64 `json:"seq"`
	Header   []byte `json:"hdrs"`
	Data     []byte `json:"data"`

	header nats.Header
}

// getMsg asks the stream's leader. The client's GetMsg would ask any replica of a
// stream that allows direct gets, also one that is behind. The error is
// jetstream.ErrMsgNotFound if there is no such message.
func getMsg(ctx context.Context, nc *nats.Conn, stream string, get msgGet) (*storedMsg, error) {
	request, err := json.Marshal(get)
	if err != nil {
		return nil, err
	}
	answer, err := nc.RequestWithContext(ctx, apiPrefix+streamMsgGet+"."+stream, request)
	if err != nil {
		return nil, err
	}
	var got struct {
		Error   *jetstream.APIError `json:"error"`
		Message *storedMsg          `json:"message"`
	}
	err = json.Unmarshal(answer.Data, &got)
	switch {
	case err != nil:
		return nil, fmt.Errorf("answer to %s: %w", streamMsgGet, err)
	case got.Error != nil && got.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, jetstream.ErrMsgNotFound
	case got.Error != nil:
		return nil, got.Error
	case got.Message == nil:
		return nil, jetstream.ErrInvalidJetStreamResponse
	}
	if len(got.Message.Header) > 0 {
		if got.Message.header, err = nats.DecodeHeadersMsg(got.Message.Header); err != nil {
			return nil, fmt.Errorf("headers of message %d: %w", got.Message.Sequence, err)
		}
	}
	return got.Message, nil
}

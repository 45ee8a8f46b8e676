package publisher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ConnectionReport is how the connection to NATS is. Its JSON form is part of the
// operator's API.
type ConnectionReport struct {
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`             // that it is, or is not
	URL       string    `json:"url,omitempty"`     // of the server, without credentials
	Server    string    `json:"server,omitempty"`  // its name
	Version   string    `json:"version,omitempty"` // its version
	Cluster   string    `json:"cluster,omitempty"`
	Error     string    `json:"error,omitempty"` // the last, while there is no connection
}

// StreamReport is how the stream is; likewise.
type StreamReport struct {
	Name     string    `json:"name"`
	Created  time.Time `json:"created,omitzero"`
	Messages uint64    `json:"messages"`
	Bytes    uint64    `json:"bytes"`
	First    uint64    `json:"first_sequence"`
	Last     uint64    `json:"last_sequence"`
	Replicas int       `json:"replicas,omitempty"`
	Drift    []string  `json:"drift,omitempty"` // what is not as the bridge would have it, "setting: is, should be"
	Error    string    `json:"error,omitempty"` // why nothing else is known
}

// Connection tells how the connection is.
func (p *Publisher) Connection() ConnectionReport {
	r := ConnectionReport{Connected: p.nc.IsConnected(), Since: time.Unix(0, p.since.Load())}
	if r.Connected {
		r.URL, r.Cluster = p.nc.ConnectedUrlRedacted(), p.nc.ConnectedClusterName()
		r.Server, r.Version = p.nc.ConnectedServerName(), p.nc.ConnectedServerVersion()
	} else if err := p.nc.LastError(); err != nil {
		r.Error = err.Error()
	}
	return r
}

// reportTimeout bounds how long StreamReport waits: whoever asks wants to know what
// is known now.
const reportTimeout = 2 * time.Second

// StreamReport asks JetStream how the stream is, and changes nothing.
func (p *Publisher) StreamReport(ctx context.Context) StreamReport {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	r := StreamReport{Name: p.opts.Stream.Name}
	if err := p.fillReport(ctx, &r); err != nil {
		r.Error = err.Error()
	}
	return r
}

func (p *Publisher) fillReport(ctx context.Context, r *StreamReport) error {
	if !p.Ready() {
		return errors.New("there is no connection to NATS")
	}
	info, err := p.streamInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return errors.New("there is no such stream")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("JetStream does not answer within %s", reportTimeout)
	case err != nil:
		return err
	}
	r.Created, r.Messages, r.Bytes = info.Created, info.State.Msgs, info.State.Bytes
	r.First, r.Last = info.State.FirstSeq, info.State.LastSeq
	r.Replicas, r.Drift = info.Config.Replicas, streamDrift(info.Config, p.streamConfig())
	return nil
}

package publisher

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

const apiPrefix = "$JS.API."

// The requests to JetStream's API that the bridge makes, each about its stream.
const (
	streamInfo     = "STREAM.INFO"
	streamCreate   = "STREAM.CREATE"
	streamUpdate   = "STREAM.UPDATE"
	streamMsgGet   = "STREAM.MSG.GET"
	consumerCreate = "CONSUMER.CREATE"
	consumerNext   = "CONSUMER.MSG.NEXT"
)

// ErrNoRights says that the connection may publish, and is not permitted to ask
// about the stream.
var ErrNoRights = errors.New("not permitted to ask JetStream about the stream")

// deniedError says that a request is not permitted.
type deniedError struct{ request, subject string }

func (e *deniedError) Error() string { return "not permitted to publish on " + e.subject }

// Is makes it ErrNoRights, unless it was to change the stream: whoever may not do
// that may still look.
func (e *deniedError) Is(target error) bool {
	return target == ErrNoRights && e.request != streamCreate && e.request != streamUpdate
}

// denials are the subjects of JetStream's API that are not permitted over this
// connection. The server tells of them once they are used, and never answers.
type denials struct {
	mu       sync.Mutex
	subjects map[string]bool
	asking   map[*inquiry]bool
}

// inquiry is a request that waits for its answer.
type inquiry struct {
	request string
	cancel  context.CancelCauseFunc
}

func newDenials() *denials {
	return &denials{subjects: map[string]bool{}, asking: map[*inquiry]bool{}}
}

// ask makes a request, unless it is known not to be permitted, and ends it when the
// server says so meanwhile: question must end when its context does.
func (d *denials) ask(ctx context.Context, request string, question func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	i := &inquiry{request, cancel}
	d.begin(i)
	defer d.end(i)
	err := ctx.Err()
	if err == nil {
		err = question(ctx)
	}
	var denied *deniedError
	if err != nil && errors.As(context.Cause(ctx), &denied) {
		return denied
	}
	return err
}

func (d *denials) begin(i *inquiry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asking[i] = true
	for subject := range d.subjects {
		i.denied(subject)
	}
}

func (d *denials) end(i *inquiry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.asking, i)
}

func (i *inquiry) denied(subject string) {
	if strings.HasPrefix(subject, apiPrefix+i.request+".") {
		i.cancel(&deniedError{i.request, subject})
	}
}

// note takes what the server says without being asked.
func (d *denials) note(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	_, subject, _ := strings.Cut(err.Error(), `"`)
	subject, _, _ = strings.Cut(subject, `"`)
	if !strings.HasPrefix(subject, apiPrefix) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if parts := strings.Split(subject, "."); strings.HasPrefix(subject, apiPrefix+"CONSUMER.") && len(parts) > 2 {
		subject = strings.Join(parts[:len(parts)-1], ".") + ".*" // each look's consumer has another name
	}
	d.subjects[subject] = true
	for i := range d.asking {
		i.denied(subject)
	}
}

// forget: another connection may have other rights.
func (d *denials) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.subjects)
}

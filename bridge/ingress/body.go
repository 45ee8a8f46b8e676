package ingress

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

var (
	errTooLarge   = errors.New("body too large")
	errUnreadable = errors.New("body cannot be read")
	errSlow       = errors.New("body not read in time")
)

// buffers are those of bodies that the spool has on disk: a third of all memory
// that a webhook takes.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func newBuffer() *bytes.Buffer { return buffers.Get().(*bytes.Buffer) }

// usualBody is what a webhook's body does not exceed, mostly.
const usualBody = 64 << 10

// reuse hands a buffer on, whose bytes nobody may hold any more.
func reuse(b *bytes.Buffer) {
	if b.Cap() <= usualBody { // a large one is not kept for what is mostly small
		b.Reset()
		buffers.Put(b)
	}
}

// readBody reads a request's body of at most limit bytes into b, undoing gzip. room is
// asked before b grows beyond what is usual. The error is errTooLarge, errUnreadable,
// errSlow or room's.
func readBody(b *bytes.Buffer, w http.ResponseWriter, r *http.Request, limit int64, room func(int64) error) error {
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // what follows is not worth reading
		return fmt.Errorf("%w: %d bytes, at most %d are taken", errTooLarge, r.ContentLength, limit)
	}
	body := http.MaxBytesReader(w, r.Body, limit)
	switch coding := r.Header.Get("Content-Encoding"); coding {
	case "", "identity":
		if r.ContentLength > 0 && r.ContentLength <= usualBody { // of more, the sender's word is not enough
			b.Grow(int(r.ContentLength) + bytes.MinRead)
		}
		return readAll(b, body, limit, room)
	case "gzip", "x-gzip":
		return readGzip(b, body, limit, room)
	default:
		return fmt.Errorf("%w: content encoding %q, only gzip and none are understood", errUnreadable, coding)
	}
}

// readGzip bounds both what is sent and what it unfolds to.
func readGzip(b *bytes.Buffer, body io.Reader, limit int64, room func(int64) error) error {
	unzipped, err := gzip.NewReader(body)
	if err != nil {
		return readError(err, limit)
	}
	return readAll(b, unzipped, limit, room)
}

// readAll reads up to limit bytes, into as much memory as they have come to need.
func readAll(b *bytes.Buffer, body io.Reader, limit int64, room func(int64) error) error {
	for {
		if b.Available() < bytes.MinRead {
			more := max(b.Cap(), 4<<10) // twice as much
			if b.Cap()+more > usualBody {
				if err := room(int64(more)); err != nil {
					return err
				}
			}
			b.Grow(b.Available() + more)
		}
		space := b.AvailableBuffer()
		n, err := body.Read(space[:cap(space)])
		_, _ = b.Write(space[:n]) // no copy: it is there
		switch {
		case int64(b.Len()) > limit:
			return fmt.Errorf("%w: at most %d bytes are taken", errTooLarge, limit)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return readError(err, limit)
		}
	}
}

func readError(err error, limit int64) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return fmt.Errorf("%w: at most %d bytes are taken", errTooLarge, limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", errSlow, err)
	}
	return fmt.Errorf("%w: %w", errUnreadable, err)
}

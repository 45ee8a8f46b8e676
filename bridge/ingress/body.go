package ingress

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

var (
	errTooLarge   = errors.New("body too large")
	errUnreadable = errors.New("body cannot be read")
)

// buffers are those of bodies that the spool has on disk: a third of all memory
// that a webhook takes.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func newBuffer() *bytes.Buffer { return buffers.Get().(*bytes.Buffer) }

// reuse hands a buffer on, whose bytes nobody may hold any more.
func reuse(b *bytes.Buffer) {
	const usual = 64 << 10 // a large one is not kept for what is mostly small
	if b.Cap() <= usual {
		b.Reset()
		buffers.Put(b)
	}
}

// readBody reads a request's body of at most limit bytes into b, undoing gzip.
// The error is errTooLarge or errUnreadable.
func readBody(b *bytes.Buffer, w http.ResponseWriter, r *http.Request, limit int64) error {
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // what follows is not worth reading
		return fmt.Errorf("%w: %d bytes, at most %d are taken", errTooLarge, r.ContentLength, limit)
	}
	body := http.MaxBytesReader(w, r.Body, limit)
	switch coding := r.Header.Get("Content-Encoding"); coding {
	case "", "identity":
		return readAll(b, body, r.ContentLength, limit)
	case "gzip", "x-gzip":
		return readGzip(b, body, limit)
	default:
		return fmt.Errorf("%w: content encoding %q, only gzip and none are understood", errUnreadable, coding)
	}
}

// readGzip bounds both what is sent and what it unfolds to.
func readGzip(b *bytes.Buffer, body io.Reader, limit int64) error {
	unzipped, err := gzip.NewReader(body)
	if err != nil {
		return readError(err, limit)
	}
	return readAll(b, unzipped, -1, limit)
}

// readAll reads up to limit bytes; size is their number if known, else -1.
func readAll(b *bytes.Buffer, body io.Reader, size, limit int64) error {
	b.Grow(int(max(size, 0)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(body, limit+1)); err != nil {
		return readError(err, limit)
	}
	if int64(b.Len()) > limit {
		return fmt.Errorf("%w: at most %d bytes are taken", errTooLarge, limit)
	}
	return nil
}

func readError(err error, limit int64) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fmt.Errorf("%w: at most %d bytes are taken", errTooLarge, limit)
	}
	return fmt.Errorf("%w: %w", errUnreadable, err)
}

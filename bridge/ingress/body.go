package ingress

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
)

var (
	errTooLarge   = errors.New("body too large")
	errUnreadable = errors.New("body cannot be read")
)

// readBody reads a request's body of at most limit bytes, undoing gzip.
// The error is errTooLarge or errUnreadable.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // what follows is not worth reading
		return nil, fmt.Errorf("%w: %d bytes, at most %d are taken", errTooLarge, r.ContentLength, limit)
	}
	body := http.MaxBytesReader(w, r.Body, limit)
	switch coding := r.Header.Get("Content-Encoding"); coding {
	case "", "identity":
		return readAll(body, r.ContentLength, limit)
	case "gzip", "x-gzip":
		return readGzip(body, limit)
	default:
		return nil, fmt.Errorf("%w: content encoding %q, only gzip and none are understood", errUnreadable, coding)
	}
}

// readGzip bounds both what is sent and what it unfolds to.
func readGzip(body io.Reader, limit int64) ([]byte, error) {
	unzipped, err := gzip.NewReader(body)
	if err != nil {
		return nil, readError(err, limit)
	}
	return readAll(unzipped, -1, limit)
}

// readAll reads up to limit bytes; size is their number if known, else -1.
func readAll(body io.Reader, size, limit int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(max(size, 0)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(body, limit+1)); err != nil {
		return nil, readError(err, limit)
	}
	if int64(b.Len()) > limit {
		return nil, fmt.Errorf("%w: at most %d bytes are taken", errTooLarge, limit)
	}
	return b.Bytes(), nil
}

func readError(err error, limit int64) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fmt.Errorf("%w: at most %d bytes are taken", errTooLarge, limit)
	}
	return fmt.Errorf("%w: %w", errUnreadable, err)
}

//go:build linux

package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net"
	"strconv"
)

// client is one keep-alive connection that posts webhooks one after the other.
// It is as lean as can be, since what it takes of the cores the server lacks:
// requests are made beforehand and only filled in and signed, nothing is
// allocated.
type client struct {
	conn     net.Conn
	samples  [len(kinds)]sample
	requests [len(kinds)]request
	mac      hash.Hash
	sum      []byte
	answer   []byte
}

// request is a whole POST, and where in it the parts stand.
type request struct {
	text            []byte
	signature, body int
}

const signatureSize = 44 // base64 of SHA-256's 32 bytes

func newRequest(host string, s sample) request {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST /webhooks/zenduty HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nX-SIGNATURE: ", host, len(s.body))
	r := request{signature: b.Len()}
	b.Write(make([]byte, signatureSize))
	b.WriteString("\r\n\r\n")
	r.body = b.Len()
	b.Write(s.body)
	r.text = b.Bytes()
	return r
}

func dial(address string, samples [len(kinds)]sample) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, samples: samples, mac: hmac.New(sha256.New, []byte(signingKey)), answer: make([]byte, 4096)}
	for i, s := range samples {
		c.requests[i] = newRequest(address, s)
	}
	return c, nil
}

// post sends one webhook and waits for its answer, which must be that it was
// accepted.
func (c *client) post(incident uint64, kind int) error {
	r := &c.requests[kind]
	body := r.text[r.body:]
	c.samples[kind].fill(body, incident)
	c.mac.Reset()
	_, _ = c.mac.Write(body) // a hash never fails
	c.sum = c.mac.Sum(c.sum[:0])
	base64.StdEncoding.Encode(r.text[r.signature:r.signature+signatureSize], c.sum)
	if _, err := c.conn.Write(r.text); err != nil {
		return err
	}
	return c.readAnswer()
}

// readAnswer reads up to the end of the answer's body.
func (c *client) readAnswer() error {
	for n := 0; n < len(c.answer); {
		more, err := c.conn.Read(c.answer[n:])
		if err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		n += more
		header, body, whole := bytes.Cut(c.answer[:n], []byte("\r\n\r\n"))
		if !whole {
			continue
		}
		size, err := contentLength(header)
		if err != nil {
			return err
		}
		if len(body) >= size {
			return check(header, body, size)
		}
	}
	return fmt.Errorf("answer is too long: %.200q", c.answer)
}

func contentLength(header []byte) (int, error) {
	_, value, ok := bytes.Cut(header, []byte("\r\nContent-Length: "))
	if !ok {
		return 0, fmt.Errorf("answer without Content-Length: %q", header)
	}
	value, _, _ = bytes.Cut(value, []byte("\r\n"))
	return strconv.Atoi(string(value)) // of so short a text no copy is made
}

var errRefused = errors.New("not accepted")

func check(header, body []byte, size int) error {
	switch {
	case !bytes.HasPrefix(header, []byte("HTTP/1.1 200 ")), !bytes.HasPrefix(body, []byte(`{"status":"accepted",`)):
		return fmt.Errorf("%w: %q %q", errRefused, header, body)
	case len(body) > size:
		return fmt.Errorf("bytes after the answer: %q", body[size:])
	}
	return nil
}

package ingress

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/zenduty-bridge/zenduty-bridge/bridge"
	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// serverTLS is of a server that is called 127.0.0.1, and vouches for itself.
func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}},
		NextProtos:   []string{"h2", "http/1.1", "acme-tls/1"},
	}
}

// trusting is for a client of that server, which speaks the protocols.
func trusting(server *tls.Config, protocols ...string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificates[0].Leaf)
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: protocols}
}

// client2 speaks HTTP/2 to that server.
func client2(t *testing.T, server *tls.Config) *http.Client {
	transport := &http.Transport{TLSClientConfig: trusting(server), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func signedRequest(t *testing.T, addr string, body []byte) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "https://"+addr+"/webhooks/zenduty", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(zenduty.SignatureHeader, zenduty.Sign(secret, body))
	return r
}

// What is taken and what is refused is the same over HTTP/2 as over HTTP/1.1.
func TestHTTP2(t *testing.T) {
	secure := serverTLS(t)
	addr, _ := serve(t, &accepter{}, Options{TLS: secure, MaxBodyBytes: 2000})
	c := client2(t, secure)
	for name, test := range map[string]struct {
		change func(*http.Request)
		body   []byte
		status int
	}{
		"taken":                {func(*http.Request) {}, sample, 200},
		"wrong signature":      {func(r *http.Request) { r.Header.Set(zenduty.SignatureHeader, "AAAA") }, sample, 401},
		"not a POST":           {func(r *http.Request) { r.Method = http.MethodGet }, nil, 405},
		"no such source":       {func(r *http.Request) { r.URL.Path += "2" }, sample, 404},
		"body too large":       {func(*http.Request) {}, bytes.Repeat([]byte("1"), 2001), 413},
		"of unknown length":    {func(r *http.Request) { r.ContentLength = -1 }, bytes.Repeat([]byte("1"), 20_001), 413},
		"header large, and ok": {func(r *http.Request) { r.Header.Set("X-Long", strings.Repeat("x", 15<<10)) }, sample, 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := signedRequest(t, addr, test.body)
			test.change(r)
			response, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if response.StatusCode != test.status || response.ProtoMajor != 2 || err != nil {
				t.Errorf("%s %d %s, %v, want %d over HTTP/2", response.Proto, response.StatusCode, text, err, test.status)
			}
		})
	}
}

// frames is an HTTP/2 connection that a test looks at frame by frame.
type frames struct {
	*http2.Framer
	t      *testing.T
	conn   net.Conn
	header bytes.Buffer
	hpack  *hpack.Encoder
	addr   string
	stream uint32             // the next one
	away   *http2.GoAwayFrame // if one was read on the way to something else
}

// dialFrames has sent its preface.
func dialFrames(t *testing.T, addr string, secure *tls.Config) *frames {
	t.Helper()
	c, err := tls.Dial("tcp", addr, trusting(secure, "h2"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	f := &frames{Framer: http2.NewFramer(c, c), t: t, conn: c, addr: addr, stream: 1}
	f.hpack = hpack.NewEncoder(&f.header)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f.must(f.WriteSettings())
	return f
}

func (f *frames) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// begin opens a stream with the header of a webhook.
func (f *frames) begin(body []byte) (stream uint32) {
	f.t.Helper()
	stream, err := f.tryBegin(body)
	f.must(err)
	return stream
}

// tryBegin may add to the header.
func (f *frames) tryBegin(body []byte, more ...hpack.HeaderField) (stream uint32, err error) {
	f.header.Reset()
	for _, field := range append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: f.addr},
		{Name: ":path", Value: "/webhooks/zenduty"}, {Name: strings.ToLower(zenduty.SignatureHeader), Value: zenduty.Sign(secret, body)},
	}, more...) {
		if err := f.hpack.WriteField(field); err != nil {
			return 0, err
		}
	}
	stream = f.stream
	f.stream += 2
	block := f.header.Bytes()
	first := block[:min(len(block), 16<<10)]
	block = block[len(first):]
	err = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: len(block) == 0})
	if err == nil && len(block) > 0 {
		err = f.WriteContinuation(stream, true, block)
	}
	return stream, err
}

func (f *frames) end(stream uint32, body []byte) { f.must(f.WriteData(stream, true, body)) }

// await reads until a frame is what is waited for.
func awaitFrame[F http2.Frame](f *frames, is func(F) bool) F {
	f.t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			f.t.Fatalf("waiting for %T: %v", *new(F), err)
		}
		if wanted, ok := frame.(F); ok && is(wanted) {
			return wanted
		}
		if away, ok := frame.(*http2.GoAwayFrame); ok {
			f.away = away
		}
	}
}

func status(f *http2.MetaHeadersFrame) string { return f.PseudoValue("status") }

// expect waits for a stream's answer.
func (f *frames) expect(stream uint32, want string) {
	f.t.Helper()
	answer := awaitFrame(f, func(h *http2.MetaHeadersFrame) bool { return h.StreamID == stream })
	if status(answer) != want {
		f.t.Errorf("stream %d: %s, want %s", stream, status(answer), want)
	}
}

func (f *frames) expectGoAway(code http2.ErrCode, last uint32) {
	f.t.Helper()
	away := f.away
	if away == nil {
		away = awaitFrame(f, func(*http2.GoAwayFrame) bool { return true })
	}
	if away.ErrCode != code || away.LastStreamID != last {
		f.t.Errorf("GOAWAY %v after stream %d, want %v after %d", away.ErrCode, away.LastStreamID, code, last)
	}
}

// expectEnd: the connection ends in order.
func (f *frames) expectEnd() {
	f.t.Helper()
	for {
		if _, err := f.ReadFrame(); err != nil {
			if !errors.Is(err, io.EOF) {
				f.t.Errorf("the connection ends with %v, want its orderly end", err)
			}
			return
		}
	}
}

// The server says how many requests may be under way, and keeps to it.
func TestHTTP2Streams(t *testing.T) {
	t.Parallel()
	secure := serverTLS(t)
	addr, _ := serve(t, &accepter{}, Options{TLS: secure})
	f := dialFrames(t, addr, secure)
	settings := awaitFrame(f, func(s *http2.SettingsFrame) bool { return !s.IsAck() })
	if n, ok := settings.Value(http2.SettingMaxConcurrentStreams); !ok || n != 100 {
		t.Errorf("%d streams are allowed", n)
	}
	if n, ok := settings.Value(http2.SettingMaxHeaderListSize); !ok || n > 17<<10 {
		t.Errorf("%d bytes of header are allowed", n)
	}
	f.must(f.WriteSettingsAck())
	for range 100 {
		f.begin(sample)
	}
	over := f.begin(sample)
	awaitFrame(f, func(r *http2.RSTStreamFrame) bool { return r.StreamID == over })
	f.end(1, sample)
	f.expect(1, "200")
}

// A header is bounded as it is without HTTP/2's compression; one long value ends the
// connection, since nothing after it could be read. net/http answers both by itself, and so
// no metric tells of them.
func TestHTTP2Header(t *testing.T) {
	t.Parallel()
	secure := serverTLS(t)
	addr, registry := serve(t, &accepter{}, Options{TLS: secure})
	for name, more := range map[string][]hpack.HeaderField{
		"long together": {{Name: "x", Value: strings.Repeat("x", 9<<10)}, {Name: "y", Value: strings.Repeat("y", 9<<10)}},
		"many":          slices.Repeat([]hpack.HeaderField{{Name: "x", Value: "y"}}, 600), // of a byte each
	} {
		t.Run(name, func(t *testing.T) {
			f := dialFrames(t, addr, secure)
			stream, err := f.tryBegin(sample, more...)
			f.must(err)
			f.expect(stream, "431")
		})
	}
	f := dialFrames(t, addr, secure)
	_, err := f.tryBegin(sample, hpack.HeaderField{Name: "x", Value: strings.Repeat("x", 20<<10)})
	f.must(err)
	f.expectGoAway(http2.ErrCodeCompression, 1)
	f.conn.Close()
	await(t, "all connections are closed", func() bool { return gauge(t, registry, "zenduty_bridge_connections") == 0 })
	for _, counts := range []map[string]float64{closings(t, registry), counted(t, registry)} {
		if len(counts) > 0 {
			t.Errorf("counted, which the README denies: %v", counts)
		}
	}
}

// No memory is taken for a frame that is only announced, and an answer does not wait for
// long on a sender that leaves it no room.
func TestHTTP2Holding(t *testing.T) {
	t.Parallel()
	secure := serverTLS(t)
	addr, _ := serve(t, &accepter{}, Options{TLS: secure})
	t.Run("frame", func(t *testing.T) {
		f := dialFrames(t, addr, secure)
		_, err := f.conn.Write([]byte{1 << 4, 0, 0, 0x20, 0, 0, 0, 0, 0}) // 1 MiB of an unknown type
		f.must(err)
		f.expectGoAway(http2.ErrCodeFrameSize, 0)
	})
	t.Run("answer", func(t *testing.T) {
		f := dialFrames(t, addr, secure)
		f.must(f.conn.SetDeadline(time.Now().Add(10 * time.Second))) // net/http's own is 17.5 s
		f.must(f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
		stream := f.begin(sample)
		f.end(stream, []byte("something else"))
		awaitFrame(f, func(r *http2.RSTStreamFrame) bool { return r.StreamID == stream })
	})
}

// Requests that are opened and reset in a row do not add up (CVE-2023-44487).
func TestRapidReset(t *testing.T) {
	t.Parallel()
	secure := serverTLS(t)
	a := &counting{}
	addr, _ := serve(t, a, Options{TLS: secure, AnswerDeadline: 3 * time.Second})
	f := dialFrames(t, addr, secure)
	go func() { // until the server ends it
		for range 5000 {
			stream, err := f.tryBegin(sample)
			if errors.Join(err, f.WriteData(stream, true, sample), f.WriteRSTStream(stream, http2.ErrCodeCancel)) != nil {
				return
			}
		}
	}()
	away := awaitFrame(f, func(*http2.GoAwayFrame) bool { return true })
	if away.ErrCode != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("GOAWAY %v", away.ErrCode)
	}
	if n := a.most(); n > 100 {
		t.Errorf("%d requests were under way at once", n)
	}
}

// What dawdles is ended over HTTP/2, too, and counted: a body, a connection without
// requests, a header half sent, a connection on which nothing comes at all.
func TestHTTP2Times(t *testing.T) {
	t.Parallel()
	secure := serverTLS(t)
	addr, registry := serve(t, &accepter{}, Options{TLS: secure, HeaderTimeout: 200 * time.Millisecond, BodyTimeout: 300 * time.Millisecond, IdleTimeout: 500 * time.Millisecond})
	body, idle, half := dialFrames(t, addr, secure), dialFrames(t, addr, secure), dialFrames(t, addr, secure)
	silent, err := tls.Dial("tcp", addr, trusting(secure, "h2"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	body.must(body.WriteData(body.begin(sample), false, sample[:9]))
	idle.end(idle.begin(sample), sample)
	half.must(half.WriteRawFrame(http2.FrameHeaders, 0, 1, nil)) // CONTINUATION is to follow
	idle.expect(1, "200")
	body.expect(1, "400")
	for _, f := range []*frames{body, idle} { // the header's time is not that of what comes after it
		f.expectGoAway(http2.ErrCodeNo, 1)
		f.expectEnd()
	}
	awaitEnded(t, registry, map[string]float64{"header_timeout": 2, "idle_timeout": 2})
	await(t, "all connections are closed", func() bool { return gauge(t, registry, "zenduty_bridge_connections") == 0 })
}

// An HTTP/2 connection is told which of its requests were taken, also if it is idle.
func TestHTTP2Shutdown(t *testing.T) {
	t.Parallel()
	secure := serverTLS(t)
	s := startStoppable(t, secure)
	addr := s.listener.Addr().String()
	idle, begun := dialFrames(t, addr, secure), dialFrames(t, addr, secure)
	for _, f := range []*frames{idle, begun} {
		f.end(f.begin([]byte("1")), []byte("1"))
		f.expect(1, "200")
	}
	stream := begun.begin(sample)
	begun.must(begun.WriteData(stream, false, sample[:9]))
	waiting := s.dial() // HTTP/1.1 beside it
	end := s.stop(500 * time.Millisecond)
	waiting.expect(http.StatusRequestTimeout, true)
	waiting.Close()
	idle.expectGoAway(http2.ErrCodeNo, 1)
	idle.end(idle.begin([]byte("2")), []byte("2")) // it crosses the end: not taken, as was said
	idle.expectEnd()
	begun.must(begun.WriteData(stream, true, sample[9:]))
	begun.expect(stream, "200")
	begun.expectEnd()
	end()
	if len(s.accepter.taken) != 2 { // "1" came twice
		t.Errorf("%d webhooks taken, want 2", len(s.accepter.taken))
	}
}

// In the lame duck's time each answer announces the end of its connection.
func TestHTTP2LameDuck(t *testing.T) {
	t.Parallel()
	secure := serverTLS(t)
	s := startStoppable(t, secure)
	f := dialFrames(t, s.listener.Addr().String(), secure)
	f.end(f.begin([]byte("1")), []byte("1"))
	f.expect(1, "200")
	end := s.stop(3 * time.Second)
	for !s.stopping.Load() {
		time.Sleep(time.Millisecond)
	}
	f.end(f.begin([]byte("2")), []byte("2"))
	f.expect(3, "200")
	f.expectGoAway(http2.ErrCodeNo, 3)
	f.expectEnd()
	end()
}

// A handshake that comes to no end holds up no other, and ends after a while; at a
// shutdown it is not waited for longer than that.
func TestSlowHandshake(t *testing.T) {
	t.Parallel()
	secure := serverTLS(t)
	s := newStoppable(t, secure)
	s.opts.HeaderTimeout = time.Second
	s.start()
	silent, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := s.dial()
	c.send(signedPost(1))
	c.expect(http.StatusOK, false)
	end := s.stop(0)
	c.expect(http.StatusRequestTimeout, true) // while the silent one is still there
	c.Close()
	_ = silent.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the silent connection: %v, want its end", err)
	}
	end()
}

// Who connects for the handshake alone, as an ACME authority does, or speaks HTTP
// without TLS, is sent away.
func TestNotHTTPS(t *testing.T) {
	secure := serverTLS(t)
	addr, _ := serve(t, &accepter{}, Options{TLS: secure})
	c, err := tls.Dial("tcp", addr, trusting(secure, "acme-tls/1"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second)) // a request would be waited for longer
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the handshake: %v, want the end", err)
	}
	response, err := http.Post("http://"+addr+"/webhooks/zenduty", "application/json", bytes.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); response.StatusCode != 400 || !strings.Contains(string(text), "HTTPS") {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

// A request over TLS is known to be one.
func TestRequestKnowsTLS(t *testing.T) {
	secure := serverTLS(t)
	s := newStoppable(t, secure)
	seen := make(chan *http.Request, 1)
	next := s.http.Handler
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r; next.ServeHTTP(w, r) })
	s.start()
	c := s.dial()
	c.send(signedPost(1))
	c.expect(http.StatusOK, false)
	c.Close()
	s.stop(0)()
	if r := <-seen; r.TLS == nil || r.TLS.Version != tls.VersionTLS13 {
		t.Errorf("%+v", r.TLS)
	}
}

// counting is slow, and knows how many requests it had at once.
type counting struct {
	accepter
	now, max int
}

func (a *counting) Accept(ctx context.Context, w bridge.Webhook) (bridge.Receipt, error) {
	a.mu.Lock()
	a.now++
	a.max = max(a.max, a.now)
	a.mu.Unlock()
	<-ctx.Done()
	a.mu.Lock()
	a.now--
	a.mu.Unlock()
	return bridge.Receipt{}, context.Cause(ctx)
}

func (a *counting) most() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.max
}

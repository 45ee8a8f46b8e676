package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// collector takes spans by OTLP, over HTTP and over gRPC on one port.
type collector struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	spans    map[string]*tracepb.Span // by name
	resource map[string]string

	protocols []string // of each export
}

// startCollector runs one, and has bridges that are started from now on export to it:
// at their end, so that what arrives is what was flushed.
func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{t: t, spans: map[string]*tracepb.Span{}, resource: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", c.takeHTTP)
	mux.HandleFunc("POST "+collectorpb.TraceService_Export_FullMethodName, c.takeGRPC)
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a collector has no %s %s", r.Method, r.URL.Path)
	})
	c.Server = httptest.NewUnstartedServer(mux)
	c.Config.Protocols = &http.Protocols{}
	c.Config.Protocols.SetHTTP1(true)
	c.Config.Protocols.SetUnencryptedHTTP2(true)
	c.Start()
	t.Cleanup(c.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
	return c
}

func (c *collector) takeHTTP(w http.ResponseWriter, r *http.Request) {
	message, err := io.ReadAll(r.Body)
	c.take("HTTP", message, err)
	w.Header().Set("Content-Type", "application/x-protobuf") // of an empty response, which is a full success
}

// takeGRPC is a unary call: a message, and one in return, each behind five bytes, a flag
// of its compression and its length; the status is a trailer (gRPC over HTTP2, PROTOCOL-HTTP2.md).
func (c *collector) takeGRPC(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err == nil && (len(data) < 5 || data[0] != 0 || int(binary.BigEndian.Uint32(data[1:5])) != len(data)-5) {
		err = fmt.Errorf("not one uncompressed message: %d bytes that begin %x", len(data), data[:min(5, len(data))])
	}
	c.take("gRPC", data[min(5, len(data)):], err)
	w.Header().Set("Content-Type", "application/grpc")
	_, _ = w.Write(make([]byte, 5)) // an empty response, which is a full success
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
}

func (c *collector) take(protocol string, message []byte, err error) {
	var request collectorpb.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(message, &request)
	}
	if err != nil {
		c.t.Errorf("over %s: %v", protocol, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range request.GetResourceSpans() {
		for _, a := range r.GetResource().GetAttributes() {
			c.resource[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, scope := range r.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.spans[span.GetName()] = span
			}
		}
	}
	c.protocols = append(c.protocols, protocol)
}

// named is the last span of that name to have arrived.
func (c *collector) named(name string) *tracepb.Span {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spans[name] == nil {
		c.t.Fatalf("no span %q among %v", name, c.spans)
	}
	return c.spans[name]
}

const (
	senderTrace = "0af7651916cd43dd8448eb211c80319c"
	senderSpan  = "b7ad6b7169203331"
	traceparent = "00-" + senderTrace + "-" + senderSpan + "-01"
)

// postTraced posts a sample as a sender does that traces.
func postTraced(t *testing.T, url string) {
	t.Helper()
	body := fixture(t, "triggered")
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(zenduty.SignatureHeader, zenduty.Sign(signingKey, body))
	request.Header.Set("traceparent", traceparent)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
}

// consumed is the traceparent that a consumer finds in the stream's only message.
func consumed(t *testing.T, natsURL string) string {
	t.Helper()
	messages := readStream(t, natsURL)
	if len(messages) != 1 {
		t.Fatalf("%d messages in the stream", len(messages))
	}
	return strings.Join(messages[0].Headers()["traceparent"], ",")
}

// checkTrace fails the test unless the webhook that was posted is one trace, from its
// sender's span to the one that its message carries.
func checkTrace(t *testing.T, c *collector, carried string) {
	t.Helper()
	request, held, published := c.named("POST /webhooks/{source}"), c.named("append"), c.named("publish zenduty.incident.{event_type}.{service}")
	link := func(s *tracepb.Span) string { return fmt.Sprintf("%x: %x", s.GetTraceId(), s.GetParentSpanId()) }
	of := func(spanID []byte) string { return fmt.Sprintf("%s: %x", senderTrace, spanID) }
	if diff := cmp.Diff(
		[]string{senderTrace + ": " + senderSpan, of(request.GetSpanId()), of(request.GetSpanId())},
		[]string{link(request), link(held), link(published)}); diff != "" {
		t.Errorf("parents of request, append and publish: %s", diff)
	}
	if want := fmt.Sprintf("00-%s-%x-01", senderTrace, published.GetSpanId()); carried != want {
		t.Errorf("the message carries %s, want the publish's %s", carried, want)
	}
}

// tracedHistograms are those whose exemplars name a webhook's trace.
var tracedHistograms = []string{"webhook_duration_seconds", "publish_duration_seconds", "delivery_lag_seconds"}

func TestTrace(t *testing.T) {
	for setting, protocol := range map[string]string{"": "HTTP", "http/protobuf": "HTTP", "grpc": "gRPC"} {
		t.Run("OTEL_EXPORTER_OTLP_PROTOCOL="+setting, func(t *testing.T) {
			c := startCollector(t)
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", setting)
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=here")
			n := startNATS(t)
			b := startQuick(t, n.url())
			postTraced(t, b.url)
			b.awaitDelivered()
			for _, histogram := range tracedHistograms {
				b.awaitExemplar("zenduty_bridge_" + histogram)
			}
			if err := b.stop(); err != nil {
				t.Error(err)
			}
			if b.said("tracing: spans may be lost, webhooks are not") > 0 {
				t.Error("the bridge takes what the collector answered for an error")
			}
			checkTrace(t, c, consumed(t, n.url()))
			if diff := cmp.Diff([]string{protocol}, slices.Compact(c.protocols)); diff != "" {
				t.Error(diff)
			}
			got := map[string]string{"service.name": c.resource["service.name"], "deployment.environment.name": c.resource["deployment.environment.name"]}
			if diff := cmp.Diff(map[string]string{"service.name": "zenduty-bridge", "deployment.environment.name": "here"}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// awaitExemplar waits until a histogram tells of the sender's trace, to those who ask
// for OpenMetrics.
func (b *bridgeProcess) awaitExemplar(histogram string) {
	b.t.Helper()
	eventually(b.t, 20*time.Second, "an exemplar of "+histogram, func() bool {
		request, err := http.NewRequest(http.MethodGet, b.admin+"/metrics", nil)
		if err != nil {
			b.t.Fatal(err)
		}
		request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			b.t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			b.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, histogram+"_bucket") && strings.Contains(line, `# {trace_id="`+senderTrace+`"}`) {
				return true
			}
		}
		return false
	})
}

// NATS is away while the webhook is taken, and the bridge that publishes it in the end
// is another process.
func TestTraceGoesOnAfterARestart(t *testing.T) {
	c := startCollector(t)
	n := startNATS(t)
	b := startQuick(t, n.url(), "--relay-drain-timeout", "100ms")
	n.kill()
	postTraced(t, b.url)
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	n.restart(t)
	b = b.again(t)
	b.awaitDelivered()
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	checkTrace(t, c, consumed(t, n.url()))
}

// A collector that hangs costs neither a webhook nor the end of the bridge.
func TestCollectorHangs(t *testing.T) {
	hung := make(chan struct{})
	c := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	t.Cleanup(c.Close)
	t.Cleanup(func() { close(hung) })
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	n := startNATS(t)
	b := startQuick(t, n.url(), "--ingress-lame-duck", "0s")
	l := generatedLoad(t, 20, 21)
	postAll(t, b.url, l, 4)
	b.awaitDelivered()
	began := time.Now()
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	auditClean(t, n.url(), l)
}

// Without tracing the consumer's span still joins the sender's.
func TestTraceIsCarriedWithoutTracing(t *testing.T) {
	n := startNATS(t)
	b := startQuick(t, n.url())
	postTraced(t, b.url)
	b.awaitDelivered()
	if got := consumed(t, n.url()); got != traceparent {
		t.Errorf("the message carries %q, want %q", got, traceparent)
	}
}

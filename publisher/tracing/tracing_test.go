package tracing

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/trace"
)

const (
	traceID  = "0af7651916cd43dd8448eb211c80319c"
	spanID   = "b7ad6b7169203331"
	sampled  = "00-" + traceID + "-" + spanID + "-01"
	recorded = "00-" + traceID + "-" + spanID + "-00"
)

func TestTextIsTheOtherWayOfParse(t *testing.T) {
	for _, text := range []string{sampled, recorded} {
		sc := Parse(text)
		if sc.TraceID().String() != traceID || sc.SpanID().String() != spanID || sc.IsSampled() != (text == sampled) || !sc.IsRemote() {
			t.Errorf("%s is %+v", text, sc)
		}
		if got := Text(sc); got != text {
			t.Errorf("%s came back as %s", text, got)
		}
	}
	if got := Text(trace.SpanContext{}); got != "" {
		t.Errorf("no span is %q", got)
	}
}

func TestParseTakesNothingElse(t *testing.T) {
	for name, text := range map[string]string{
		"empty":              "",
		"upper case":         "00-0AF7651916CD43DD8448EB211C80319C-" + spanID + "-01",
		"version ff":         "ff-" + traceID + "-" + spanID + "-01",
		"no trace":           "00-00000000000000000000000000000000-" + spanID + "-01",
		"no span":            "00-" + traceID + "-0000000000000000-01",
		"cut off":            sampled[:len(sampled)-1],
		"longer":             sampled + "-00",
		"a later version's":  "01-" + traceID + "-" + spanID + "-01-what-it-has-more",
		"no hexadecimal":     "00-" + traceID + "-" + spanID + "-0x",
		"another separator":  "00_" + traceID + "_" + spanID + "_01",
		"a header's sneaked": "00-" + traceID + "-b7ad6b71692033\r\n-01",
	} {
		if sc := Parse(text); sc.IsValid() {
			t.Errorf("%s: %q is %+v", name, text, sc)
		}
	}
}

func TestObserveKeepsTheTraceOfARecordedSpan(t *testing.T) {
	for text, want := range map[string]string{"": "", recorded: "", sampled: traceID} {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "h", Buckets: []float64{1, 2}})
		Observe(h, 1.5, Parse(text))
		var m dto.Metric
		if err := h.Write(&m); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, bucket := range m.GetHistogram().GetBucket() {
			for _, label := range bucket.GetExemplar().GetLabel() {
				got += label.GetValue()
			}
		}
		if got != want || m.GetHistogram().GetSampleSum() != 1.5 {
			t.Errorf("%q: exemplar %q of %v, want %q of 1.5", text, got, m.GetHistogram().GetSampleSum(), want)
		}
	}
}

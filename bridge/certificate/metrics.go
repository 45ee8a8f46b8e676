package certificate

import (
	"github.com/prometheus/client_golang/prometheus"
)

// register exports when the first of a source's certificates expires.
func register(opts Options, source Source) {
	if opts.Registerer == nil {
		return
	}
	opts.Registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "zenduty_bridge_tls_certificate_expiry_timestamp_seconds",
		Help:        "When the certificate that the listener shows expires, the first of them if there are several; 0 while one is missing.",
		ConstLabels: prometheus.Labels{"listener": opts.Listener},
	}, func() float64 { return expiry(source) }))
}

func expiry(source Source) float64 {
	shown := source.Shown()
	if len(shown) < max(1, len(source.Names())) {
		return 0
	}
	first := shown[0].NotAfter
	for _, c := range shown[1:] {
		if c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return float64(first.Unix())
}

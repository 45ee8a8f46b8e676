package main

import (
	"testing"

	"github.com/zenduty-bridge/zenduty-bridge/config"
	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// Without NATS no canary is sent, and nothing is known of the ways of the sources.
func TestCanariesWithoutNATS(t *testing.T) {
	c := checkup{cfg: config.Config{Sources: map[string]config.Source{"zenduty": {}}}, nats: publisher.Options{URL: "nats://127.0.0.1:1"}}
	found := c.canaries(t.Context())
	if len(found) != 1 || !found[0].Unknown || found[0].On != "" || found[0].Severity != publisher.SeverityError {
		t.Errorf("%+v", found)
	}
}

// A canary that is not sent tells nothing of the way.
func TestCanaryIsNotSent(t *testing.T) {
	server := startNATS(t, "127.0.0.1:0", t.TempDir())
	probe, err := publisher.NewProbe(publisher.Options{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	if got := (checkup{}).canary(t.Context(), probe, "zenduty"); !got.Unknown || got.On != "zenduty" {
		t.Errorf("%+v", got)
	}
}

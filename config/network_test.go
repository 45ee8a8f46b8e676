package config

import (
	"strings"
	"testing"
)

func TestParseNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", " 10.1.2.3/8 ": "10.0.0.0/8", "192.0.2.7": "192.0.2.7/32", "0.0.0.0/0": "0.0.0.0/0",
		"fd00::/8": "fd00::/8", "2001:db8::1": "2001:db8::1/128", "2001:DB8::/32": "2001:db8::/32",
		"::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:10.0.0.1": "10.0.0.1/32",
	} {
		if got, err := ParseNetwork(text); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "10.0.0.0/33", "10.0.0/8", "010.0.0.1", "localhost", "fe80::1%eth0", "fe80::%eth0/10", "::ffff:0:0/90", "10.0.0.1:80", "10.0.0.0/-1", "10.0.0.0/08"} {
		if got, err := ParseNetwork(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q is quoted: %v", text, err)
		}
	}
}

func TestNetworks(t *testing.T) {
	for name, text := range map[string]string{
		"list": "ingress:\n  trusted_proxies:\n    - 10.0.0.0/8\n    - fd00::1\n",
		"flow": "ingress: {trusted_proxies: [10.0.0.0/8, 'fd00::1']}\n",
		"text": "ingress:\n  trusted_proxies: 10.0.0.0/8, fd00::1\n",
	} {
		c, err := Load(Flags{Config: ptr(write(t, "bridge.yaml", text))}, env{envSigningKey: "k"}.get)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := c.Ingress.TrustedProxies.String(); got != "10.0.0.0/8,fd00::1/128" {
			t.Errorf("%s: %s", name, got)
		}
	}
	c, err := Load(Flags{IngressTrustedProxies: ptr("192.0.2.0/24")}, env{envSigningKey: "k"}.get)
	if err != nil || len(c.Ingress.TrustedProxies.Prefixes()) != 1 {
		t.Errorf("%v, %v", c.Ingress.TrustedProxies, err)
	}
}

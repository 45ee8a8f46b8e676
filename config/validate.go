package config

import (
	"fmt"
	"maps"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// minBallast is the least the spool takes (spool.MinBallastBytes).
const minBallast = 4 * mebibyte

// minToken is the least length of an admin token that other machines can try.
const minToken = 16

// sourceName is what a source's name, part of its path and subject, may be.
var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// keyName is what a key's name, a metric's label value, may be.
var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// The remedies for ErrNoKey. Only the first source has variables of its own.
const (
	setSigningKey = "set ZENDUTY_SIGNING_KEY (or ZENDUTY_SIGNING_KEY_FILE, or sources.<name>.keys in the configuration file) to the webhook's signing key from Zenduty"
	setSourceKey  = "set sources.%s.keys in the configuration file to the webhook's signing key from Zenduty"
)

// Validate returns everything that is wrong with c, joined, each a *Fault without
// a place; nil if nothing is. It reads no files: a secret whose file is named
// counts as given. A key may have expired: that comes by itself, and must keep no other
// source's webhooks out.
func (c Config) Validate() error { return c.faults().err() }

func (c Config) faults() faults {
	var f faults
	c.checkAddresses(&f)
	c.checkAdminToken(&f)
	c.checkTLS(&f)
	c.checkSources(&f)
	c.Ingress.check(&f)
	c.Spool.check(&f, c.Ingress.MaxBodyBytes)
	c.Relay.check(&f)
	c.NATS.check(&f)
	c.Audit.check(&f)
	c.checkServices(&f)
	f.oneOf("log.format", c.Log.Format, LogAuto, LogText, LogJSON)
	return f
}

func (c Config) checkAddresses(f *faults) {
	f.address("listen", c.Listen)
	f.address("admin_listen", c.AdminListen)
	if c.Listen == c.AdminListen && !strings.HasSuffix(c.Listen, ":0") {
		f.add("admin_listen", "is the same address as listen; give it another port")
	}
	if c.NATS.URL == "" {
		f.address("nats.listen", c.NATS.Listen)
		c.NATS.checkListen(f)
	}
	if u, err := url.Parse(c.Admin); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		f.add("admin", "must be an http or https URL without credentials, such as http://127.0.0.1:8081")
	}
	if strings.TrimSpace(c.DataDir) == "" {
		f.add("data_dir", "is empty; name a directory")
	}
}

// checkAdminToken: a token has to fit into the Authorization header (RFC 6750,
// section 2.1, of which this takes any visible character).
func (c Config) checkAdminToken(f *faults) {
	if c.AdminToken.text == nil && c.AdminTokenFile == "" {
		return
	}
	f.secret("admin_token", c.AdminToken, c.AdminTokenFile)
	token := c.AdminToken.Reveal()
	if isBeyond(c.AdminListen) && strings.TrimSpace(token) != "" && len(token) < minToken {
		f.add("admin_token", "has fewer than %d characters, which other machines could guess at admin_listen; take one such as openssl rand -hex 32 gives", minToken)
	}
	if strings.TrimSpace(token) != "" && strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		f.add("admin_token", "must be one word of visible ASCII characters, such as openssl rand -hex 32 gives")
	}
}

func (c Config) checkSources(f *faults) {
	if len(c.Sources) == 0 {
		f.add("sources", "%w: %s", ErrNoKey, setSigningKey)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		key := child("sources", name)
		if !sourceName.MatchString(name) {
			f.add(key, "a source's name must be 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit")
		}
		c.Sources[name].check(f, key, name)
	}
	c.checkKeysDiffer(f)
}

// checkKeysDiffer: a signature does not say for which source it was made, so that a
// webhook of one could be posted to another that has the same key, and be new there.
func (c Config) checkKeysDiffer(f *faults) {
	type place struct{ source, key string }
	seen := map[string]place{}
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		for i, k := range c.Sources[name].Keys {
			key := fmt.Sprintf("%s.keys[%d].key", child("sources", name), i)
			secret := k.Key.Reveal()
			first, taken := seen[secret]
			switch {
			case secret == "":
			case !taken:
				seen[secret] = place{name, key}
			case first.source != name:
				f.add(key, "is the same as %s, so that whoever has a webhook of one source could post it to the other; give each source a key of its own, as Zenduty gives each webhook", first.key)
			}
		}
	}
}

func (s Source) check(f *faults, key, name string) {
	f.oneOf(key+".signature", s.Signature, SignatureAuto, SignatureRaw, SignatureNone)
	switch {
	case s.Signature == SignatureNone && len(s.Keys) > 0:
		f.add(key+".keys", "would not be used, because signature is none; remove one of the two")
	case s.Signature != SignatureNone && len(s.Keys) == 0 && name == DefaultSource:
		f.add(key+".keys", "%w: %s", ErrNoKey, setSigningKey)
	case s.Signature != SignatureNone && len(s.Keys) == 0:
		_, shown, _ := strings.Cut(key, ".")
		f.add(key+".keys", "%w: "+setSourceKey, ErrNoKey, shown)
	}
	s.checkKeys(f, key+".keys")
	f.notNegative(key+".max_age", s.MaxAge)
	if s.BasicAuth != nil {
		s.BasicAuth.check(f, key+".basic_auth")
	}
}

func (s Source) checkKeys(f *faults, list string) {
	seen := make(map[string]int, len(s.Keys))
	for i, k := range s.Keys {
		key := fmt.Sprintf("%s[%d]", list, i)
		f.secret(key+".key", k.Key, k.KeyFile)
		first, twice := seen[k.Name]
		switch {
		case k.Name == "" && len(s.Keys) > 1:
			f.add(key+".name", "is missing; several keys need a name each")
		case k.Name != "" && !keyName.MatchString(k.Name):
			f.add(key+".name", "must be 1 to 63 of A-Z, a-z, 0-9, ., _ and -, the first a letter or digit")
		case twice:
			f.add(key+".name", "is the name of %s[%d] too; names must differ", list, first)
		}
		seen[k.Name] = i
		if !k.NotAfter.IsZero() && k.NotAfter.Before(k.NotBefore) {
			f.add(key+".not_after", "is before not_before, so the key would never be valid; swap them or take one out")
		}
	}
}

func (a BasicAuth) check(f *faults, key string) {
	switch {
	case a.Username == "":
		f.add(key+".username", "is empty; give the user name set in Zenduty")
	case strings.Contains(a.Username, ":"):
		f.add(key+".username", "contains a colon, which a user name cannot (RFC 7617, section 2)")
	}
	f.secret(key+".password", a.Password, a.PasswordFile)
}

func (i Ingress) check(f *faults) {
	f.atLeast("ingress.max_body_bytes", i.MaxBodyBytes, 1)
	f.positive("ingress.header_timeout", i.HeaderTimeout)
	f.positive("ingress.body_timeout", i.BodyTimeout)
	f.positive("ingress.idle_timeout", i.IdleTimeout)
	f.positive("ingress.answer_deadline", i.AnswerDeadline)
	if i.AnswerDeadline >= answerLimit {
		f.add("ingress.answer_deadline", "must be below %s, Zenduty's limit for an answer", formatDuration(answerLimit))
	}
	if !(i.FailedAuthRate > 0) || math.IsInf(i.FailedAuthRate, 0) {
		f.add("ingress.failed_auth_rate", "must be above 0")
	}
	if i.FailedAuthBurst < 1 {
		f.add("ingress.failed_auth_burst", "must be at least 1")
	}
	f.notNegative("ingress.lame_duck", i.LameDuck)
	i.checkLimits(f)
}

func (i Ingress) checkLimits(f *faults) {
	if i.MaxHeaderBytes < kibibyte || i.MaxHeaderBytes > mebibyte {
		f.add("ingress.max_header_bytes", "must be 1KiB to 1MiB")
	}
	if i.MaxConnections < 1 {
		f.add("ingress.max_connections", "must be at least 1")
	}
	if i.MaxConnectionsPerAddress < 0 {
		f.add("ingress.max_connections_per_address", "must be 0 (any number) or above")
	}
	if i.MaxConcurrentRequests < 1 {
		f.add("ingress.max_concurrent_requests", "must be at least 1")
	}
	if i.MaxUnverifiedBytes < mebibyte || (i.MaxUnverifiedBytes-mebibyte)/2 < i.MaxBodyBytes {
		f.add("ingress.max_unverified_bytes", "must be at least 1MiB and twice ingress.max_body_bytes, or the largest webhook might not fit")
	}
	for n, network := range i.TrustedProxies {
		if network.Prefix().Bits() == 0 {
			f.add(fmt.Sprintf("ingress.trusted_proxies[%d]", n), "is every address, and every sender could then choose its own; name the proxies' networks")
		}
	}
}

func (s Spool) check(f *faults, maxBody Bytes) {
	if s.BallastBytes < minBallast || s.BallastBytes/4 < maxBody {
		f.add("spool.ballast_bytes", "must be at least %s and 4 times ingress.max_body_bytes, or a full disk might not heal", minBallast)
	}
	f.notNegative("spool.retention", s.Retention)
	if s.MaxBytes <= 0 || s.MaxBytes < maxBody {
		f.add("spool.max_bytes", "must be above 0 and at least ingress.max_body_bytes, or the largest webhook would never fit")
	}
}

func (r Relay) check(f *faults) {
	if r.Window < 1 {
		f.add("relay.window", "must be at least 1")
	}
	f.positive("relay.ack_timeout", r.AckTimeout)
	f.positive("relay.backoff_min", r.BackoffMin)
	if r.BackoffMax < r.BackoffMin {
		f.add("relay.backoff_max", "must be at least relay.backoff_min")
	}
	f.notNegative("relay.drain_timeout", r.DrainTimeout)
}

func (a Audit) check(f *faults) {
	f.interval("audit.interval", a.Interval)
	f.interval("audit.canary_interval", a.CanaryInterval)
}

func (c Config) checkServices(f *faults) {
	for _, id := range slices.Sorted(maps.Keys(c.Services)) {
		key := child("services", id)
		if strings.TrimSpace(id) == "" {
			f.add(key, "an alias stands for an empty name; give the service's unique_id")
		}
		if alias := c.Services[id]; !isToken(alias) || strings.HasPrefix(alias, "$") {
			f.add(key, "must be one subject token: not empty, without . * > white space or control characters, not starting with $")
		}
	}
}

// isToken reports whether text is one literal token of a NATS subject that every
// client can print.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return strings.ContainsRune(".*>\ufffd", r) || unicode.IsSpace(r) || unicode.IsControl(r)
	})
}

func (f *faults) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		f.add(key, "must be one of %s", strings.Join(allowed, ", "))
	}
}

func (f *faults) positive(key string, d time.Duration) {
	if d <= 0 {
		f.add(key, "must be above 0")
	}
}

func (f *faults) interval(key string, d time.Duration) {
	if d != 0 && d < time.Second {
		f.add(key, "must be 0 (never) or at least 1s")
	}
}

func (f *faults) notNegative(key string, d time.Duration) {
	if d < 0 {
		f.add(key, "must not be negative")
	}
}

func (f *faults) atLeast(key string, size, least Bytes) {
	if size < least {
		f.add(key, "must be at least %d", least)
	}
}

// secret checks a secret that may be given as text or as a file, the latter being
// the setting key with _file after it.
func (f *faults) secret(key string, text Secret, file string) {
	name := key[strings.LastIndex(key, ".")+1:]
	switch {
	case text.text != nil && file != "":
		f.add(key+"_file", "is set as well as %s; remove one of the two", name)
	case file == "" && text.text == nil:
		f.add(key, "is missing; set %s or %s_file", name, name)
	case file == "" && strings.TrimSpace(text.Reveal()) == "":
		f.add(key, "is empty or white space only; set it to the secret")
	}
}

// address checks a host:port to listen on. Port 0 asks for any free one.
func (f *faults) address(key, address string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.ContainsFunc(host, unicode.IsSpace) || strings.Contains(host, "/") {
		f.add(key, "must be host:port, such as 127.0.0.1:8080, or :port for all addresses")
		return
	}
	if !isPort(port) {
		f.add(key, "has no valid port; it must be a number from 0 to 65535")
	}
}

// isBeyond tells whether other machines may reach what listens at a valid address.
func isBeyond(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.Unmap().IsLoopback()
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

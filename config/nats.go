package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
)

const (
	maxReplicas = 5   // JetStream's limit for a stream
	maxNameLen  = 255 // JetStream's limit for a stream's name
	// shortestWindow is the least duplicate_window: half of it has to do for a look into the
	// stream, without which the relay sends nothing again.
	shortestWindow = time.Second
	// shortestAge is the least max_age JetStream takes.
	shortestAge = 100 * time.Millisecond
)

// The subjects of webhooks that cannot be keyed and of canaries, which the stream
// takes too.
const (
	quarantine = "zenduty.quarantine.*"
	canary     = "zenduty.canary.*"
)

// Placeholders lists what nats.subject may contain, each as a whole token: the
// event type and the service (or its alias) of the incident, the source, and the
// incident's unique_id.
func Placeholders() []string {
	return []string{"{event_type}", "{service}", "{source}", "{incident}"}
}

func (n NATS) check(f *faults) {
	n.checkURL(f)
	n.checkAuthentication(f)
	if (n.TLS.CertFile == "") != (n.TLS.KeyFile == "") {
		f.add("nats.tls", "cert_file and key_file go together; set both or neither")
	}
	if problem := subjectProblem(n.Subject); problem != "" {
		f.add("nats.subject", "%s", problem)
	}
	n.Stream.check(f)
	if n.URL == "" && n.Stream.Replicas > 1 {
		f.add("nats.stream.replicas", "must be 1 for the embedded server; set nats.url to a cluster for more")
	}
}

func (n NATS) checkURL(f *faults) {
	if n.URL == "" {
		return
	}
	servers, err := parseServers(n.URL)
	if err != nil || len(servers) == 0 || slices.ContainsFunc(servers, notServer) {
		f.add("nats.url", "must be one or more servers separated by commas, such as nats://host:4222 or tls://host:4222")
		return
	}
	if slices.ContainsFunc(servers, isWebSocket) && !all(servers, isWebSocket) {
		f.add("nats.url", "mixes WebSocket servers with others; nats.go connects to one sort only")
	}
}

// parseServers reads a list as nats.go does: nats:// may be left out.
func parseServers(list string) ([]*url.URL, error) {
	var servers []*url.URL
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		server, err := url.Parse(text)
		if err != nil {
			return nil, err
		}
		servers = append(servers, server)
	}
	return servers, nil
}

func notServer(u *url.URL) bool {
	known := slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme)
	return !known || u.Hostname() == "" || u.Port() != "" && !isPort(u.Port())
}

func isWebSocket(u *url.URL) bool { return u.Scheme == "ws" || u.Scheme == "wss" }

func all(servers []*url.URL, is func(*url.URL) bool) bool {
	return !slices.ContainsFunc(servers, func(u *url.URL) bool { return !is(u) })
}

// authentications names the ways to authenticate that are set.
func (n NATS) authentications() []string {
	var set []string
	for _, way := range []struct {
		setting string
		set     bool
	}{
		{"nats.credentials_file", n.CredentialsFile != ""},
		{"nats.nkey_seed_file", n.NKeySeedFile != ""},
		{"nats.user", n.User != "" || n.Password.text != nil || n.PasswordFile != ""},
		{"nats.token", n.Token.text != nil || n.TokenFile != ""},
	} {
		if way.set {
			set = append(set, way.setting)
		}
	}
	return set
}

func (n NATS) checkAuthentication(f *faults) {
	if set := n.authentications(); len(set) > 1 {
		f.add(set[1], "is set as well as %s; keep one way to authenticate", set[0])
	}
	password := n.Password.text != nil || n.PasswordFile != ""
	switch {
	case password:
		f.secret("nats.password", n.Password, n.PasswordFile)
	case n.User != "":
		f.add("nats.password", "is missing; set NATS_PASSWORD or nats.password_file, or, if nats.user is a token, NATS_TOKEN in its place")
	}
	if password && n.User == "" {
		f.add("nats.user", "is missing, but a password is set")
	}
	if n.Token.text != nil || n.TokenFile != "" {
		f.secret("nats.token", n.Token, n.TokenFile)
	}
}

// checkListen: whoever reaches the embedded server may publish, and delete the stream.
func (n NATS) checkListen(f *faults) {
	if isBeyond(n.Listen) && n.User == "" && n.Token.text == nil && n.TokenFile == "" {
		f.add("nats.listen", "lets other machines publish webhooks and delete the stream; listen on a loopback address such as 127.0.0.1:4222, or set nats.user and nats.password, or nats.token, which the embedded server then asks for")
	}
}

// check holds a stream against what nats-server 2.15 refuses (its checkStreamCfg).
func (s Stream) check(f *faults) {
	if s.Name == "" || len(s.Name) > maxNameLen || strings.ContainsFunc(s.Name, notInStreamName) {
		f.add("nats.stream.name", `must be 1 to %d characters, without . * > / \ white space or control characters`, maxNameLen)
	}
	if s.Replicas < 1 || s.Replicas > maxReplicas {
		f.add("nats.stream.replicas", "must be 1 to %d", maxReplicas)
	}
	if s.MaxAge != 0 && s.MaxAge < shortestAge {
		f.add("nats.stream.max_age", "must be 0 (for ever) or at least %s", shortestAge)
	}
	f.atLeast("nats.stream.max_bytes", s.MaxBytes, 0)
	if s.DuplicateWindow < shortestWindow {
		f.add("nats.stream.duplicate_window", "must be at least %s", shortestWindow)
	}
	if s.MaxAge >= shortestAge && s.DuplicateWindow > s.MaxAge {
		f.add("nats.stream.duplicate_window", "must not be above nats.stream.max_age")
	}
}

func notInStreamName(r rune) bool {
	return strings.ContainsRune(`.*>/\`, r) || unicode.IsSpace(r) || !unicode.IsPrint(r)
}

// subjectProblem says what is wrong with a subject template, "" if nothing. It
// counts tokens from 1 and quotes none.
func subjectProblem(template string) string {
	tokens := strings.Split(template, ".")
	for i, token := range tokens {
		braces := strings.ContainsAny(token, "{}")
		switch {
		case slices.Contains(Placeholders(), token):
		case braces && slices.ContainsFunc(Placeholders(), func(p string) bool { return strings.Contains(token, p) }):
			return fmt.Sprintf("token %d mixes a placeholder with other text; a placeholder must be a whole token", i+1)
		case braces:
			return fmt.Sprintf("token %d is not a known placeholder; known are %s", i+1, strings.Join(Placeholders(), ", "))
		case !isToken(token):
			return fmt.Sprintf("token %d must not be empty or contain * > white space or control characters", i+1)
		}
	}
	if strings.HasPrefix(tokens[0], "$") || strings.HasPrefix(tokens[0], "{") {
		return "must begin with a fixed token without $, or the stream would take in NATS's own subjects"
	}
	for _, taken := range []struct{ subject, of string }{{quarantine, "the quarantine"}, {canary, "canaries"}} {
		if meets(tokens, strings.Split(taken.subject, ".")) {
			return "can give a subject of " + taken.of + " (" + taken.subject + "); use other fixed tokens or another number of them"
		}
	}
	return ""
}

// meets reports whether one subject can match both, placeholders and * matching
// any token.
func meets(template, pattern []string) bool {
	if len(template) != len(pattern) {
		return false
	}
	for i, token := range template {
		if token != pattern[i] && pattern[i] != "*" && !strings.HasPrefix(token, "{") {
			return false
		}
	}
	return true
}

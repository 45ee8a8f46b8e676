package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Variables that hold secrets, or name a file that does. Empty counts as not set.
const (
	envSigningKey     = "ZENDUTY_SIGNING_KEY"
	envSigningKeyFile = "ZENDUTY_SIGNING_KEY_FILE"
	envAdminToken     = "ZENDUTY_BRIDGE_ADMIN_TOKEN"
	envNATSPassword   = "NATS_PASSWORD"
	envNATSToken      = "NATS_TOKEN"
)

// Load puts the layers together: the defaults, the file that f.Config names, then
// f and the variables that hold secrets, which getenv looks up (os.LookupEnv, or
// nil for none). It reads the files that hold secrets into the Config, moves
// credentials from the NATS URL to the settings for them, and validates the whole.
//
// The error joins all that is wrong, each a *Fault; [Without] drops some of it.
// The Config is as complete as it could be made even then. Relative paths start at
// the working directory, wherever they were given.
func Load(f Flags, getenv func(string) (string, bool)) (Config, error) {
	c, _, err := LoadFiles(f, getenv)
	return c, err
}

// File is one that a configuration was read from.
type File struct {
	Path   string
	Secret bool // it holds one
}

// LoadFiles is Load, and lists the files that it has read, or tried to.
func LoadFiles(f Flags, getenv func(string) (string, bool)) (Config, []File, error) {
	if getenv == nil {
		getenv = func(string) (string, bool) { return "", false }
	}
	l := newLoader(getenv)
	l.load(f)
	return l.config, l.files, l.faults.err()
}

func (l *loader) load(f Flags) {
	if f.Config != nil && *f.Config != "" && !l.readConfig(*f.Config) {
		return
	}
	l.applyFlags(f)
	l.applySigningKey()
	l.applySecret(f.AdminTokenFile, "admin_token", envAdminToken)
	l.applySecret(f.NATSPasswordFile, "nats.password", envNATSPassword)
	l.applySecret(f.NATSTokenFile, "nats.token", envNATSToken)
	l.splitURL()
	l.readSecrets()
	l.checkFiles()
	l.validate()
}

// loader is a Load under way.
type loader struct {
	config Config
	places places
	faults faults
	files  []File // that were read; the first is the configuration's own, if there is one
	getenv func(string) (string, bool)
}

func newLoader(getenv func(string) (string, bool)) *loader {
	return &loader{config: Default(), places: places{}, getenv: getenv}
}

// reject notes a fault and where the setting was given.
func (l *loader) reject(key, format string, args ...any) {
	l.faults.add(key, format, args...)
	l.faults[len(l.faults)-1].Place = l.places.find(key)
}

// validate takes over the faults that Validate finds, less those that merely follow
// from one already known.
func (l *loader) validate() {
	l.config.fill()
	known := l.faults
	for _, fault := range l.config.faults() {
		if known.cover(fault.Key) {
			continue
		}
		fault.Place = l.places.find(fault.Key)
		l.faults = append(l.faults, fault)
	}
}

// getSecret looks up a variable; set but empty is not set.
func (l *loader) getSecret(name string) (string, bool) {
	text, ok := l.getenv(name)
	return text, ok && text != ""
}

// readConfig applies the file; false means that it holds no settings to go on with.
func (l *loader) readConfig(path string) bool {
	l.files = append(l.files, File{Path: path})
	data, err := readFile(path, maxFileBytes)
	if err == nil && len(data) > maxFileBytes {
		err = errors.New("is too large for a configuration file (over 1 MiB)")
	}
	if err == nil && len(bytes.TrimSpace(data)) == 0 { // half a replacement, or a pipe that nobody writes to
		err = errors.New("is empty, where {} would mean the defaults")
	}
	if err != nil {
		l.faults = faults{{Place: path, Err: fmt.Errorf("%w; --config or ZENDUTY_BRIDGE_CONFIG names this file", err)}}
		return false
	}
	return l.decode(path, data)
}

// decode applies the text of the file at path.
func (l *loader) decode(path string, data []byte) bool {
	d := decoder{file: path, places: l.places}
	read := d.decode(data, &l.config)
	l.faults = d.faults
	return read
}

// applyFlags sets what was given on the command line or in the environment.
func (l *loader) applyFlags(f Flags) {
	for _, flag := range f.all() {
		if flag.setting == "" || flag.text == "" {
			continue
		}
		l.places.set(flag.setting, flag.place())
		if err := setScalar(l.config.lookup(flag.setting), flag.text); err != nil {
			l.reject(flag.setting, "%w", err)
		}
	}
}

// applySigningKey lets the environment's key take the place of those of DefaultSource.
func (l *loader) applySigningKey() {
	text, given := l.getSecret(envSigningKey)
	file, fileGiven := l.getSecret(envSigningKeyFile)
	const key = "sources." + DefaultSource + ".keys"
	source := l.config.Sources[DefaultSource]
	switch {
	case given && fileGiven:
		l.places.set(key, envSigningKey+" and "+envSigningKeyFile)
		l.reject(key, "both variables are set; unset one")
	case given:
		l.places.set(key, envSigningKey)
		source.Keys = []Key{{Name: defaultKeyName, Key: NewSecret(text)}}
	case fileGiven:
		l.places.set(key, envSigningKeyFile)
		source.Keys = []Key{{Name: defaultKeyName, KeyFile: file}}
	default:
		return
	}
	l.config.Sources[DefaultSource] = source
}

// applySecret lets a secret from the environment take the place of the
// file's, whichever of its two forms either has.
func (l *loader) applySecret(fileFlag *string, key, variable string) {
	text, given := l.getSecret(variable)
	fileGiven := fileFlag != nil && *fileFlag != ""
	secret := l.config.lookup(key).Addr().Interface().(*Secret)
	file := l.config.lookup(key + "_file").Addr().Interface().(*string)
	switch {
	case given && fileGiven:
		l.reject(key+"_file", "%s is set as well; unset one", variable)
	case given:
		*secret, *file = NewSecret(text), ""
		l.places.set(key, variable)
	case fileGiven:
		*secret = Secret{}
	}
}

// splitURL moves credentials out of the NATS URL, which can then be logged. As in
// nats.go, a user without a password is a token. nats.go uses a server's own
// credentials for that server only, hence the servers must agree.
func (l *loader) splitURL() {
	const key = "nats.url"
	servers, err := parseServers(l.config.NATS.URL)
	if err != nil {
		return // Validate reports it
	}
	user, same := sharedUser(servers)
	n := &l.config.NATS
	switch {
	case !same:
		l.reject(key, "holds credentials that are not the same for all servers; give them in settings of their own instead, such as nats.user")
		return
	case user == nil:
		return
	case len(n.authentications()) > 0:
		l.reject(key, "holds credentials while %s is set; keep one", n.authentications()[0])
		return
	}
	n.URL = joinServers(servers)
	n.Token = NewSecret(user.Username())
	if password, ok := user.Password(); ok {
		n.User, n.Password, n.Token = user.Username(), NewSecret(password), Secret{}
	}
	for _, moved := range []string{"nats.user", "nats.password", "nats.token"} {
		l.places.set(moved, l.places.find(key))
	}
}

// sharedUser returns the credentials in the servers' URLs, nil if there are none,
// and whether they are the same in all.
func sharedUser(servers []*url.URL) (*url.Userinfo, bool) {
	for _, s := range servers {
		if s.User.String() != servers[0].User.String() || (s.User == nil) != (servers[0].User == nil) {
			return nil, false
		}
	}
	if len(servers) == 0 {
		return nil, true
	}
	return servers[0].User, true
}

// joinServers is the list without credentials.
func joinServers(servers []*url.URL) string {
	list := make([]string, len(servers))
	for i, s := range servers {
		plain := *s
		plain.User = nil
		list[i] = plain.String()
	}
	return strings.Join(list, ",")
}

// readSecrets puts every secret into its final form: its text, and no file.
func (l *loader) readSecrets() {
	for _, name := range sortedNames(l.config.Sources) {
		source := l.config.Sources[name]
		for i := range source.Keys {
			k := &source.Keys[i]
			l.readSecret(fmt.Sprintf("%s.keys[%d].key", child("sources", name), i), &k.Key, &k.KeyFile)
		}
		if a := source.BasicAuth; a != nil {
			l.readSecret(child("sources", name)+".basic_auth.password", &a.Password, &a.PasswordFile)
		}
	}
	l.readSecret("admin_token", &l.config.AdminToken, &l.config.AdminTokenFile)
	n := &l.config.NATS
	l.readSecret("nats.password", &n.Password, &n.PasswordFile)
	l.readSecret("nats.token", &n.Token, &n.TokenFile)
}

// readSecret reads the file of the secret key, unless the text is given as well,
// which Validate reports. A file that cannot be read stays named, so that the
// secret does not count as missing too. Wherever the text comes from, line ends
// after it do not count: echo, editors and YAML's block scalars put them there.
func (l *loader) readSecret(key string, secret *Secret, file *string) {
	switch {
	case secret.text != nil:
		*secret = NewSecret(trimLineEnds(secret.Reveal()))
		if len(l.files) > 0 && strings.HasPrefix(l.places.find(key), l.files[0].Path+":") {
			l.files[0].Secret = true
		}
	case *file != "":
		l.files = append(l.files, File{*file, true})
		read, err := readSecret(*file)
		if err != nil {
			l.reject(key+"_file", "%w", err)
			return
		}
		*secret, *file = read, ""
	}
}

// checkFiles tries the files that others will read by themselves.
func (l *loader) checkFiles() {
	c, n := l.config, l.config.NATS
	for _, f := range []struct {
		key, path string
		secret    bool
	}{
		{"admin_tls.cert_file", c.AdminTLS.CertFile, false},
		{"admin_tls.key_file", c.AdminTLS.KeyFile, true},
		{"admin_ca_file", c.AdminCAFile, false},
		{"tls.cert_file", c.TLS.CertFile, false},
		{"tls.key_file", c.TLS.KeyFile, true},
		{"nats.credentials_file", n.CredentialsFile, true},
		{"nats.nkey_seed_file", n.NKeySeedFile, true},
		{"nats.tls.ca_file", n.TLS.CAFile, false},
		{"nats.tls.cert_file", n.TLS.CertFile, false},
		{"nats.tls.key_file", n.TLS.KeyFile, true},
	} {
		if f.path == "" {
			continue
		}
		l.files = append(l.files, File{f.path, f.secret})
		if err := checkFile(f.path); err != nil {
			l.reject(f.key, "%w", err)
		}
	}
	l.checkPair("admin_tls", c.AdminTLS)
	l.checkPair("tls", c.TLS)
	l.checkCA("admin_ca_file", c.AdminCAFile)
}

// sortedNames lists a map's keys in an order that does not change from run to run.
func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

package main

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/ingress"
	"github.com/zenduty-bridge/zenduty-bridge/config"
)

// reading is what one reading of the configuration gave.
type reading struct {
	cfg   config.Config
	files []config.File // that it was read from, besides flags and environment
	err   error
}

func readConfig(flags config.Flags, getenv func(string) (string, bool)) (r reading) {
	r.cfg, r.files, r.err = config.LoadFiles(flags, getenv)
	return r
}

// same compares what was read, and not how it is spelt.
func (r reading) same(other reading) bool {
	if r.err != nil || other.err != nil {
		return r.err != nil && other.err != nil && r.err.Error() == other.err.Error()
	}
	return reflect.DeepEqual(r.cfg, other.cfg)
}

// lookEvery is the time between two looks at the files. What is changed is taken over
// when two looks in a row have seen the same: not while somebody is still writing.
const lookEvery = 2 * time.Second

// reloader has a running service take over what is changed in its configuration: when
// the files say something else than before, and on SIGHUP. It reads what is there, by
// the means of the start, and so does not mind whether a file was written, renamed, or
// is a link to another directory now.
type reloader struct {
	service *service
	level   *slog.LevelVar
	read    func() reading
	metrics *reloadMetrics

	decided reading // taken over, or refused
	seen    reading // at the last look
	pipe    string  // among the files of that, for which there are no looks; "" is none
}

// newReloader: first is what the service was started with.
func newReloader(s *service, level *slog.LevelVar, read func() reading, first reading) *reloader {
	return &reloader{service: s, level: level, read: read, metrics: s.reloads, decided: first, seen: first}
}

// run reloads until ctx ends. Nobody waits for its end: a file may be on a disk that
// does not answer.
func (r *reloader) run(ctx context.Context, hangups <-chan os.Signal) {
	r.watchable() // or it is told at once
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			r.decide(r.read(), "SIGHUP")
			r.service.certificates.reread()
		case <-ticker.C:
			if r.watchable() {
				r.look()
			}
		}
	}
}

// watchable: what came through a pipe cannot be read a second time. The files are those
// of the last look, which may have named a pipe for the first time.
func (r *reloader) watchable() bool {
	pipe := ""
	for _, file := range r.seen.files {
		if info, err := os.Stat(file.Path); err == nil && !info.Mode().IsRegular() {
			pipe = file.Path
		}
	}
	if pipe != "" && pipe != r.pipe {
		r.service.log.Info("the configuration is read again on SIGHUP only", "not_a_regular_file", pipe)
	}
	r.pipe = pipe
	return pipe == "" && len(r.seen.files) > 0
}

func (r *reloader) look() {
	before := r.seen
	r.seen = r.read()
	if !r.seen.same(r.decided) && r.seen.same(before) {
		r.decide(r.seen, "change")
	}
}

// decide takes over what was read, or refuses all of it if anything is wrong.
func (r *reloader) decide(found reading, cause string) {
	r.decided, r.seen = found, found
	err := found.err
	if err == nil {
		err = r.takeOver(found.cfg, cause)
	}
	r.metrics.count(err)
	for _, fault := range parts(err) {
		r.service.log.Error("configuration refused, the old one stays", "cause", cause, "error", fault)
	}
}

// parts are the errors that were joined.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case ok:
		return joined.Unwrap()
	}
	return []error{err}
}

func (r *reloader) takeOver(next config.Config, cause string) error {
	s := r.service
	if err := s.wouldStart(next); err != nil {
		return err
	}
	sources, err := newSources(next, s.log)
	if err != nil {
		return err
	}
	before := *s.live.Load()
	s.reconfigure(next, sources)
	r.level.Set(next.Log.Level)
	s.tellChanges(before, next, cause)
	return nil
}

// wouldStart makes of a configuration what is made of it at the start, besides sources.
func (s *service) wouldStart(next config.Config) error {
	server := s.nats
	if next.NATS.URL != "" {
		server = nil
	}
	_, err := publisherOptions(next, server, s.log, nil, nil)
	return err
}

// reloadable are the settings that a running bridge takes over.
var reloadable = []string{"admin_token", "sources", "services", "log.level"}

// reconfigure takes over what is reloadable, but for the level of the log.
func (s *service) reconfigure(next config.Config, sources map[string]*ingress.Source) {
	live := s.cfg
	live.AdminToken, live.Sources, live.Services, live.Log.Level = next.AdminToken, next.Sources, next.Services, next.Log.Level
	s.bridge.AddSources(slices.Collect(maps.Keys(next.Sources))...)
	s.publisher.SetServices(next.Services)
	s.replays.SetServices(next.Services)
	s.ingress.SetSources(sources)
	s.admin.SetToken(next.AdminToken.Reveal())
	s.live.Store(&live)
}

// tellChanges logs what has become otherwise, without any value, and what will.
func (s *service) tellChanges(before, next config.Config, cause string) {
	changed := []string{} // a list in JSON, be it empty
	for _, setting := range config.Changed(before, next) {
		if setting == "sources" {
			changed = append(changed, changedSources(before, next)...)
		} else if slices.Contains(reloadable, setting) {
			changed = append(changed, setting)
		}
	}
	s.log.Info("configuration reloaded", "cause", cause, "changed", changed)
	for _, name := range sourceNames(next) {
		if _, there := before.Sources[name]; !there {
			s.announceSource(name)
		}
	}
	for _, setting := range config.Changed(s.cfg, next) {
		if !slices.Contains(reloadable, setting) {
			s.log.Warn("a changed setting takes effect at the next start", "setting", setting)
		}
	}
}

// changedSources are those that came, went, or are configured otherwise.
func changedSources(before, next config.Config) (list []string) {
	names := slices.Concat(sourceNames(before), sourceNames(next))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		old, was := before.Sources[name]
		source, is := next.Sources[name]
		switch setting := "sources." + name; {
		case !was:
			list = append(list, setting+" (added)")
		case !is:
			list = append(list, setting+" (removed)")
		case !reflect.DeepEqual(old, source):
			list = append(list, setting)
		}
	}
	return list
}

// reloadMetrics tell how reloading went.
type reloadMetrics struct {
	successful, at   prometheus.Gauge
	applied, refused prometheus.Counter
}

// newReloadMetrics registers with r. The start counts as a success, and not as a reload.
func newReloadMetrics(r prometheus.Registerer) *reloadMetrics {
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "zenduty_bridge_config_reloads_total",
		Help: "Changed configurations, and those that SIGHUP asked for, by outcome: applied or refused.",
	}, []string{"outcome"})
	m := &reloadMetrics{
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "zenduty_bridge_config_last_reload_successful",
			Help: "1 unless the configuration as it is now was refused, and an older one is in force.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "zenduty_bridge_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration in force was read.",
		}),
		applied: reloads.WithLabelValues("applied"), refused: reloads.WithLabelValues("refused"),
	}
	m.successful.Set(1)
	m.at.SetToCurrentTime()
	r.MustRegister(reloads, m.successful, m.at)
	return m
}

func (m *reloadMetrics) count(err error) {
	if err != nil {
		m.successful.Set(0)
		m.refused.Inc()
		return
	}
	m.successful.Set(1)
	m.at.SetToCurrentTime()
	m.applied.Inc()
}

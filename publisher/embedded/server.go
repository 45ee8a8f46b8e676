// Package embedded runs a nats-server inside the program: the broker of those
// who have none.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options for Start.
type Options struct {
	// Listen is the address for other clients, host:port; port 0 takes a free one.
	Listen string
	// StoreDir is where JetStream keeps its files.
	StoreDir string
	// User and Password, or Token, are asked for of every client, the program's own
	// connection included; default none.
	User, Password, Token string
	// MaxPayload is the largest message in bytes, headers included; default 8 MiB.
	MaxPayload int32
	// Logger gets the server's warnings and errors; default slog.Default.
	Logger *slog.Logger
}

// Server is a running nats-server with JetStream, which syncs every message to
// disk before it acknowledges it (sync_interval: always).
type Server struct{ *server.Server }

// Start runs a server and returns when it takes connections.
func Start(opts Options) (*Server, error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	host, port, err := splitListen(opts.Listen)
	if err != nil {
		return nil, err
	}
	log := &logger{log: opts.Logger}
	s, err := server.NewServer(&server.Options{
		ServerName: "zenduty-bridge", Host: host, Port: port,
		Username: opts.User, Password: opts.Password, Authorization: opts.Token,
		JetStream: true, StoreDir: opts.StoreDir, SyncAlways: true,
		// The bridge watches the disk itself; a share of what is free at the
		// start would be an arbitrary limit.
		JetStreamMaxStore: math.MaxInt64 >> 8, JetStreamMaxMemory: 256 << 20,
		MaxPayload: maxPayload(opts.MaxPayload),
		NoSigs:     true, DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	if err := awaitReady(s, log); err != nil {
		s.Shutdown()
		return nil, fmt.Errorf("embedded NATS on %s: %w", opts.Listen, err)
	}
	return &Server{s}, nil
}

func maxPayload(n int32) int32 {
	if n == 0 {
		return 8 << 20
	}
	return n
}

func splitListen(listen string) (host string, port int, err error) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("embedded NATS: %w", err)
	}
	if port, err = strconv.Atoi(portText); err != nil {
		return "", 0, fmt.Errorf("embedded NATS: port of %q: %w", listen, err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// awaitReady waits until the server is ready or has logged that it cannot be.
func awaitReady(s *server.Server, log *logger) error {
	for deadline := time.Now().Add(30 * time.Second); ; {
		if s.ReadyForConnections(50 * time.Millisecond) {
			return nil
		}
		if fatal := log.fatal(); fatal != "" {
			return errors.New(fatal)
		}
		if time.Now().After(deadline) {
			return errors.New("not ready after 30 s")
		}
	}
}

// URL is where other clients connect, the port being the real one. A server that
// listens everywhere is named by its loopback address.
func (s *Server) URL() string {
	u, err := url.Parse(s.ClientURL())
	if err != nil {
		return s.ClientURL()
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		u.Host = net.JoinHostPort("127.0.0.1", u.Port())
	}
	return u.String()
}

// Close shuts the server down, its store synced and closed.
func (s *Server) Close() {
	s.Shutdown()
	s.WaitForShutdown()
}

// logger hands the server's log on, and remembers a fatal one: the server is
// told to end the process by it, and must not.
type logger struct {
	log *slog.Logger
	mu  sync.Mutex
	msg string
}

func (l *logger) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.msg
}

func (l *logger) Fatalf(format string, v ...any) {
	l.mu.Lock()
	l.msg = fmt.Sprintf(format, v...)
	l.mu.Unlock()
	l.log.Error("embedded NATS: " + l.fatal())
}

func (l *logger) Errorf(format string, v ...any) {
	l.log.Error("embedded NATS: " + fmt.Sprintf(format, v...))
}

func (l *logger) Warnf(format string, v ...any) {
	l.log.Warn("embedded NATS: " + fmt.Sprintf(format, v...))
}

func (l *logger) Noticef(format string, v ...any) {
	l.log.Debug("embedded NATS: " + fmt.Sprintf(format, v...))
}

func (l *logger) Debugf(string, ...any) {}
func (l *logger) Tracef(string, ...any) {}

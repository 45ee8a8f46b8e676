//go:build !linux

package ingress

import (
	"errors"
	"fmt"
	"net"
)

// refuseHandshakes is for Linux only.
func refuseHandshakes(*net.TCPListener) error {
	return fmt.Errorf("refuse handshakes: %w", errors.ErrUnsupported)
}

// unread is for Linux only.
func unread(*net.TCPConn) bool { return false }

// openFiles is for Linux only.
func openFiles() (n int, known bool) { return 0, false }

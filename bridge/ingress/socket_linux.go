package ingress

import (
	"errors"
	"math"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// onlyAfterSYN is a packet filter that drops a TCP segment with SYN and without ACK
// (RFC 9293, section 3.1: the flags are the 14th byte) and passes every other.
var onlyAfterSYN = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x02, Jt: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff_ffff},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// refuseHandshakes lets no further handshake with l begin; those that have begun come
// to their end. The kernel of who begins one sends the SYN again after a second, and
// finds the port closed then.
func refuseHandshakes(l *net.TCPListener) error {
	program := unix.SockFprog{Len: uint16(len(onlyAfterSYN)), Filter: &onlyAfterSYN[0]}
	return control(l, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
}

// unread tells whether something has come on c that was not read yet.
func unread(c *net.TCPConn) bool {
	n := 0
	err := control(c, func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err
	})
	return err == nil && n > 0
}

func control(c syscall.Conn, do func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	err = raw.Control(func(fd uintptr) { done = do(int(fd)) })
	return errors.Join(err, done)
}

// openFiles is how many files the process may have open.
func openFiles() (n int, known bool) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return int(min(limit.Cur, math.MaxInt32)), true
}

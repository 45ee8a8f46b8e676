package main

import (
	"os"
	"os/signal"
	"syscall"
)

// catchHangups keeps SIGHUP from ending the program, which it would by default. It is
// called before anything else: whoever changes the configuration of a bridge does not
// know how far its start has come.
func catchHangups() <-chan os.Signal {
	hangups := make(chan os.Signal, 1) // one that is not taken yet stands for those after it
	signal.Notify(hangups, syscall.SIGHUP)
	return hangups
}

// releaseHangups gives SIGHUP its meaning back for a command without a configuration to
// reload: its terminal was closed. One that was caught meanwhile is not lost.
func releaseHangups(hangups <-chan os.Signal) {
	signal.Reset(syscall.SIGHUP)
	select {
	case hangup := <-hangups:
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Signal(hangup) // where there are no signals none was caught
		}
	default:
	}
}

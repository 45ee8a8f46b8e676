// Package health looks at what a bridge stands on: the disk, the clock, and by what
// it is given NATS and the whole way through; once for an operator who asks (the
// checks), or now and again in a running bridge (Auditor).
package health

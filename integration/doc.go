// Package integration holds the scenarios: the real binary as a process, real
// nats-servers (in the bridge, as processes, in containers), real disks.
//
// Every scenario that carries webhooks ends with the same audit: what was
// answered with 200 is held against what an independent reader finds in the
// stream.
package integration

// Package bridge is the domain: it takes verified webhooks into the spool
// (Accept) and relays them from there to JetStream (Run).
//
// # The promise
//
// Accept returns nil only when the webhook is on stable storage. From then on Run
// publishes it, once, in order within its incident, however often NATS, the
// network or the process fail in between.
//
// # A record's way
//
//	              Accept           sent             PubAck
//	(webhook) ───────────▶ pending ─────▶ in flight ───────▶ retained
//	                          ▲               │
//	                          └── transient ──┤
//	                                          └─ permanent ─▶ quarantined
//
// Pending, retained and quarantined are states on disk, see package spool; being
// in flight is known to the relay alone, so a record that was in flight when the
// process ended is pending when it starts again. JetStream knows it by its
// Nats-Msg-Id and answers with the sequence it already has.
//
// # Order
//
// Every record has an ordering key: its incident, else its service, else its
// source. The records of one key stand in a lane, and only the head of a lane is
// ever in flight: the next follows after the acknowledgement. Lanes do not wait
// for each other.
package bridge

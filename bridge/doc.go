// Package bridge is the domain: it takes verified webhooks into the spool
// (Accept) and relays them from there to JetStream (Run).
//
// # The promise
//
// Accept returns nil only when the webhook is on stable storage. From then on Run
// publishes it, once, in order within its incident, however often NATS, the
// network or the process fail in between.
//
// # A record's states
//
//		         Accept              send                ack
//		(webhook) ────▶ pending ──────────▶ sent ──────────────▶ acknowledged
//		                 ▲   ▲               │ │ │                │
//		                 │   └─ refused ─────┘ │ └─ permanent ─▶ quarantined
//		                 │                     │                  │
//		                 │         time-out,   ▼                  │
//		                 │         disconnect, uncertain ─ found ─▶ acknowledged
//		                 │         restart      │                 │
//		                 ├─ not found ──────────┘                 │
//		                 └─ the stream has lost it ◀──────────────┘
//
//	  - pending: on disk, and surely not in the stream.
//	  - sent: handed to the connection, its outcome to come. At most one record of an
//	    ordering key is sent or uncertain.
//	  - uncertain: sent, and no outcome came. JetStream may have it, or may get it
//	    yet. It is looked for in the stream before it is sent again; what comes late
//	    is dropped by JetStream, which knows the message's id for the duplicate
//	    window. Where that is half over, the record is looked for once more.
//	  - acknowledged: JetStream said that it has it. Kept as history with its receipt.
//	  - quarantined: JetStream will never take it, it cannot be read, or it could not
//	    be keyed and has been published as such. Kept until somebody decides.
//
// On disk (package spool) there are three: pending, retained for acknowledged, and
// quarantined. Sent and uncertain are the relay's own; what survives of them is the
// mark up to which records may have been sent (see sentMark), so that after a
// restart everything pending below it is uncertain.
//
// # Order
//
// Every record has an ordering key: its incident, else its service, else its
// source. The records of one key stand in a lane, and only the head of a lane is
// ever sent: the next follows after the acknowledgement. Lanes do not wait for each
// other.
//
// # How it is tried
//
// TestModel runs the relay and the spool against a model of a stream, in fake time,
// through thousands of random histories of acknowledgements, refusals, lost and late
// ones, disconnects, crashes, power cuts, forgotten message ids, and streams that
// lost data, and holds the outcome against the promise.
package bridge

// Package spool is the bridge's durable queue on disk. It knows bytes, ids and
// ordering keys; what they mean is the caller's business.
//
// # The promise
//
// Append returns nil only after the record is on stable storage: written to the
// write-ahead log and fsynced. Nothing else in this package is promised to
// survive a power cut: an acknowledgement that is lost makes its record pending
// again, and it is the relay's business to find out that it had been delivered.
//
// # A record's states
//
//	          Append              Ack
//	(absent) ───────▶ pending ───────────▶ retained ──evict──▶ (absent)
//	                     │
//	                     │ Quarantine
//	                     ▼
//	                quarantined
//
// Pending and quarantined records are never removed by the spool. Retained ones
// are history: kept for Options.Retention, evicted oldest first, and sooner when
// space is short. De-duplication by id covers every record that is held, in
// whatever state.
//
// # On disk
//
// One Pebble store, the first byte of a key being its kind and sequence numbers
// big-endian, so that a scan is in order:
//
//	r <seq>  the record: received, ordering key, id, header, body
//	i <id>   the sequence number of the record with that id
//	p <seq>  the record is pending
//	a <seq>  the record is retained: when it was acknowledged, and its receipt
//	q <seq>  the record is quarantined: since when, and why
//	m <name> the store's own (format version, highest sequence number given
//	         out) and the caller's marks
//
// The state entries (p, a, q) carry the Ref, so that counting, scheduling and
// evicting never read a body.
package spool

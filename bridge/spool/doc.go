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
//	i <seq / 65,536> <id>
//	         the sequence number of the record with that id
//	p <seq>  the record is pending
//	a <seq>  the record is retained: when it was acknowledged, and its receipt
//	q <seq>  the record is quarantined: since when, and why
//	m <name> the store's own (format version, highest sequence number given
//	         out) and the caller's marks
//
// The state entries (p, a, q) carry the Ref, so that counting, scheduling and
// evicting never read a body.
//
// Beside the store's files are LEDGER, which tells what write-ahead logs there must
// be, and BALLAST, which is given up when the disk is full.
//
// # Damage
//
// Opening a Pebble store repairs what a crash leaves, and with it hides some damage:
// it takes a missing manifest for a new store, a broken one for a shorter one, a
// missing log for an empty one, and damage near a log's end for its end; then it
// removes what it no longer refers to. So Open looks first (storefiles.Inspect), and
// when records would be lost gives ErrDamaged with the place and the remedy, and
// leaves all files as they were:
//
//	marker or manifest missing, manifest cut short  by what else is there, and the ledger
//	log missing                                     by the ledger
//	log damaged amid records                        an append is written only after the fsync of
//	                                                the one before, so that two appends behind a
//	                                                gap tell that it had been on disk
//	log cut off, after Close                        by the ledger and the log's trailer
//	table missing or of another length              by the manifest
//
// What a power cut leaves is no damage. A write that was cut off at the very end of
// the log of a killed process is warned of, and dropped; zeroes or nothing there are
// as usual. One append behind a gap may be either: it is appended again (rescue), and
// noted in the ledger first, since opening the store removes the log.
//
// Blocks of tables are checked when they are read. One that does not fit its
// checksum while the spool runs is logged once as an error, and concerns only
// what is in it: Read gives ErrDamaged, and the caller sets that record aside;
// an Append whose id would have to be looked up there is refused; a listing ends
// with ErrDamaged, so that a spool which cannot count what is pending does not open.
// When writes wait too long, as for a compaction that such a block prevents, the
// spool fails.
//
// The way out is the operator's. Verify reads every block and holds all entries
// against each other, changing nothing; Salvage makes a new spool of what can be
// read, from tables and logs one by one (storefiles.Remains) since the store would
// give nothing of what a damaged file overlaps. Records that they find are right to
// the byte; of one whose state is lost Salvage says that it is pending. SalvageInPlace
// puts the new one where the damaged one was, by two renames; if only the first is done
// when the process or the machine ends, Open does the second.
package spool

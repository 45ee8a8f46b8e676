// Package storefiles reads the files of a Pebble store without opening it, and
// knows nothing of what its entries mean but that some of their keys are numbered.
//
// Inspect tells, before a store is opened, what opening it would pass over in
// silence. Remains is what its tables and logs hold, also those of a store that
// does not open. Where the bytes are Pebble's, its own packages read them (sstable,
// record, batchrepr, atomicfs by way of pebble.Peek), but for what is behind a gap
// in a log, and for the one number of a manifest that they keep to themselves.
package storefiles

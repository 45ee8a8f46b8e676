package bridge

import "github.com/zenduty-bridge/zenduty-bridge/bridge/spool"

// Salvage is spool.Salvage of a bridge's spool on the machine's disk. The mark of what
// may have been sent is not copied from a damaged one: what is pending again for want
// of a state may be in the stream at any place, also below the mark's, and the mark
// may be older than the last one that was written. See sentMark.load.
func Salvage(from, to string) (spool.Salvaged, error) {
	return spool.Salvage(from, to, nil, sentMarkName)
}

// SalvageInPlace is spool.SalvageInPlace, likewise.
func SalvageInPlace(dir string) (kept string, result spool.Salvaged, err error) {
	return spool.SalvageInPlace(dir, nil, sentMarkName)
}

//go:build !race

package integration

// underRace builds the bridge with the race detector as well.
const underRace = false

// Bench measures the bridge on the machine that it runs on, against what a user
// would pick instead, and says whether it is as fast as it shall be:
//
//	go run ./integration/bench                      everything, in under 15 minutes
//	go run ./integration/bench --only accept        one scenario
//	go run ./integration/bench --json new.json      keeps the figures
//	go run ./integration/bench compare old.json new.json
//
// The bridge and the nats-server are real processes on a real disk, the load comes
// over real connections, and generator and servers share the cores. Each round
// runs every scenario next to its reference, so that a machine that grows slower
// meanwhile slows both; what counts are medians over the rounds and their ratio.
//
// The references are a bare Echo handler, which reads a webhook, verifies it and
// answers (bare.go), and an asynchronous JetStream publisher of the same messages
// (publish.go), each a process of its own.
//
// main.go is the order of things, scenarios.go and pending.go what is measured,
// report.go what becomes of it.
package main

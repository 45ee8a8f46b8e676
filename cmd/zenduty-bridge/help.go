package main

// What the help of each command says beside its flags. Indented lines stay as
// they are, others are filled. Every command has examples, each a line that begins
// with four spaces, perhaps some variables, and zenduty-bridge; a test parses them.

// Help is kong's HelpProvider.
func (*serveCommand) Help() string {
	return `A 200 means that the webhook was authentic and is on disk; from there it reaches JetStream, whatever NATS does meanwhile. Without --nats-url the program brings a NATS server of its own.

Examples:

    ZENDUTY_SIGNING_KEY=... zenduty-bridge serve
    ZENDUTY_SIGNING_KEY_FILE=/run/secrets/zenduty zenduty-bridge serve --nats-url nats://nats:4222
    zenduty-bridge serve --config bridge.yaml --log-level debug`
}

// Help is kong's HelpProvider.
func (*demoCommand) Help() string {
	return `Starts a bridge on free ports in a temporary directory, posts one incident's three webhooks to it, signed, and prints each as it comes out of NATS. It needs no account and no NATS, and leaves nothing behind.

Examples:

    zenduty-bridge demo
    zenduty-bridge demo --keep`
}

// Help is kong's HelpProvider.
func (*sendCommand) Help() string {
	return `Posts made-up incidents, as Zenduty's guide shows them, or the bytes of a file. It closes with the answers and how long they took, and exits with 1 if any was not 200.

Examples:

    ZENDUTY_SIGNING_KEY=... zenduty-bridge send
    zenduty-bridge send --key-file key --event incident --title "Disk full"
    zenduty-bridge send --key-file key --count 10000 --rate 500 --json
    zenduty-bridge send --key-file key --url https://bridge.example.com/webhooks/zenduty --file webhook.json
    cat webhook.json | zenduty-bridge send --key-file key`
}

// Help is kong's HelpProvider.
func (*tailCommand) Help() string {
	return `Without --since it listens to the live feed, which is at most once; with it, it reads the stream, in which every webhook is.

Examples:

    zenduty-bridge tail
    zenduty-bridge tail --event triggered --service e84d78d1-6484-4a99-b9f8-c23b6a4e86b0
    zenduty-bridge tail --nats-url nats://nats:4222 --since 2h --no-follow
    zenduty-bridge tail --json | jq -r .body.payload.incident.title`
}

// Help is kong's HelpProvider.
func (*healthcheckCommand) Help() string {
	return `Examples:

    zenduty-bridge healthcheck
    zenduty-bridge healthcheck --admin http://127.0.0.1:9000 --timeout 1s`
}

// Help is kong's HelpProvider.
func (versionCommand) Help() string {
	return `Examples:

    zenduty-bridge version
    zenduty-bridge version --json`
}

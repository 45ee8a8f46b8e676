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
func (*statusCommand) Help() string {
	return `One screen: what is on disk and how much room there is, what the relay sends and what it waits for, NATS, the stream, and what each source has posted.

Examples:

    zenduty-bridge status
    zenduty-bridge status --watch --interval 1s
    zenduty-bridge status --json | jq .relay.waits`
}

// Help is kong's HelpProvider.
func (*traceCommand) Help() string {
	return `Prints each webhook's receipt: when and from where it came, where it is in the spool, how often it was sent, and where it is in the stream. What the text is, is decided by what is found. An id is found at once; an incident's number may take a look through all that is held.

Examples:

    zenduty-bridge trace 0vtjs3rl5aqvhv0pfjn7mg5e2f5b1f3d
    zenduty-bridge trace UTzQWG5GfZa5xPuHfqKJdh --json
    zenduty-bridge trace 1042 --body`
}

// Help is kong's HelpProvider.
func (*quarantineListCommand) Help() string {
	return `A webhook is unkeyable if it is no JSON object with an event type: it has been published on zenduty.quarantine.<source>. It is refused if JetStream will never take it as things are, such as one over max_payload.

Examples:

    zenduty-bridge quarantine list
    zenduty-bridge quarantine list --kind refused --json | jq -r .reason`
}

// Help is kong's HelpProvider.
func (*quarantineShowCommand) Help() string {
	return `Example:

    zenduty-bridge quarantine show 0vtjs3rl5aqvhv0pfjn7mg5e2f5b1f3d`
}

// Help is kong's HelpProvider.
func (*quarantineRetryCommand) Help() string {
	return `They are sent as soon as nothing of their incident is under way; what came after them in it has mostly been published meanwhile. --all leaves unkeyable ones alone: those have been published as such.

Examples:

    zenduty-bridge quarantine retry 0vtjs3rl5aqvhv0pfjn7mg5e2f5b1f3d
    zenduty-bridge quarantine retry --all`
}

// Help is kong's HelpProvider.
func (*quarantineDropCommand) Help() string {
	return `A dropped webhook is not held any more, and is taken like a new one if it comes again.

Examples:

    zenduty-bridge quarantine drop 0vtjs3rl5aqvhv0pfjn7mg5e2f5b1f3d
    zenduty-bridge quarantine drop --all --kind unkeyable --yes`
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

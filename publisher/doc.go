// Package publisher carries messages into NATS JetStream: the connection, the
// stream, subjects, headers, and what an error means for the one who sent.
//
// It never retries and never buffers. A message is handed to the connection
// once and its outcome told once; sending again, in what order and when, is the
// business of the relay that owns the message. For that reason the connection
// has no reconnect buffer (bytes waiting there would overtake later messages),
// publishes are not retried inside the client (it would do so 250 ms later, see
// nats.go's PublishAsync), and an acknowledgement that does not come is an error.
package publisher

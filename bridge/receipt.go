package bridge

import (
	"encoding/binary"
	"errors"

	"github.com/zenduty-bridge/zenduty-bridge/publisher"
)

// delivery is what the bridge notes of a record when it is done with it: the
// receipt of an acknowledgement, the reason of a quarantine, or both.
type delivery struct {
	Ack      publisher.Ack // zero if JetStream does not have it
	Attempts uint64        // how often it was sent by the process that noted this
	Reason   string        // why it is in quarantine, or begins with canaryNote; empty otherwise
}

const deliveryVersion = 1

var errDelivery = errors.New("damaged receipt")

func (d *delivery) encode() []byte {
	b := append(make([]byte, 0, 32), deliveryVersion)
	b = binary.AppendUvarint(b, d.Attempts)
	b = binary.AppendUvarint(b, d.Ack.Sequence)
	duplicate := byte(0)
	if d.Ack.Duplicate {
		duplicate = 1
	}
	b = append(b, duplicate)
	b = binary.AppendUvarint(b, uint64(len(d.Ack.Stream)))
	b = append(b, d.Ack.Stream...)
	return append(b, d.Reason...)
}

func decodeDelivery(b []byte) (delivery, error) {
	var d delivery
	if len(b) == 0 || b[0] != deliveryVersion {
		return d, errDelivery
	}
	b = b[1:]
	for _, number := range []*uint64{&d.Attempts, &d.Ack.Sequence} {
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return d, errDelivery
		}
		*number, b = value, b[n:]
	}
	if len(b) == 0 {
		return d, errDelivery
	}
	d.Ack.Duplicate, b = b[0] == 1, b[1:]
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return d, errDelivery
	}
	d.Ack.Stream, d.Reason = string(b[n:n+int(length)]), string(b[n+int(length):])
	return d, nil
}

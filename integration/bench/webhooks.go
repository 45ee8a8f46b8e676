//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

const signingKey = "8b0c51d2-6f4e-4a57-9d3f-1c2e5a7b9d10"

// kinds are an incident's events in order.
var kinds = [...]string{"triggered", "acknowledged", "resolved"}

// What is in the samples and is replaced, by as many bytes where that can be.
const (
	sampleNumber  = `"incident_number": 217`
	longNumber    = `"incident_number": 100000000`
	sampleID      = "vuwtGfyHf9JaN5vg5sEc4N"
	sampleKey     = "C67SCMypoCyUWwLpbVSSy2"
	sampleService = "e84d78d1-6484-4a99-b9f8-c23b6a4e86b0"
)

// sample is one of Zenduty's sample webhooks, and where in it the values begin that
// make another webhook of it.
type sample struct {
	body                     []byte
	number, id, key, service int
}

// readSamples reads the samples of the integration tests, by kind.
func readSamples(module string) (samples [len(kinds)]sample, err error) {
	for i, kind := range kinds {
		file := filepath.Join(module, "integration", "testdata", kind+".json")
		body, err := os.ReadFile(file)
		if err != nil {
			return samples, err
		}
		if samples[i], err = newSample(body); err != nil {
			return samples, fmt.Errorf("%s: %w", file, err)
		}
	}
	return samples, nil
}

func newSample(body []byte) (sample, error) {
	s := sample{body: bytes.Replace(bytes.TrimSpace(body), []byte(sampleNumber), []byte(longNumber), 1)}
	for _, value := range []struct {
		text string
		at   *int
	}{{longNumber, &s.number}, {sampleID, &s.id}, {sampleKey, &s.key}, {sampleService, &s.service}} {
		if *value.at = bytes.Index(s.body, []byte(value.text)); *value.at < 0 {
			return s, fmt.Errorf("%s is not in it", value.text)
		}
	}
	s.number += len(longNumber) - len("00000000")
	return s, nil
}

// fill makes body, which begins as a copy of the sample's, the webhook of an
// incident. It costs some 50 ns.
func (s *sample) fill(body []byte, incident uint64) {
	for i, rest := s.number+8, incident; i > s.number; rest /= 10 {
		i--
		body[i] = '0' + byte(rest%10)
	}
	putID(body[s.id:], incident)
	putID(body[s.key:], incident^1<<63)
	const hex = "0123456789abcdef" // one of 16 services
	body[s.service] = hex[mix(incident)%16]
}

// idSize is the length of Zenduty's ids of incidents.
const idSize = 22

// putID writes an id that no other number has, and that compresses no better than
// Zenduty's.
func putID(b []byte, n uint64) {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for half := range 2 {
		rest := mix(n + uint64(half)<<62)
		for i := range idSize / 2 { // 62 to the 11th is more than 2 to the 64th
			b[half*idSize/2+i] = letters[rest%62]
			rest /= 62
		}
	}
}

// mix is a bijection (splitmix64) whose values look random.
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// sequence is the webhooks of one sender, each another: as many incidents as its
// stride side by side, so that there are so many webhooks between two of an incident.
type sequence struct{ first, stride, n uint64 }

var sequences atomic.Uint64

// newSequence shares no incident with any other of this process.
func newSequence(stride int) *sequence {
	return &sequence{first: sequences.Add(1) << 32, stride: uint64(stride)}
}

func (s *sequence) next() (incident uint64, kind int) {
	round := s.stride * uint64(len(kinds))
	block, rest := s.n/round, s.n%round
	s.n++
	return s.first + block*s.stride + rest%s.stride, int(rest / s.stride)
}

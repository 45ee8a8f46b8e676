//go:build unix

package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const benchBody = 1500 // bytes, about what a Zenduty webhook has

// BenchmarkAppend is durable Appends on the disk that holds the temporary
// directory; that of tmpfs would say nothing.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := openSpool(b, b.TempDir(), Options{Logger: quiet})
			b.SetBytes(benchBody)
			b.ReportAllocs()
			b.ResetTimer()
			busy := processorTime()
			appendConcurrently(b, s, writers)
			b.StopTimer()
			busy.report(b)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// appendConcurrently appends b.N records in all.
func appendConcurrently(b *testing.B, s *Spool, writers int) {
	var next atomic.Int64
	var writing sync.WaitGroup
	body := record(0, benchBody).Body
	for range writers {
		writing.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				r := &Record{Key: uint64(n), Received: time.Now(), Body: body}
				binary.BigEndian.PutUint64(r.ID[:], uint64(n)*0x9e3779b97f4a7c15) // in no order, as hashes are
				if _, err := s.Append(context.Background(), r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
}

// BenchmarkDrain is what the relay does with the spool: list, read, acknowledge.
func BenchmarkDrain(b *testing.B) {
	s := openSpool(b, b.TempDir(), Options{Logger: quiet})
	appendConcurrently(b, s, 256)
	b.SetBytes(benchBody)
	b.ReportAllocs()
	b.ResetTimer()
	busy := processorTime()
	var refs []Ref
	for from := uint64(0); ; from = refs[len(refs)-1].Seq + 1 {
		var err error
		if refs, err = s.Pending(refs[:0], from, 4096); err != nil {
			b.Fatal(err)
		}
		if len(refs) == 0 {
			break
		}
		drain(b, s, refs)
	}
	b.StopTimer()
	busy.report(b)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// processor is the time this process has used, flushes and compactions included. On a
// machine that others use as well it says more than the clock.
type processor time.Duration

func processorTime() processor {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail with these arguments
	return processor(u.Utime.Nano() + u.Stime.Nano())
}

// report is what has been used since.
func (p processor) report(b *testing.B) {
	b.ReportMetric(float64(processorTime()-p)/float64(b.N), "cpu-ns/op")
}

// drain reads and acknowledges in groups of 64, about as acknowledgements come in.
func drain(b *testing.B, s *Spool, refs []Ref) {
	for group := range slices.Chunk(refs, 64) {
		seqs, acks := make([]uint64, len(group)), make([]Settlement, len(group))
		for i, ref := range group {
			seqs[i] = ref.Seq
			acks[i] = Settlement{Ref: ref, At: time.Now(), Note: make([]byte, 60)}
		}
		err := s.ReadEach(seqs, func(_ uint64, _ *Record, err error) bool {
			if err != nil {
				b.Fatal(err)
			}
			return true
		})
		if err := errors.Join(err, s.Ack(acks)); err != nil {
			b.Fatal(err)
		}
	}
}

package spool

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
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
			appendConcurrently(b, s, writers)
			b.StopTimer()
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
				binary.BigEndian.PutUint64(r.ID[:], uint64(n))
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
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// drain acknowledges in groups of 64, as acknowledgements come in.
func drain(b *testing.B, s *Spool, refs []Ref) {
	acks := make([]Settlement, 0, 64)
	for i, ref := range refs {
		if _, err := s.Read(ref.Seq); err != nil {
			b.Fatal(err)
		}
		acks = append(acks, Settlement{Ref: ref, At: time.Now(), Note: make([]byte, 60)})
		if len(acks) == cap(acks) || i == len(refs)-1 {
			if err := s.Ack(acks); err != nil {
				b.Fatal(err)
			}
			acks = acks[:0]
		}
	}
}

package workload_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-net/weir/internal/wire/wiretest/workload"
)

// small is how many flows the tests read.
const small = 20_000

// build returns a stream of that many flows.
func build(t testing.TB, s workload.Stream, flows int) ([]byte, workload.Totals) {
	t.Helper()
	var b bytes.Buffer
	totals, err := s.Write(&b, flows)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), totals
}

// TestDecodersDoTheWork holds the decoders to the count and the checksum that
// the generator knows, on streams built as those of the benchmarks.
func TestDecodersDoTheWork(t *testing.T) {
	for _, s := range workload.Streams() {
		t.Run(s.Name, func(t *testing.T) {
			stream, totals := build(t, s, small)
			if totals.Records != small || totals.Six < small/10 || totals.Checksum == 0 {
				t.Fatalf("the stream holds %+v", totals)
			}
			for _, checksum := range []bool{false, true} {
				w, err := s.Decode(stream, checksum)
				if err == nil {
					err = w.Check(totals, checksum)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestWorkIsChecked proves that a decoder that does less is found.
func TestWorkIsChecked(t *testing.T) {
	s, ok := workload.Lookup("netflow-v5")
	if !ok {
		t.Fatal("no such stream")
	}
	stream, totals := build(t, s, 300)
	if err := s.Check(totals); err == nil {
		t.Error("300 flows pass for the reference workload")
	}
	w, err := s.Decode(stream[:len(stream)-4-24-30*48], true)
	if err != nil {
		t.Fatal(err)
	}
	if w.Check(totals, false) == nil {
		t.Error("a datagram less is not found by the count")
	}
	stream[4+24] ^= 1 // the first byte of an address
	if w, err = s.Decode(stream, true); err != nil {
		t.Fatal(err)
	}
	if err := w.Check(totals, false); err != nil {
		t.Error(err)
	}
	if w.Check(totals, true) == nil {
		t.Error("another address is not found by the checksum")
	}
	if _, err := s.Decode(stream[:len(stream)-1], false); err == nil {
		t.Error("a stream that is cut is read without an error")
	}
}

// TestDigests holds the bytes of short streams. The digests of the full ones
// are held by the program that measures, because they take half a minute.
func TestDigests(t *testing.T) {
	want := map[string]string{
		"ipfix":      "902e89ef04ac281315b636049d10b9b32caafd115908df74b7e3c153bf091fa2",
		"netflow-v9": "dd3848d3a66eac13a20f9cdb5bc1f37bb2391bba842bc894eaadaec8027fa4fa",
		"netflow-v5": "1d8a22706895b74519423c8a57bd00e6bd7ae3a0ecb70bc4ebaf0c5c81d7e166",
		"sflow-v5":   "504adcb51f08d381084f5ba939977f6ad6a0102f8f2a45e27fae4b62ca11a248",
		"pcap":       "fccf231faf7e0239319a77a7feba352b44eab9d7a1730070b7be6fa33955c2ad",
	}
	got := map[string]string{}
	for _, s := range workload.Streams() {
		_, totals := build(t, s, small)
		got[s.Name] = totals.SHA256
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("other bytes than before (-want +got):\n%s", d)
	}
}

// TestCount holds the survey of a short stream.
func TestCount(t *testing.T) {
	got := workload.Count(small)
	if got.Four+got.Six != small || got.Directed < got.Pairs || got.PairsOfOne > got.Pairs || got.MostOfOne < 2 {
		t.Errorf("the survey says %+v", got)
	}
}

// BenchmarkDecode decodes 100,000 flows of the reference workload, in batches
// as a server makes them.
func BenchmarkDecode(b *testing.B) {
	for _, s := range workload.Streams() {
		b.Run(s.Name, func(b *testing.B) {
			stream, totals := build(b, s, 100_000)
			b.ReportAllocs()
			for b.Loop() {
				w, err := s.Decode(stream, false)
				if err == nil {
					err = w.Check(totals, false)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*totals.Records), "ns/rec")
		})
	}
}

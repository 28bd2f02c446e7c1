package detect

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/weir-net/weir"
)

// workload is contacts of many resources and peers over five minutes, most of
// them of services that rules follow: the worst case for state.
func workload(n, resources int) []weir.Contact {
	rng := rand.New(rand.NewPCG(3, 4))
	res := make([]*weir.Resource, resources)
	for i := range res {
		a := netip.AddrFrom4([4]byte{20, 0, byte(i >> 8), byte(i)})
		res[i] = &weir.Resource{ID: a.String(), Name: a.String(), Kind: weir.VirtualMachine, Addresses: []netip.Addr{a}}
	}
	ports := []uint16{443, 80, 22, 3389, 1433, 3306, 5432, 25, 445}
	cs := make([]weir.Contact, n)
	for i := range cs {
		r := res[rng.IntN(resources)]
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(0x3b000000+rng.IntN(1<<20)))
		end := t0 + int64(i)*int64(5*time.Minute)/int64(n)
		c := weir.Contact{
			Resource: r, Start: end - int64(2*time.Second), End: end, Proto: weir.ProtoTCP, Sampling: 1000, SamplingSource: weir.SamplingRecord,
			Known: weir.HasPackets | weir.HasBytes | weir.HasFlags | weir.HasPorts, LogOdds: -5,
			Own: netip.AddrPortFrom(r.Addresses[0], ports[rng.IntN(len(ports))]), Peer: netip.AddrPortFrom(netip.AddrFrom4(b), uint16(32768+rng.IntN(28000))),
			In: weir.Counters{Packets: 1, Bytes: 120, Flags: weir.ACK | weir.PSH},
		}
		if i%2 == 0 { // the own end is the client
			c.LogOdds, c.Out, c.In = 5, c.In, weir.Counters{}
			c.Own, c.Peer = netip.AddrPortFrom(c.Own.Addr(), c.Peer.Port()), netip.AddrPortFrom(c.Peer.Addr(), c.Own.Port())
			c.FromOwn = true
		}
		cs[i] = c
	}
	return cs
}

func BenchmarkDetector(b *testing.B) {
	cs := workload(200_000, 1000)
	b.ReportAllocs()
	for b.Loop() {
		d, err := New(DefaultConfig())
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; i < len(cs); i += 500 {
			batch := cs[i:min(i+500, len(cs))]
			d.Observe(batch)
			d.Close(batch[len(batch)-1].End-int64(2*time.Minute), func(weir.Finding) {})
		}
		d.Flush(func(weir.Finding) {})
		b.ReportMetric(float64(d.Stats().Pairs), "pairs")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(cs)), "ns/contact")
}

package engine

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"net/netip"

	"github.com/weir-net/weir"
)

func TestThinning(t *testing.T) {
	const n, flows = 10, 20000
	run := func(seed uint64) (list []weir.Flow, packets, syns uint64) {
		th := newThinner(n, seed)
		for range flows {
			f := weir.Flow{
				Start: 0, End: 1e9, Packets: 20, Bytes: 2000, TCPFlags: weir.SYN | weir.ACK | weir.FIN, Sampling: 1,
				SamplingSource: weir.SamplingFormat, Known: weir.HasPackets | weir.HasBytes | weir.HasFlags, Proto: weir.ProtoTCP,
			}
			if !th.flow(&f) {
				continue
			}
			if f.Packets == 0 || f.Packets > 20 || f.Sampling != n || f.SamplingSource != weir.SamplingFormat || f.Start < 0 || f.End > 1e9 || f.Start > f.End {
				t.Fatalf("%+v", f)
			}
			if f.Packets == 1 && f.Start != f.End {
				t.Fatalf("one packet at two times: %+v", f)
			}
			packets += f.Packets
			if f.TCPFlags&weir.SYN != 0 {
				syns++
			}
			list = append(list, f)
		}
		return list, packets, syns
	}
	a, packets, syns := run(1)
	// 20 packets at 1-in-10: mean 40000, standard deviation 190; seen with
	// probability 1-0.9^20 = 0.878; the SYN once in ten.
	if math.Abs(float64(packets)-40000) > 1000 {
		t.Errorf("%d packets, expected about 40000", packets)
	}
	if math.Abs(float64(len(a))-0.8784*flows) > 250 {
		t.Errorf("%d flows, expected about %d", len(a), 17568)
	}
	if math.Abs(float64(syns)-2000) > 220 {
		t.Errorf("%d SYNs, expected about 2000", syns)
	}
	b, _, _ := run(1)
	if d := cmp.Diff(a, b, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); d != "" {
		t.Error("the same seed gave other flows")
	}
	if _, c, _ := run(2); c == packets {
		t.Error("another seed gave the same packets")
	}
}

func TestThinningOfLargeFlows(t *testing.T) {
	th := newThinner(100, 1)
	f := weir.Flow{Packets: 1 << 40, Known: weir.HasPackets | weir.HasReverse, RevPackets: 3, Sampling: math.MaxUint32}
	if !th.flow(&f) || f.Sampling != math.MaxUint32 {
		t.Fatalf("%+v", f)
	}
	if want := float64(uint64(1)<<40) / 100; math.Abs(float64(f.Packets)-want) > want/1000 {
		t.Errorf("%d packets, expected about %.0f", f.Packets, want)
	}
}

package engine

import (
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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

// TestThinnedAlertsSaySo is row R14 of the table of readings in the detection
// reference: the rate is multiplied, its source stays, and the alert names the
// thinning among its limits. An unknown rate stays unknown.
func TestThinnedAlertsSaySo(t *testing.T) {
	dir := t.TempDir()
	inventory := inventoryFile(t, dir)
	for _, x := range []struct {
		name   string
		rate   uint32
		source weir.SamplingSource
		want   uint32
	}{{"unsampled", 1, weir.SamplingFormat, 4}, {"sampled", 3, weir.SamplingRecord, 12}, {"unknown", 0, weir.SamplingUnknown, 0}} {
		t.Run(x.name, func(t *testing.T) {
			flows := traffic()
			for i := range flows {
				flows[i].Sampling, flows[i].SamplingSource = x.rate, x.source
				flows[i].Exporter = netip.Addr{} // what several sample adds up to another rate
			}
			o := Offline{Inventory: []string{inventory}, Files: []string{flowFile(t, filepath.Join(dir, x.name), flows)}, Thin: 4, Seed: 2}
			o.Intel = []IntelFile{{Category: weir.CategoryC2, Path: write(t, filepath.Join(dir, "c2.txt"), "203.0.113.66\n")}}
			_, alerts, _ := detectFiles(t, o, 2)
			if len(alerts) == 0 {
				t.Fatal("no alert: the test proves nothing")
			}
			for _, a := range alerts {
				if a.Sampling.Rate != x.want || a.Sampling.Source != x.source {
					t.Errorf("%s: 1-in-%d by %v, want %d by %v", a.Type, a.Sampling.Rate, a.Sampling.Source, x.want, x.source)
				}
				if !slices.Contains(a.Limits, weir.Limit{Code: weir.LimitThinned, Arg: "4"}) {
					t.Errorf("%s: limits %v do not name the thinning", a.Type, a.Limits)
				}
			}
		})
	}
}

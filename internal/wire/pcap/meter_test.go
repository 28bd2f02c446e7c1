package pcap

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/wiretest"
	"pgregory.net/rapid"
)

// run meters segments and returns the flows in the order in which they come.
func run(t *testing.T, o MeterOptions, segs ...seg) []weir.Flow {
	t.Helper()
	m := NewMeter(o)
	var flows []weir.Flow
	for i := range segs {
		flows = m.Add(segs[i].time(), segs[i].header(), flows)
	}
	flows = m.Flush(flows)
	if m.Len() != 0 {
		t.Errorf("%d flows are left after Flush", m.Len())
	}
	wiretest.Check(t, flows)
	return flows
}

// brief is what the tests compare of a flow.
type brief struct {
	Src, Dst   string
	Proto      uint8
	Start, End time.Duration
	Out, In    uint64
	Flags, Rev uint16
	Initiator  string
}

func briefs(flows []weir.Flow) []brief {
	out := make([]brief, len(flows))
	for i, f := range flows {
		out[i] = brief{
			f.Src.String(), f.Dst.String(), f.Proto, time.Duration(f.Start - epoch*1e9), time.Duration(f.End - epoch*1e9),
			f.Packets, f.RevPackets, f.TCPFlags, f.RevTCPFlags, f.Initiator.String(),
		}
	}
	return out
}

func TestMeter(t *testing.T) {
	const (
		c, s = "198.51.100.7:40000", "192.0.2.1:22"
		sec  = time.Second
	)
	tcp := func(at time.Duration, src, dst string, flags byte) seg {
		return seg{at: at, src: src, dst: dst, proto: 6, flags: flags}
	}
	handshake := func(at time.Duration) []seg {
		return []seg{tcp(at, c, s, weir.SYN), tcp(at+1, s, c, weir.SYN|weir.ACK), tcp(at+2, c, s, weir.ACK)}
	}
	closing := func(at time.Duration) []seg {
		return []seg{tcp(at, c, s, weir.FIN|weir.ACK), tcp(at+1, s, c, weir.FIN|weir.ACK), tcp(at+2, c, s, weir.ACK)}
	}
	join := func(parts ...[]seg) (all []seg) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for _, tt := range []struct {
		name string
		o    MeterOptions
		segs []seg
		want []brief
	}{
		{
			name: "connection, and another with the same ports", segs: join(handshake(0), closing(sec), handshake(2*sec)),
			want: []brief{
				{c, s, 6, 0, sec + 2, 4, 2, 0x13, 0x13, "src"},
				{c, s, 6, 2 * sec, 2*sec + 2, 2, 1, 0x12, 0x12, "src"},
			},
		},
		{
			name: "the server's packet comes first", segs: handshake(0)[1:],
			want: []brief{{c, s, 6, 1, 2, 1, 1, 0x10, 0x12, "src"}},
		},
		{
			name: "from the middle", segs: []seg{tcp(0, s, c, weir.ACK), tcp(1, c, s, weir.ACK)},
			want: []brief{{s, c, 6, 0, 1, 1, 1, 0x10, 0x10, ""}},
		},
		{
			name: "refused and tried again", segs: []seg{tcp(0, c, s, weir.SYN), tcp(1, s, c, weir.RST|weir.ACK), tcp(sec, c, s, weir.SYN), tcp(sec+1, s, c, weir.RST|weir.ACK)},
			want: []brief{{c, s, 6, 0, 1, 1, 1, 2, 0x14, "src"}, {c, s, 6, sec, sec + 1, 1, 1, 2, 0x14, "src"}},
		},
		{
			name: "a repeated SYN is the same attempt", segs: []seg{tcp(0, c, s, weir.SYN), tcp(3*sec, c, s, weir.SYN)},
			want: []brief{{c, s, 6, 0, 3 * sec, 2, 0, 2, 0, "src"}},
		},
		{
			name: "a SYN on an established connection opens another", segs: join(handshake(0), handshake(sec)),
			want: []brief{{c, s, 6, 0, 2, 2, 1, 0x12, 0x12, "src"}, {c, s, 6, sec, sec + 2, 2, 1, 0x12, 0x12, "src"}},
		},
		{
			name: "idle TCP", segs: []seg{tcp(0, c, s, weir.SYN), tcp(119*sec, c, s, weir.SYN), tcp(239*sec, c, s, weir.SYN)},
			want: []brief{{c, s, 6, 0, 119 * sec, 2, 0, 2, 0, "src"}, {c, s, 6, 239 * sec, 239 * sec, 1, 0, 2, 0, "src"}},
		},
		{
			name: "idle UDP", segs: []seg{{src: c, dst: "192.0.2.1:53", proto: 17}, {at: sec, src: "192.0.2.1:53", dst: c, proto: 17}, {at: 61 * sec, src: "192.0.2.1:53", dst: c, proto: 17}},
			want: []brief{{c, "192.0.2.1:53", 17, 0, sec, 1, 1, 0, 0, "src"}, {"192.0.2.1:53", c, 17, 61 * sec, 61 * sec, 1, 0, 0, 0, "src"}},
		},
		{
			name: "long flows come in pieces that keep their direction", o: MeterOptions{Active: 10 * sec, IdleTCP: time.Minute},
			segs: append(handshake(0), tcp(9*sec, s, c, weir.ACK), tcp(10*sec, s, c, weir.ACK), tcp(11*sec, c, s, weir.ACK)),
			want: []brief{{c, s, 6, 0, 9 * sec, 2, 2, 0x12, 0x12, "src"}, {c, s, 6, 10 * sec, 11 * sec, 1, 1, 0x10, 0x10, "src"}},
		},
		{
			name: "echo and reply are one flow, as is a reply alone",
			segs: []seg{
				{src: "192.0.2.1:0", dst: "198.51.100.7:0", proto: 1, kind: 8 << 8}, {at: 1, src: "198.51.100.7:0", dst: "192.0.2.1:0", proto: 1},
				{at: 2, src: "[2001:db8::1]:0", dst: "[2001:db8::2]:0", proto: 58, kind: 129 << 8},
				{at: 3, src: "192.0.2.9:0", dst: "192.0.2.9:0", proto: 1, kind: 8 << 8}, {at: 4, src: "192.0.2.9:0", dst: "192.0.2.9:0", proto: 1},
				{at: 5, src: "192.0.2.8:0", dst: "192.0.2.9:0", proto: 1, kind: 18 << 8}, {at: 6, src: "192.0.2.9:0", dst: "192.0.2.8:0", proto: 1, kind: 17 << 8},
			},
			want: []brief{
				{"192.0.2.1:0", "198.51.100.7:2048", 1, 0, 1, 1, 1, 0, 0, "src"},
				{"[2001:db8::2]:0", "[2001:db8::1]:32768", 58, 2, 2, 0, 1, 0, 0, "src"},
				{"192.0.2.9:0", "192.0.2.9:2048", 1, 3, 4, 1, 1, 0, 0, "src"},
				{"192.0.2.9:0", "192.0.2.8:4352", 1, 5, 6, 1, 1, 0, 0, "src"},
			},
		},
		{
			name: "unreachables run one way", segs: []seg{{src: "192.0.2.1:0", dst: "198.51.100.7:0", proto: 1, kind: 3<<8 | 3}, {at: 1, src: "198.51.100.7:0", dst: "192.0.2.1:0", proto: 1, kind: 3<<8 | 3}},
			want: []brief{{"192.0.2.1:0", "198.51.100.7:771", 1, 0, 0, 1, 0, 0, 0, ""}, {"198.51.100.7:0", "192.0.2.1:771", 1, 1, 1, 1, 0, 0, 0, ""}},
		},
		{
			name: "the oldest goes when the table is full", o: MeterOptions{MaxFlows: 1},
			segs: []seg{tcp(0, c, s, weir.SYN), {at: 1, src: c, dst: s, proto: 17}},
			want: []brief{{c, s, 6, 0, 0, 1, 0, 2, 0, "src"}, {c, s, 17, 1, 1, 1, 0, 0, 0, "src"}},
		},
		{
			name: "order of time is not needed", segs: []seg{tcp(sec, c, s, weir.ACK), tcp(0, c, s, weir.ACK)},
			want: []brief{{c, s, 6, 0, sec, 2, 0, 0x10, 0, ""}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, briefs(run(t, tt.o, tt.segs...))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestMeterRecord looks at the rest of a record.
func TestMeterRecord(t *testing.T) {
	flows := run(
		t, MeterOptions{},
		seg{src: "198.51.100.7:40000", dst: "192.0.2.1:53", proto: 17, size: 100},
		seg{at: 1, src: "198.51.100.7:40000", dst: "192.0.2.1:53", proto: 17, size: 600, offset: 185},
		seg{at: 2, src: "192.0.2.1:53", dst: "198.51.100.7:40000", proto: 17, size: 1500},
	)
	src, dst := netip.MustParseAddrPort("198.51.100.7:40000"), netip.MustParseAddrPort("192.0.2.1:53")
	base := weir.Flow{
		Start: epoch * 1e9, End: epoch * 1e9, Proto: 17, Sampling: 1, SamplingSource: weir.SamplingFormat, Format: weir.FormatPcap,
		Known: weir.HasPackets | weir.HasBytes | weir.HasReverse,
	}
	fragment, whole := base, base
	fragment.Src, fragment.Dst = netip.AddrPortFrom(src.Addr(), 0), netip.AddrPortFrom(dst.Addr(), 0)
	fragment.Start++
	fragment.End++
	fragment.Packets, fragment.Bytes = 1, 600
	fragment.Known |= weir.IsFragment
	whole.Src, whole.Dst, whole.Initiator = src, dst, weir.InitiatorSrc
	whole.End += 2
	whole.Packets, whole.Bytes, whole.RevPackets, whole.RevBytes = 1, 100, 1, 1500
	whole.Known |= weir.HasPorts
	if d := cmp.Diff([]weir.Flow{fragment, whole}, flows, wiretest.Compare()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// segGen draws packets of few hosts and ports, so that they meet.
func segGen(t *rapid.T) []seg {
	at := time.Duration(0)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) seg {
		hosts := []string{"192.0.2.1", "192.0.2.2", "198.51.100.7"}
		if rapid.Bool().Draw(t, "v6") {
			hosts = []string{"[2001:db8::1]", "[2001:db8::2]"}
		}
		end := func(label string) string {
			return rapid.SampledFrom(hosts).Draw(t, label) + rapid.SampledFrom([]string{":1", ":22", ":53"}).Draw(t, label)
		}
		at += time.Duration(rapid.Int64Range(0, 40e9).Draw(t, "gap"))
		s := seg{
			at: at, src: end("src"), dst: end("dst"), proto: rapid.SampledFrom([]uint8{1, 6, 6, 6, 17, 58}).Draw(t, "proto"),
			flags: rapid.SampledFrom([]byte{weir.SYN, weir.SYN | weir.ACK, weir.ACK, weir.FIN | weir.ACK, weir.RST}).Draw(t, "flags"),
			size:  rapid.IntRange(60, 1500).Draw(t, "size"),
		}
		if s.proto == 1 || s.proto == 58 {
			s.kind = rapid.SampledFrom([]uint16{0, 8 << 8, 3<<8 | 1, 128 << 8, 129 << 8, 13 << 8, 14 << 8}).Draw(t, "kind")
		}
		if rapid.IntRange(0, 9).Draw(t, "fragment") == 0 {
			s.offset = 100
		}
		return s
	}), 1, 60).Draw(t, "packets")
}

// TestMeterProperties: with packets in the order of time, flows are not older
// than the promised watermark, do not last longer than allowed, and every packet
// is in the flow of its ends.
func TestMeterProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segs := segGen(t)
		o := MeterOptions{MaxFlows: rapid.IntRange(1, 10).Draw(t, "max"), Active: 100 * time.Second}
		m := NewMeter(o)
		var flows []weir.Flow
		for i := range segs {
			mark, before := m.Watermark(), len(flows)
			flows = m.Add(segs[i].time(), segs[i].header(), flows)
			for _, f := range flows[before:] {
				if f.End < mark {
					t.Fatalf("a flow ends at %d, before the watermark %d", f.End, mark)
				}
			}
			if m.Len() > o.MaxFlows {
				t.Fatalf("%d open flows", m.Len())
			}
		}
		mark := m.Watermark()
		for _, f := range m.Flush(nil) {
			if f.End < mark {
				t.Fatalf("a flow ends at %d, before the watermark %d", f.End, mark)
			}
			flows = append(flows, f)
		}
		type pair struct {
			a, b  netip.Addr
			proto uint8
		}
		count := map[pair]int64{}
		for i := range segs {
			h := segs[i].header()
			count[pair{h.Src.Addr(), h.Dst.Addr(), h.Proto}]++
		}
		for _, f := range flows {
			if time.Duration(f.End-f.Start) >= o.Active {
				t.Errorf("a flow of %v", time.Duration(f.End-f.Start))
			}
			if f.Packets+f.RevPackets == 0 {
				t.Error("a flow without packets")
			}
			count[pair{f.Src.Addr(), f.Dst.Addr(), f.Proto}] -= int64(f.Packets)
			count[pair{f.Dst.Addr(), f.Src.Addr(), f.Proto}] -= int64(f.RevPackets)
		}
		for p, n := range count {
			if n != 0 {
				t.Errorf("%v: %d packets are missing", p, n)
			}
		}
	})
}

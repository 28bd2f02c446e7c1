package sflow_test

import (
	"bytes"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	gosflow "github.com/netsampler/goflow2/v2/decoders/sflow"
	"pgregory.net/rapid"

	weir "github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/sflow"
)

// brief is what the oracle knows of a flow.
type brief struct {
	Exporter, Src, Dst string
	SrcPort, DstPort   uint16
	Proto              uint8
	Bytes              uint64
	Rate, In, Out, Sub uint32
}

func briefOf(f weir.Flow) brief {
	b := brief{
		Exporter: f.Exporter.String(), Src: f.Src.Addr().String(), Dst: f.Dst.Addr().String(), SrcPort: f.Src.Port(), DstPort: f.Dst.Port(),
		Proto: f.Proto, Bytes: f.Bytes, Rate: f.Sampling, In: f.InputIf, Out: f.OutputIf, Sub: f.Domain,
	}
	if f.Proto == weir.ProtoICMP || f.Proto == weir.ProtoICMPv6 {
		b.DstPort = 0 // type and code, which the oracle does not read
	}
	return b
}

// oracle decodes with goflow2, and the raw headers with gopacket.
func oracle(b []byte) ([]brief, error) {
	var p gosflow.Packet
	if err := gosflow.DecodeMessageVersion(bytes.NewBuffer(b), &p); err != nil {
		return nil, err
	}
	agent, _ := netip.AddrFromSlice(p.AgentIP)
	var out []brief
	for _, s := range p.Samples {
		f := brief{Exporter: agent.String(), Sub: p.SubAgentId}
		var records []gosflow.FlowRecord
		index := func(format, value uint32) uint32 {
			if format != 0 || value == 0x3fffffff {
				return 0
			}
			return value
		}
		switch s := s.(type) {
		case gosflow.FlowSample:
			records, f.Rate = s.Records, s.SamplingRate
			f.In, f.Out = index(s.Input>>30, s.Input&0x3fffffff), index(s.Output>>30, s.Output&0x3fffffff)
		case gosflow.ExpandedFlowSample:
			records, f.Rate = s.Records, s.SamplingRate
			f.In, f.Out = index(s.InputIfFormat, s.InputIfValue), index(s.OutputIfFormat, s.OutputIfValue)
		default:
			continue
		}
		found := false
		for _, r := range records { // the packet itself first
			if h, ok := r.Data.(gosflow.SampledHeader); ok && !found {
				found = f.header(h)
			}
		}
		for _, r := range records {
			if found {
				break
			}
			switch d := r.Data.(type) {
			case gosflow.SampledIPv4:
				found = f.fields(d.SampledIPBase)
			case gosflow.SampledIPv6:
				found = f.fields(d.SampledIPBase)
			}
		}
		if found {
			out = append(out, f)
		}
	}
	return out, nil
}

func (f *brief) fields(d gosflow.SampledIPBase) bool {
	src, _ := netip.AddrFromSlice(d.SrcIP)
	dst, _ := netip.AddrFromSlice(d.DstIP)
	f.Src, f.Dst, f.Bytes, f.Proto = src.Unmap().String(), dst.Unmap().String(), uint64(d.Length), uint8(d.Protocol)
	switch f.Proto {
	case 6, 17, 33, 132, 136:
		f.SrcPort, f.DstPort = uint16(d.SrcPort), uint16(d.DstPort)
	}
	return true
}

func (f *brief) header(h gosflow.SampledHeader) bool {
	var first gopacket.Decoder
	switch h.Protocol {
	case 1:
		first = layers.LayerTypeEthernet
	case 11:
		first = layers.LayerTypeIPv4
	case 12:
		first = layers.LayerTypeIPv6
	default:
		return false
	}
	// goflow2 leaves the padding in the header data.
	p := gopacket.NewPacket(h.HeaderData[:min(int(h.OriginalLength), len(h.HeaderData))], first, gopacket.Default)
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			src, _ := netip.AddrFromSlice(l.SrcIP)
			dst, _ := netip.AddrFromSlice(l.DstIP)
			f.Src, f.Dst, f.Bytes, f.Proto = src.Unmap().String(), dst.Unmap().String(), uint64(l.Length), uint8(l.Protocol)
		case *layers.IPv6:
			src, _ := netip.AddrFromSlice(l.SrcIP)
			dst, _ := netip.AddrFromSlice(l.DstIP)
			f.Src, f.Dst, f.Bytes, f.Proto = src.String(), dst.String(), uint64(l.Length)+40, uint8(l.NextHeader)
		default:
			continue
		}
		break
	}
	if f.Src == "" {
		return false
	}
	switch l := p.TransportLayer().(type) {
	case *layers.TCP:
		f.SrcPort, f.DstPort = uint16(l.SrcPort), uint16(l.DstPort)
	case *layers.UDP:
		f.SrcPort, f.DstPort = uint16(l.SrcPort), uint16(l.DstPort)
	}
	return true
}

// No difference remains on the vectors; there is no table of them.
func TestAgainstGoflow2Vectors(t *testing.T) {
	dir := vectorDir(t)
	for name, v := range readVectors(t, dir, "sflow") {
		base := filepath.Base(name)
		t.Run(base, func(t *testing.T) {
			d := sflow.New(sflow.DefaultConfig())
			for _, in := range v.Inputs {
				for _, b := range datagrams(t, filepath.Join(dir, in)) {
					if b[0] == 0 && b[1] == 5 {
						continue // NetFlow in a capture that mixes protocols
					}
					want, err := oracle(b)
					if err != nil {
						t.Fatalf("goflow2: %v", err)
					}
					same(t, d, b, want)
				}
			}
		})
	}
}

func same(t interface {
	Fatalf(string, ...any)
}, d *sflow.Decoder, b []byte, want []brief,
) {
	flows, err := d.Decode(sender, 7, b, nil)
	if err != nil {
		t.Fatalf("weir: %v", err)
	}
	var got []brief
	for _, f := range flows {
		got = append(got, briefOf(f))
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("goflow2 (-), weir (+):\n%s", diff)
	}
}

func TestAgainstGoflow2Random(t *testing.T) {
	u := func(t *rapid.T, name string) uint32 { return rapid.Uint32().Draw(t, name) }
	address := func(t *rapid.T, n int) []byte {
		b := rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "address")
		b[0] = 0x20 // neither unspecified nor v4-mapped
		return b
	}
	// ipPacket draws the headers of a packet, and how long it says it is.
	ipPacket := func(t *rapid.T) (etherType uint16, b []byte, length uint16) {
		proto := rapid.SampledFrom([]byte{6, 17, 47, 1}).Draw(t, "proto")
		l4 := rapid.SliceOfN(rapid.Byte(), 40, 40).Draw(t, "l4")
		switch proto {
		case 6:
			l4[12] = 0x50
		case 17:
			copy(l4[4:], u16(40))
		}
		if rapid.Bool().Draw(t, "six") {
			length = rapid.Uint16Range(100, 9000).Draw(t, "length")
			if proto == 1 {
				proto = 58
			}
			return 0x86dd, cat([]byte{0x60, 0, 0, 0}, u16(length-40), []byte{proto, 64}, address(t, 16), address(t, 16), l4), length
		}
		length = rapid.Uint16Range(100, 9000).Draw(t, "length")
		return 0x0800, cat([]byte{0x45, 0}, u16(length, 1, 0), []byte{64, proto, 0, 0}, address(t, 4), address(t, 4), l4), length
	}
	record := func(t *rapid.T) []byte {
		switch rapid.IntRange(0, 5).Draw(t, "record") {
		case 0:
			return part(3, u32(u(t, "length"), uint32(rapid.Byte().Draw(t, "proto"))), address(t, 4), address(t, 4), u32(u(t, "sport")&0xffff, u(t, "dport")&0xffff, u(t, "flags"), 0))
		case 1:
			return part(4, u32(u(t, "length"), uint32(rapid.Byte().Draw(t, "proto"))), address(t, 16), address(t, 16), u32(u(t, "sport")&0xffff, u(t, "dport")&0xffff, u(t, "flags"), 0))
		case 2:
			return part(1001, u32(u(t, "vlan"), 0, 20, 0))
		case 3:
			return part(1<<12|7, rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "vendor"))
		}
		etherType, b, length := ipPacket(t)
		if rapid.Bool().Draw(t, "ethernet") {
			if rapid.Bool().Draw(t, "tagged") {
				b = cat(u16(uint16(u(t, "tag")), etherType), b)
				etherType = 0x8100
				length += 4
			}
			return rawHeader(1, uint32(length)+14+4, 4, ethernet(etherType, b))
		}
		if etherType == 0x0800 {
			return rawHeader(11, uint32(length), 0, b)
		}
		return rawHeader(12, uint32(length), 0, b)
	}
	rapid.Check(t, func(t *rapid.T) {
		var samples [][]byte
		for range rapid.IntRange(0, 6).Draw(t, "samples") {
			records := rapid.SliceOfN(rapid.Custom(record), 0, 3).Draw(t, "records")
			n := uint32(len(records))
			body := cat(records...)
			switch rapid.IntRange(0, 3).Draw(t, "sample") {
			case 0:
				samples = append(samples, part(3, u32(1, 0, u(t, "source"), u(t, "rate"), 1, u(t, "drops"), u(t, "format")&3, u(t, "in"), u(t, "format")&3, u(t, "out"), n), body))
			case 1:
				samples = append(samples, part(2, u32(1, 3, 0)))
			default:
				samples = append(samples, part(1, u32(1, u(t, "source"), u(t, "rate"), 1, u(t, "drops"), u(t, "in"), u(t, "out"), n), body))
			}
		}
		b := message(rapid.SampledFrom([]string{"192.0.2.7", "2001:db8::7"}).Draw(t, "agent"), u(t, "sub"), u(t, "seq"), u(t, "uptime"), samples...)
		want, err := oracle(b)
		if err != nil {
			t.Fatalf("goflow2: %v", err)
		}
		same(t, sflow.New(sflow.DefaultConfig()), b, want)
	})
}

package packet

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// TestOracle builds random packets and holds the parser against gopacket.
func TestOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	kinds := map[uint8]int{}
	for i := range 20000 {
		b := randomPacket(t, r)
		if r.IntN(4) == 0 { // a snap length
			b = b[:14+r.IntN(len(b)-13)]
		}
		compareWithGopacket(t, b, kinds)
		if t.Failed() {
			t.Fatalf("packet %d: %x", i, b)
		}
	}
	for _, p := range []uint8{protoTCP, protoUDP, protoICMP, protoICMPv6, protoSCTP, 47, 4, 41} {
		if kinds[p] == 0 {
			t.Errorf("no packet of protocol %d was compared", p)
		}
	}
}

// seen is what gopacket finds in a packet, outermost first.
type seen struct {
	src, dst                    netip.Addr
	sp, dp, flags, vlan         uint16
	length                      int
	proto                       uint8
	ip, fragment, ports, hasTCP bool
}

// gopacketHeader reads one Ethernet packet with gopacket.
func gopacketHeader(p gopacket.Packet) seen {
	var s seen
	for _, l := range p.Layers() {
		if len(l.LayerContents()) == 0 { // a layer that gopacket gave up on
			return s
		}
		switch l := l.(type) {
		case *layers.Dot1Q:
			if s.vlan == 0 && !s.ip {
				s.vlan = l.VLANIdentifier
			}
		case *layers.IPv4:
			if s.ip {
				return s
			}
			s.ip, s.proto, s.length = true, uint8(l.Protocol), int(l.Length)
			s.src, _ = netip.AddrFromSlice(l.SrcIP)
			s.dst, _ = netip.AddrFromSlice(l.DstIP)
			s.fragment = l.FragOffset != 0
		case *layers.IPv6:
			if s.ip {
				return s
			}
			s.ip, s.proto, s.length = true, uint8(l.NextHeader), 40+int(l.Length)
			s.src, _ = netip.AddrFromSlice(l.SrcIP)
			s.dst, _ = netip.AddrFromSlice(l.DstIP)
		case *layers.IPv6HopByHop:
			s.proto = uint8(l.NextHeader)
		case *layers.IPv6Destination:
			s.proto = uint8(l.NextHeader)
		case *layers.TCP:
			s.sp, s.dp, s.ports, s.hasTCP = uint16(l.SrcPort), uint16(l.DstPort), true, true
			s.flags = binary.BigEndian.Uint16(l.Contents[12:]) & 0xfff
			return s
		case *layers.UDP:
			s.sp, s.dp, s.ports = uint16(l.SrcPort), uint16(l.DstPort), true
			return s
		case *layers.SCTP:
			s.sp, s.dp, s.ports = uint16(l.SrcPort), uint16(l.DstPort), true
			return s
		case *layers.ICMPv4:
			s.dp, s.ports = uint16(l.TypeCode), true
			return s
		case *layers.ICMPv6:
			s.dp, s.ports = uint16(l.TypeCode), true
			return s
		case *layers.GRE:
			return s
		}
	}
	return s
}

// compareWithGopacket checks one Ethernet packet and counts its protocol.
func compareWithGopacket(t *testing.T, b []byte, kinds map[uint8]int) {
	t.Helper()
	var h Header
	err := Parse(Ethernet, b, &h)
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	s := gopacketHeader(p)
	cut := p.ErrorLayer() != nil || p.Metadata().Truncated
	if !s.ip || !s.src.IsValid() {
		if err == nil && !cut {
			t.Errorf("found an IP header where gopacket finds none: %v > %v", h.Src, h.Dst)
		}
		return
	}
	if err != nil {
		t.Errorf("error %v, gopacket finds %v > %v", err, s.src, s.dst)
		return
	}
	kinds[h.Proto]++
	if h.Src.Addr() != s.src || h.Dst.Addr() != s.dst || h.VLAN != s.vlan || h.Length != s.length {
		t.Errorf("got %v > %v vlan %d length %d, gopacket %v > %v vlan %d length %d", h.Src, h.Dst, h.VLAN, h.Length, s.src, s.dst, s.vlan, s.length)
	}
	if s.ports && (!h.HasPorts || h.Src.Port() != s.sp || h.Dst.Port() != s.dp) {
		t.Errorf("got ports %v %v > %v, gopacket %d > %d", h.HasPorts, h.Src, h.Dst, s.sp, s.dp)
	}
	if s.hasTCP && (!h.HasFlags || h.Flags != s.flags) {
		t.Errorf("got flags %#x, gopacket %#x", h.Flags, s.flags)
	}
	if cut { // gopacket gives up where the capture ends, we read as far as it goes
		return
	}
	if h.Proto != s.proto || h.Fragment != s.fragment {
		t.Errorf("got protocol %d fragment %v, gopacket %d %v", h.Proto, h.Fragment, s.proto, s.fragment)
	}
	// gopacket looks into no fragment, not even the first.
	if h.HasPorts && !s.ports && !h.MoreFragments {
		t.Errorf("got ports %v > %v, gopacket has none", h.Src, h.Dst)
	}
}

// randomPacket builds a packet of random layers with gopacket.
func randomPacket(t *testing.T, r *rand.Rand) []byte {
	t.Helper()
	et := &layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2}}
	v6 := r.IntN(2) == 0
	next := &et.EthernetType
	ls := []gopacket.SerializableLayer{et}
	for range r.IntN(3) {
		q := &layers.Dot1Q{VLANIdentifier: uint16(1 + r.IntN(4094))}
		*next = layers.EthernetTypeDot1Q
		next = &q.Type
		ls = append(ls, q)
	}
	*next = layers.EthernetTypeIPv4
	if v6 {
		*next = layers.EthernetTypeIPv6
	}
	if n := r.IntN(4); n > 0 && r.IntN(3) == 0 {
		*next = layers.EthernetTypeMPLSUnicast
		for i := range n {
			ls = append(ls, &layers.MPLS{Label: 16 + r.Uint32N(1<<19), TTL: 64, StackBottom: i == n-1})
		}
	}
	ls = append(ls, randomIP(r, v6)...)
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, ls...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.UintN(256))
	}
	return b
}

// randomUpper builds what an IP header carries and its protocol.
func randomUpper(r *rand.Rand, v6 bool) (layers.IPProtocol, []gopacket.SerializableLayer) {
	payload := gopacket.Payload(randomBytes(r, 1+r.IntN(40)))
	sp, dp := uint16(1+r.UintN(65535)), uint16(20000+r.UintN(100))
	coin := func() bool { return r.IntN(2) == 0 }
	switch r.IntN(6) {
	case 0:
		return protoTCP, []gopacket.SerializableLayer{&layers.TCP{
			SrcPort: layers.TCPPort(sp), DstPort: layers.TCPPort(dp),
			SYN: coin(), ACK: coin(), FIN: coin(), RST: coin(), PSH: coin(), ECE: coin(),
			Options: []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}},
		}, payload}
	case 1:
		return protoUDP, []gopacket.SerializableLayer{&layers.UDP{SrcPort: layers.UDPPort(sp | 0x8000), DstPort: layers.UDPPort(dp)}, payload}
	case 2:
		if v6 {
			return protoICMPv6, []gopacket.SerializableLayer{&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(200, uint8(r.UintN(256)))}, payload}
		}
		return protoICMP, []gopacket.SerializableLayer{&layers.ICMPv4{TypeCode: layers.ICMPv4TypeCode(sp)}, payload}
	case 3:
		return protoSCTP, []gopacket.SerializableLayer{&layers.SCTP{SrcPort: layers.SCTPPort(sp), DstPort: layers.SCTPPort(dp)}}
	case 4:
		return 47, append([]gopacket.SerializableLayer{&layers.GRE{Protocol: layers.EthernetTypeIPv4}}, randomIP(r, false)...)
	}
	if coin() {
		return 41, randomIP(r, true)
	}
	return 4, randomIP(r, false)
}

func randomIP(r *rand.Rand, v6 bool) []gopacket.SerializableLayer {
	proto, upper := randomUpper(r, v6)
	if !v6 {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: randomBytes(r, 4), DstIP: randomBytes(r, 4)}
		if r.IntN(8) == 0 {
			ip.FragOffset, ip.Flags = uint16(r.UintN(3)), layers.IPv4MoreFragments
		}
		if r.IntN(8) == 0 {
			ip.Options = []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}, {OptionType: 1}, {OptionType: 0}}
		}
		return append([]gopacket.SerializableLayer{ip}, upper...)
	}
	ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: proto, SrcIP: randomBytes(r, 16), DstIP: randomBytes(r, 16)}
	ls := []gopacket.SerializableLayer{ip}
	if r.IntN(6) == 0 {
		d := &layers.IPv6Destination{}
		d.NextHeader = ip.NextHeader
		d.Options = []*layers.IPv6DestinationOption{{OptionType: 1, OptionLength: 4, OptionData: []byte{0, 0, 0, 0}}}
		ip.NextHeader = layers.IPProtocolIPv6Destination
		ls = append(ls, d)
	}
	return append(ls, upper...)
}

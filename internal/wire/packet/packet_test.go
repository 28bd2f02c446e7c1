package packet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unhex reads hex digits, blanks ignored.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Pieces of hand-written packets. The addresses are 192.0.2.1 to 198.51.100.2
// and 2001:db8::1 to 2001:db8::2.
const (
	eth    = "020000000002 020000000001 "
	ip4    = "4500 0028 0001 0000 40 06 0000 c0000201 c6336402 "
	tcp    = "c001 0016 00000001 00000000 5002 2000 0000 0000 "
	addrs6 = "20010db8000000000000000000000001 20010db8000000000000000000000002 "
	udp    = "c001 0035 000a 0000 abcd "
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func syn4(mod func(*Header)) Header {
	h := Header{
		Src: ap("192.0.2.1:49153"), Dst: ap("198.51.100.2:22"), Length: 40, Proto: 6, TTL: 64,
		Flags: 0x002, HasPorts: true, HasFlags: true, Payload: []byte{},
	}
	if mod != nil {
		mod(&h)
	}
	return h
}

func udp6(mod func(*Header)) Header {
	h := Header{
		Src: ap("[2001:db8::1]:49153"), Dst: ap("[2001:db8::2]:53"), Length: 50, Proto: 17, TTL: 63,
		HasPorts: true, Payload: []byte{0xab, 0xcd},
	}
	if mod != nil {
		mod(&h)
	}
	return h
}

func TestParse(t *testing.T) {
	vlan := func(id uint16) func(*Header) { return func(h *Header) { h.VLAN = id } }
	tests := []struct {
		name string
		link Link
		in   string
		want Header
		err  error
	}{
		{name: "ethernet", in: eth + "0800" + ip4 + tcp, want: syn4(nil)},
		{name: "padding is no payload", in: eth + "0800" + ip4 + tcp + "000000000000", want: syn4(nil)},
		{name: "raw", link: RawIP, in: ip4 + tcp, want: syn4(nil)},
		{name: "null little endian", link: Null, in: "02000000" + ip4 + tcp, want: syn4(nil)},
		{name: "loop big endian", link: Null, in: "00000002" + ip4 + tcp, want: syn4(nil)},
		{name: "null darwin ipv6", link: Null, in: "1e000000 6000 0000 000a 11 3f" + addrs6 + udp, want: udp6(nil)},
		{name: "cooked", link: LinuxSLL, in: "0000 0001 0006 0200000000010000 0800" + ip4 + tcp, want: syn4(nil)},
		{name: "cooked 2", link: LinuxSLL2, in: "0800 0000 00000002 0001 00 06 0200000000010000" + ip4 + tcp, want: syn4(nil)},
		{name: "ppp framed", link: PPP, in: "ff03 0021" + ip4 + tcp, want: syn4(nil)},
		{name: "ppp compressed", link: PPP, in: "21" + ip4 + tcp, want: syn4(nil)},
		{name: "ppp cisco", link: PPP, in: "0f00 0800" + ip4 + tcp, want: syn4(nil)},
		{name: "cisco hdlc", link: CiscoHDLC, in: "0f00 0800" + ip4 + tcp, want: syn4(nil)},
		{name: "pppoe", in: eth + "8864 11 00 0001 002a 0021" + ip4 + tcp, want: syn4(nil)},
		{name: "bare pppoe", link: PPPoE, in: "11 00 0001 0034 0057 6000 0000 000a 11 3f" + addrs6 + udp, want: udp6(nil)},
		{name: "enc", link: ENC, in: "02000000 00000001 00000000" + ip4 + tcp, want: syn4(nil)},
		{name: "vlan", in: eth + "8100 2064 0800" + ip4 + tcp, want: syn4(vlan(100))},
		{name: "qinq outer wins", in: eth + "88a8 0065 8100 0066 0800" + ip4 + tcp, want: syn4(vlan(101))},
		{name: "priority tag", in: eth + "8100 e000 8100 0007 0800" + ip4 + tcp, want: syn4(vlan(7))},
		{name: "snap", in: eth + "0030 aaaa03 000000 0800" + ip4 + tcp, want: syn4(nil)},
		{name: "mpls two labels", in: eth + "8847 000640ff 000641ff" + ip4 + tcp, want: syn4(nil)},
		{name: "bare mpls", link: MPLS, in: "000641ff" + ip4 + tcp, want: syn4(nil)},
		{name: "pseudowire with control word", in: eth + "8847 000641ff 00000009" + eth + "8100 0005 0800" + ip4 + tcp, want: syn4(vlan(5))},
		{name: "pseudowire without control word", in: eth + "8847 000641ff" + eth + "0800" + ip4 + tcp, want: syn4(nil)},
		{name: "pseudowire whose address looks like ipv4", in: eth + "8847 000641ff 42" + eth[2:] + "0800" + ip4 + tcp, want: syn4(nil)},
		{name: "pseudowire channel", in: eth + "8847 000641ff 10000000", err: ErrNotIP},
		{name: "ipv6", in: eth + "86dd 6000 0000 000a 11 3f" + addrs6 + udp, want: udp6(nil)},
		{name: "ipv6 hop by hop and destination", in: eth + "86dd 6000 0000 001a 00 3f" + addrs6 + "3c00000000000000 1100010400000000" + udp, want: udp6(func(h *Header) { h.Length = 66 })},
		{name: "ipv6 authentication header", in: eth + "86dd 6000 0000 0016 33 3f" + addrs6 + "11010000 00000001 00000001" + udp, want: udp6(func(h *Header) { h.Length = 62 })},
		{name: "ipv4 authentication header", in: eth + "0800 4500 0034 0001 0000 40 33 0000 c0000201 c6336402 06010000 00000001 00000001" + tcp, want: syn4(func(h *Header) { h.Length = 52 })},
		{name: "ipv6 first fragment", in: eth + "86dd 6000 0000 0012 2c 3f" + addrs6 + "11000001 00000001" + udp, want: udp6(func(h *Header) { h.Length = 58; h.MoreFragments = true })},
		{name: "ipv6 later fragment", in: eth + "86dd 6000 0000 000a 2c 3f" + addrs6 + "11000009 00000001 c001", want: Header{
			Src: ap("[2001:db8::1]:0"), Dst: ap("[2001:db8::2]:0"), Length: 50, Proto: 17, TTL: 63, Fragment: true, MoreFragments: true, Payload: []byte{0xc0, 1},
		}},
		{name: "ipv6 no next header", in: eth + "86dd 6000 0000 0000 3b 3f" + addrs6, want: Header{
			Src: ap("[2001:db8::1]:0"), Dst: ap("[2001:db8::2]:0"), Length: 40, Proto: 59, TTL: 63, Payload: []byte{},
		}},
		{name: "ipv4 later fragment", in: eth + "0800 4500 0028 0001 00b9 40 11 0000 c0000201 c6336402" + tcp, want: Header{
			Src: ap("192.0.2.1:0"), Dst: ap("198.51.100.2:0"), Length: 40, Proto: 17, TTL: 64, Fragment: true, Payload: unhex(t, tcp),
		}},
		{name: "ipv4 options", in: eth + "0800 4600 002c 0001 0000 40 06 0000 c0000201 c6336402 01010101" + tcp, want: syn4(func(h *Header) { h.Length = 44 })},
		{name: "zero length is offload", in: eth + "0800 4500 0000 0001 0000 40 06 0000 c0000201 c6336402" + tcp, want: syn4(nil)},
		{name: "icmp", in: eth + "0800 4500 001d 0001 0000 40 01 0000 c0000201 c6336402 0301 0000 00000000 ff", want: Header{
			Src: ap("192.0.2.1:0"), Dst: ap("198.51.100.2:769"), Length: 29, Proto: 1, TTL: 64, ICMPType: 3, ICMPCode: 1, HasPorts: true, Payload: []byte{0xff},
		}},
		{name: "icmpv6", in: eth + "86dd 6000 0000 0004 3a ff" + addrs6 + "8000 0000", want: Header{
			Src: ap("[2001:db8::1]:0"), Dst: ap("[2001:db8::2]:32768"), Length: 44, Proto: 58, TTL: 255, ICMPType: 128, HasPorts: true, Payload: []byte{},
		}},
		{name: "tunnel keeps the outer addresses", in: eth + "0800 4500 003c 0001 0000 40 04 0000 c0000201 c6336402" + ip4 + tcp, want: Header{
			Src: ap("192.0.2.1:0"), Dst: ap("198.51.100.2:0"), Length: 60, Proto: 4, TTL: 64, Payload: unhex(t, ip4+tcp),
		}},
		{name: "cut after the ports", in: eth + "0800" + ip4 + "c001 0016", want: syn4(func(h *Header) { h.Flags = 0; h.HasFlags = false })},
		{name: "cut in the ports", in: eth + "0800" + ip4 + "c001 00", want: Header{
			Src: ap("192.0.2.1:0"), Dst: ap("198.51.100.2:0"), Length: 40, Proto: 6, TTL: 64, Payload: []byte{},
		}},
		{name: "cut in the addresses", in: eth + "0800 4500 0028 0001 0000 40 06 0000 c0000201", err: ErrShort},
		{name: "arp", in: eth + "0806 0001", err: ErrNotIP},
		{name: "spanning tree", in: eth + "0026 424203 0000000000", err: ErrNotIP},
		{name: "empty", in: "", err: ErrShort},
		{name: "version contradicts the type", in: eth + "0800 65" + ip4[2:] + tcp, err: ErrHeader},
		{name: "header longer than the packet", in: eth + "0800 4f00 0028 0001 0000 40 06 0000 c0000201 c6336402" + tcp, err: ErrHeader},
		{name: "unknown link", link: 200, in: "00", err: ErrLink},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := Header{Flags: 0xffff, VLAN: 9, HasPorts: true} // must all be overwritten
			err := Parse(tt.link, unhex(t, tt.in), &h)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			if len(h.Payload) == 0 {
				h.Payload = []byte{}
			}
			if d := cmp.Diff(tt.want, h, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
				t.Errorf("header differs (-want +got):\n%s", d)
			}
		})
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	b := unhex(t, eth+"8847 000641ff 00000009"+eth+"86dd 6000 0000 000a 11 3f"+addrs6+udp)
	bad := unhex(t, eth+"0806")
	var h Header
	n := testing.AllocsPerRun(100, func() {
		if Parse(Ethernet, b, &h) != nil || Parse(Ethernet, bad, &h) == nil {
			t.Error("unexpected outcome")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per packet, want none", n)
	}
}

func TestLinkFromPcap(t *testing.T) {
	for dlt, want := range map[uint32]Link{
		0: Null, 1: Ethernet, 9: PPP, 12: RawIP, 51: PPPoE, 101: RawIP, 104: CiscoHDLC,
		108: Null, 109: ENC, 113: LinuxSLL, 219: MPLS, 228: RawIP, 276: LinuxSLL2,
	} {
		if got, ok := LinkFromPcap(dlt); !ok || got != want {
			t.Errorf("LinkFromPcap(%d) = %v, %v; want %v", dlt, got, ok, want)
		}
	}
	if _, ok := LinkFromPcap(127); ok {
		t.Error("radiotap is not read and must not be claimed")
	}
}

// dirty is a header in which everything must be overwritten.
func dirty() Header {
	return Header{
		Src: ap("203.0.113.9:9"), Dst: ap("[2001:db8::9]:9"), Payload: []byte{9}, Length: 9, Flags: 9, VLAN: 9, Proto: 9, TTL: 9,
		ICMPType: 9, ICMPCode: 9, Fragment: true, MoreFragments: true, HasPorts: true, HasFlags: true,
	}
}

// sameAsGeneral holds what Parse gave against the general way.
func sameAsGeneral(t *testing.T, link Link, b []byte, h *Header, err error) {
	t.Helper()
	want := dirty()
	if wantErr := parse(link, b, &want); !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
		t.Fatalf("error %v, the general way gives %v: %x", err, wantErr, b)
	}
	if err != nil {
		return
	}
	got := *h
	if len(got.Payload) != len(want.Payload) || len(got.Payload) > 0 && &got.Payload[0] != &want.Payload[0] {
		t.Fatalf("a payload of %d bytes, the general way gives another, of %d: %x", len(got.Payload), len(want.Payload), b)
	}
	got.Payload, want.Payload = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, the general way gives %+v: %x", got, want, b)
	}
}

// TestCommonIsGeneral holds the short way for common packets against the
// general one: cut anywhere, and with any byte of the headers changed.
func TestCommonIsGeneral(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	common := 0
	for range 3000 {
		b := randomPacket(t, r)
		for range 8 {
			c := append(bytes.Clone(b), make([]byte, r.IntN(3)*r.IntN(30))...) // link padding
			if r.IntN(2) == 0 {
				c = c[:r.IntN(len(c)+1)]
			}
			if len(c) > 0 && r.IntN(4) > 0 {
				c[r.IntN(min(len(c), 74))] = byte(r.UintN(256))
			}
			if h := dirty(); parseCommon(c, &h) {
				common++
			}
			h := dirty()
			err := Parse(Ethernet, c, &h)
			sameAsGeneral(t, Ethernet, c, &h, err)
		}
	}
	if common < 500 {
		t.Errorf("only %d packets took the short way", common)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		eth + "0800" + ip4 + tcp,
		eth + "8100 0064 86dd 6000 0000 001a 00 3f" + addrs6 + "3c00000000000000 1100010400000000" + udp,
		eth + "8847 000640ff 000641ff 00000009" + eth + "0800" + ip4 + tcp,
		eth + "8864 11 00 0001 002a 0021" + ip4 + tcp,
	} {
		f.Add(uint8(Ethernet), unhex(f, s))
	}
	f.Add(uint8(PPP), unhex(f, "ff03 0281 000641ff"+ip4+tcp))
	f.Add(uint8(RawIP), unhex(f, "6000 0000 000a 2c 3f"+addrs6+"11000009 00000001 c001"))
	f.Fuzz(func(t *testing.T, link uint8, b []byte) {
		h := dirty()
		err := Parse(Link(link), b, &h)
		sameAsGeneral(t, Link(link), b, &h, err)
		if err != nil {
			return
		}
		if !h.Src.Addr().IsValid() || !h.Dst.Addr().IsValid() || h.Src.Addr().Is4In6() || h.Dst.Addr().Is4In6() {
			t.Errorf("bad addresses %v > %v", h.Src, h.Dst)
		}
		if h.Length < 20 || len(h.Payload) > len(b) || len(h.Payload) > h.Length {
			t.Errorf("length %d, payload %d, captured %d", h.Length, len(h.Payload), len(b))
		}
		if h.Fragment && h.HasPorts || h.HasFlags && !h.HasPorts {
			t.Errorf("contradiction: %+v", h)
		}
		if !h.HasPorts && (h.Src.Port() != 0 || h.Dst.Port() != 0) {
			t.Errorf("ports without HasPorts: %v > %v", h.Src, h.Dst)
		}
	})
}

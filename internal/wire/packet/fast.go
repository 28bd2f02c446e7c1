package packet

import (
	"encoding/binary"
	"net/netip"

	weir "github.com/weir-net/weir"
)

// Offsets in an Ethernet frame whose first type is that of IP.
const (
	etherHeader = 14
	ip4End      = etherHeader + minIPv4Header
	ip6End      = etherHeader + ipv6Header
)

// parseCommon reads what nearly all packets are: an IP header without options
// or extensions right behind the Ethernet header, TCP or UDP in it, not a
// fragment, headers captured in full. It gives what the general way gives, in a
// part of the time, and reports whether the packet is of this kind; h means
// nothing otherwise.
func parseCommon(b []byte, h *Header) bool {
	if len(b) < ip4End+8 {
		return false
	}
	var upper []byte // from the transport header to the end of the IP packet
	var proto uint8
	switch binary.BigEndian.Uint16(b[12:]) {
	case etherIPv4:
		// Version 4 and a header of 20 bytes; no more fragments, no offset.
		length := int(binary.BigEndian.Uint16(b[16:]))
		if b[14] != 0x45 || length < minIPv4Header || binary.BigEndian.Uint16(b[20:])&0x3fff != 0 {
			return false
		}
		proto = b[23]
		upper = b[ip4End:min(len(b), etherHeader+length)]
		h.Length, h.TTL = length, b[22]
		h.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[26:30])), binary.BigEndian.Uint16(b[34:]))
		h.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[30:34])), binary.BigEndian.Uint16(b[36:]))
	case etherIPv6:
		if len(b) < ip6End+8 || b[14]>>4 != 6 {
			return false
		}
		length := int(binary.BigEndian.Uint16(b[18:])) + ipv6Header
		src, dst := netip.AddrFrom16([16]byte(b[22:38])), netip.AddrFrom16([16]byte(b[38:54]))
		if length == ipv6Header || src.Is4In6() || dst.Is4In6() {
			return false
		}
		proto = b[20]
		upper = b[ip6End:min(len(b), etherHeader+length)]
		h.Length, h.TTL = length, b[21]
		h.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b[54:]))
		h.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[56:]))
	default:
		return false
	}
	begin, end, flags := 8, len(upper), uint16(0)
	switch {
	case proto == weir.ProtoTCP && len(upper) >= 20:
		v := binary.BigEndian.Uint16(upper[12:])
		flags = v & 0x0fff
		begin = min(max(int(v>>12)*4, 20), end)
	case proto == weir.ProtoUDP && len(upper) >= 8:
		if n := int(binary.BigEndian.Uint16(upper[4:])); n >= 8 && n < end {
			end = n
		}
	default:
		return false
	}
	h.Payload = upper[begin:end]
	h.Proto, h.Flags, h.VLAN = proto, flags, 0
	h.HasFlags = proto == weir.ProtoTCP
	h.ICMPType, h.ICMPCode = 0, 0
	h.Fragment, h.MoreFragments, h.HasPorts = false, false, true
	return true
}

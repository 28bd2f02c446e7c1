package packet

import (
	"encoding/binary"
	"net/netip"
)

// IP protocol numbers that the parser knows, IANA registry.
const (
	protoHopByHop  = 0
	protoICMP      = 1
	protoTCP       = 6
	protoUDP       = 17
	protoDCCP      = 33
	protoRouting   = 43
	protoFragment  = 44
	protoAH        = 51
	protoICMPv6    = 58
	protoNoNext    = 59
	protoDestOpts  = 60
	protoSCTP      = 132
	protoMobility  = 135
	protoUDPLite   = 136
	protoHIP       = 139
	protoShim6     = 140
	maxExtensions  = 32 // more extension headers than this are an attack
	minIPv4Header  = 20
	ipv6Header     = 40
	fragmentHeader = 8
)

// parseIP reads an IP header whose version is not known beforehand.
func parseIP(b []byte, h *Header) error {
	if len(b) == 0 {
		return ErrShort
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b, h)
	case 6:
		return parseIPv6(b, h)
	}
	return ErrNotIP
}

// parseIPv4 reads an IPv4 header, RFC 791 section 3.1.
func parseIPv4(b []byte, h *Header) error {
	if len(b) < minIPv4Header {
		return ErrShort
	}
	headerLen := int(b[0]&0x0f) * 4
	length := int(binary.BigEndian.Uint16(b[2:]))
	if length == 0 { // segmentation offload on the capturing machine
		length = len(b)
	}
	if b[0]>>4 != 4 || headerLen < minIPv4Header || length < headerLen {
		return ErrHeader
	}
	frag := binary.BigEndian.Uint16(b[6:])
	h.Length = length
	h.TTL = b[8]
	h.Proto = b[9]
	h.Fragment = frag&0x1fff != 0
	h.MoreFragments = frag&0x2000 != 0
	h.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), 0)
	h.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), 0)
	if len(b) > length { // link padding
		b = b[:length]
	}
	if len(b) < headerLen {
		return nil
	}
	b = b[headerLen:]
	if h.Fragment {
		h.Payload = b
		return nil
	}
	// Behind an authentication header the ports are in the clear.
	for range maxExtensions {
		if h.Proto != protoAH {
			break
		}
		var ok bool
		if b, ok = skipExtension(b, h); !ok {
			return nil
		}
	}
	parseTransport(b, h)
	return nil
}

// parseIPv6 reads an IPv6 header and its extension headers, RFC 8200.
func parseIPv6(b []byte, h *Header) error {
	if len(b) < ipv6Header {
		return ErrShort
	}
	if b[0]>>4 != 6 {
		return ErrHeader
	}
	payload := int(binary.BigEndian.Uint16(b[4:]))
	h.Proto = b[6]
	h.TTL = b[7]
	h.Src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), 0)
	h.Dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])).Unmap(), 0)
	h.Length = ipv6Header + payload
	if payload == 0 && h.Proto != protoNoNext { // jumbogram or segmentation offload
		h.Length = len(b)
	}
	if len(b) > h.Length {
		b = b[:h.Length]
	}
	b = b[ipv6Header:]
	for range maxExtensions {
		switch h.Proto {
		case protoHopByHop, protoRouting, protoDestOpts, protoAH, protoMobility, protoHIP, protoShim6:
			var ok bool
			if b, ok = skipExtension(b, h); !ok {
				return nil
			}
			continue
		case protoFragment:
			if len(b) < fragmentHeader {
				return nil
			}
			frag := binary.BigEndian.Uint16(b[2:])
			h.Proto = b[0]
			h.Fragment = frag&0xfff8 != 0
			h.MoreFragments = frag&1 != 0
			b = b[fragmentHeader:]
			if h.Fragment {
				h.Payload = b
				return nil
			}
			continue
		}
		parseTransport(b, h)
		return nil
	}
	return ErrHeader
}

// skipExtension moves past the extension header at b and sets h.Proto to what
// follows. False says that the header was not captured in full; the protocol is
// then the last one known.
func skipExtension(b []byte, h *Header) ([]byte, bool) {
	if len(b) < 2 {
		return nil, false
	}
	n := (int(b[1]) + 1) * 8
	if h.Proto == protoAH { // counts in units of four bytes, RFC 4302 section 2.2
		n = (int(b[1]) + 2) * 4
	}
	h.Proto = b[0]
	if len(b) < n {
		return nil, false
	}
	return b[n:], true
}

// parseTransport reads ports, flags and the extent of the payload as far as
// they were captured.
func parseTransport(b []byte, h *Header) {
	h.Payload = b
	headerLen := 0
	switch h.Proto {
	case protoICMP, protoICMPv6:
		if len(b) < 2 {
			break
		}
		h.ICMPType, h.ICMPCode = b[0], b[1]
		h.HasPorts = true
		h.Dst = netip.AddrPortFrom(h.Dst.Addr(), uint16(b[0])<<8|uint16(b[1]))
		headerLen = 8
	case protoTCP:
		ports(b, h)
		headerLen = 20
		if len(b) >= 13 {
			headerLen = max(int(b[12]>>4)*4, 20)
		}
		if len(b) >= 14 {
			h.HasFlags = true
			h.Flags = binary.BigEndian.Uint16(b[12:]) & 0x0fff
		}
	case protoUDP:
		ports(b, h)
		headerLen = 8
		if len(b) >= 6 {
			// A UDP length below that of the IP packet ends the payload; zero
			// and nonsense do not.
			if n := int(binary.BigEndian.Uint16(b[4:])); n >= 8 && n < len(b) {
				b = b[:n]
			}
		}
	case protoUDPLite:
		ports(b, h)
		headerLen = 8
	case protoSCTP:
		ports(b, h)
		headerLen = 12
	case protoDCCP:
		ports(b, h)
		headerLen = 12
		if len(b) >= 5 {
			headerLen = max(int(b[4])*4, 12)
		}
	}
	h.Payload = b[min(headerLen, len(b)):]
}

func ports(b []byte, h *Header) {
	if len(b) < 4 {
		return
	}
	h.HasPorts = true
	h.Src = netip.AddrPortFrom(h.Src.Addr(), binary.BigEndian.Uint16(b))
	h.Dst = netip.AddrPortFrom(h.Dst.Addr(), binary.BigEndian.Uint16(b[2:]))
}

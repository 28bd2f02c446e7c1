// Package packet reads the headers of one captured packet, layers 2 to 4, as
// far as flow telemetry needs them: who, to whom, which protocol, how long.
//
// It serves sFlow raw headers, IPFIX data link sections and packet captures.
// The addresses are always those of the outermost IP header, because that is
// what the network saw; the inside of GRE, VXLAN, IP in IP and the like is left
// in the payload. Ethernet with VLAN tags (IEEE 802.1Q, 802.1ad), MPLS
// (RFC 3032) including Ethernet pseudowires with and without control word
// (RFC 4448), PPPoE (RFC 2516) and PPP (RFC 1661) are looked through.
//
// Parsing is pure, allocates nothing and never panics. A packet that was cut by
// the snap length is read as far as it was captured.
package packet

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Link is a link layer: what the first byte of a captured packet belongs to.
type Link uint8

// Links.
const (
	// Ethernet is DIX Ethernet or IEEE 802.3, without preamble and checksum.
	Ethernet Link = iota
	// RawIP starts at the IP header; the version is read from it.
	RawIP
	// Null is the BSD loopback header of four bytes, in either byte order.
	Null
	// LinuxSLL is the Linux cooked header, 16 bytes.
	LinuxSLL
	// LinuxSLL2 is the Linux cooked header version 2, 20 bytes.
	LinuxSLL2
	// PPP is PPP with or without HDLC framing.
	PPP
	// PPPoE starts at the PPPoE header.
	PPPoE
	// CiscoHDLC is the HDLC of Cisco: address, control and an EtherType.
	CiscoHDLC
	// MPLS starts at the label stack.
	MPLS
	// ENC is the header of encapsulated (IPsec) traffic of OpenBSD, 12 bytes.
	ENC
)

// LinkFromPcap maps a link type of a capture file to a Link; false for those
// that this package does not read. Source: the registry of the tcpdump group,
// https://www.tcpdump.org/linktypes.html, and the platform-dependent values of
// raw IP (12 and 14) that old files carry.
func LinkFromPcap(dlt uint32) (Link, bool) {
	switch dlt {
	case 1:
		return Ethernet, true
	case 12, 14, 101, 228, 229:
		return RawIP, true
	case 0, 108:
		return Null, true
	case 113:
		return LinuxSLL, true
	case 276:
		return LinuxSLL2, true
	case 9, 50:
		return PPP, true
	case 51:
		return PPPoE, true
	case 104:
		return CiscoHDLC, true
	case 219:
		return MPLS, true
	case 109:
		return ENC, true
	}
	return 0, false
}

// Errors of Parse. They carry no detail, so that a flood of bad packets costs
// nothing; callers count them.
var (
	// ErrNotIP says that the packet holds no IP header that can be found: ARP,
	// spanning tree, an encrypted or unknown layer.
	ErrNotIP = errors.New("packet: no IP header")
	// ErrShort says that the packet was cut before the IP addresses ended.
	ErrShort = errors.New("packet: cut before the end of the IP header")
	// ErrHeader says that the IP header contradicts itself.
	ErrHeader = errors.New("packet: malformed IP header")
	// ErrLink says that the link layer is none that this package reads.
	ErrLink = errors.New("packet: unknown link layer")
)

// Header is what Parse found.
type Header struct {
	// Src and Dst are the outermost ends. The ports are zero unless HasPorts.
	// For ICMP and ICMPv6 the source port is 0 and the destination port is
	// type*256+code. IPv4 addresses are never v4-mapped.
	Src, Dst netip.AddrPort
	// Payload is what follows the transport header, or what follows the IP
	// header where the transport is none that is read here. It aliases the
	// packet and ends where the capture or the IP packet ends.
	Payload []byte
	// Length is the length of the outermost IP packet in bytes, header
	// included, as its header says; where the header says zero (segmentation
	// offload, jumbograms) it is the captured length.
	Length int
	// Flags are the TCP control bits, RFC 9293 section 3.1: the low 12 bits of
	// bytes 12 and 13; valid with HasFlags.
	Flags uint16
	// VLAN is the identifier of the outermost VLAN tag, 0 for none.
	VLAN uint16
	// Proto is the protocol after all IPv6 extension headers and after the
	// authentication header.
	Proto uint8
	// TTL is the time to live or hop limit.
	TTL uint8
	// ICMPType and ICMPCode are valid with HasPorts on ICMP and ICMPv6.
	ICMPType, ICMPCode uint8
	// Fragment tells that this is a fragment with an offset above zero: it has
	// no transport header. MoreFragments tells that others follow.
	Fragment, MoreFragments bool
	// HasPorts tells that the ports are known. They are not on fragments, on
	// packets cut before them, and on protocols without ports.
	HasPorts bool
	// HasFlags tells that the TCP control bits were captured.
	HasFlags bool
}

// EtherTypes, IEEE registry.
const (
	etherIPv4         = 0x0800
	etherIPv6         = 0x86dd
	etherVLAN         = 0x8100
	etherQinQ         = 0x88a8
	etherQinQ9100     = 0x9100
	etherQinQ9200     = 0x9200
	etherQinQ9300     = 0x9300
	etherMPLS         = 0x8847
	etherMPLSUpstream = 0x8848
	etherPPPoE        = 0x8864
	etherTEB          = 0x6558 // transparent Ethernet bridging
	etherLengthMax    = 0x05dc // at most this: an IEEE 802.3 length
)

// PPP protocol numbers, IANA registry.
const (
	pppIPv4          = 0x0021
	pppIPv6          = 0x0057
	pppMPLS          = 0x0281
	pppMPLSMulticast = 0x0283
)

// maxDepth bounds the layers between the first byte and the IP header. Real
// stacks have at most five or six (QinQ, MPLS, pseudowire, VLAN).
const maxDepth = 16

// Parse reads the headers of b, which starts at a header of link, into h. It
// overwrites all of h. The error is one of those of this package; h means
// nothing then.
func Parse(link Link, b []byte, h *Header) error {
	if link == Ethernet && parseCommon(b, h) {
		return nil
	}
	return parse(link, b, h)
}

// parse is the general way of Parse.
func parse(link Link, b []byte, h *Header) error {
	*h = Header{}
	switch link {
	case Ethernet:
		return parseEthernet(b, h, maxDepth)
	case RawIP:
		return parseIP(b, h)
	case Null:
		return parseNull(b, h)
	case LinuxSLL:
		if len(b) < 16 {
			return ErrShort
		}
		return parseType(binary.BigEndian.Uint16(b[14:]), b[16:], h, maxDepth)
	case LinuxSLL2:
		if len(b) < 20 {
			return ErrShort
		}
		return parseType(binary.BigEndian.Uint16(b), b[20:], h, maxDepth)
	case PPP:
		return parsePPP(b, h, maxDepth)
	case PPPoE:
		return parsePPPoE(b, h, maxDepth)
	case CiscoHDLC:
		if len(b) < 4 {
			return ErrShort
		}
		return parseType(binary.BigEndian.Uint16(b[2:]), b[4:], h, maxDepth)
	case MPLS:
		return parseMPLS(b, h, maxDepth)
	case ENC:
		if len(b) < 12 {
			return ErrShort
		}
		return parseIP(b[12:], h)
	}
	return ErrLink
}

// parseNull reads the BSD loopback header: an address family in the byte order
// of the machine that captured. The family of IPv6 differs between systems (10
// Linux, 24 NetBSD and OpenBSD, 28 FreeBSD, 30 Darwin), so the IP version
// decides and the family is only checked for being one of them.
func parseNull(b []byte, h *Header) error {
	if len(b) < 4 {
		return ErrShort
	}
	family := binary.BigEndian.Uint32(b)
	if family > 0xffff {
		family = binary.LittleEndian.Uint32(b)
	}
	switch family {
	case 2, 10, 24, 28, 30:
		return parseIP(b[4:], h)
	}
	return ErrNotIP
}

func parseEthernet(b []byte, h *Header, depth int) error {
	if len(b) < 14 {
		return ErrShort
	}
	return parseType(binary.BigEndian.Uint16(b[12:]), b[14:], h, depth-1)
}

// parseType reads what an EtherType announces.
func parseType(etherType uint16, b []byte, h *Header, depth int) error {
	for ; depth > 0; depth-- {
		switch etherType {
		case etherIPv4:
			return parseIPv4(b, h)
		case etherIPv6:
			return parseIPv6(b, h)
		case etherVLAN, etherQinQ, etherQinQ9100, etherQinQ9200, etherQinQ9300:
			if len(b) < 4 {
				return ErrShort
			}
			if h.VLAN == 0 {
				h.VLAN = binary.BigEndian.Uint16(b) & 0x0fff
			}
			etherType, b = binary.BigEndian.Uint16(b[2:]), b[4:]
			continue
		case etherMPLS, etherMPLSUpstream:
			return parseMPLS(b, h, depth-1)
		case etherPPPoE:
			return parsePPPoE(b, h, depth-1)
		case etherTEB:
			return parseEthernet(b, h, depth-1)
		}
		if etherType > etherLengthMax {
			return ErrNotIP
		}
		// IEEE 802.3: LLC with a SNAP header of organisation zero holds an
		// EtherType (RFC 1042). Anything else is not IP.
		if len(b) < 8 {
			return ErrShort
		}
		if b[0] != 0xaa || b[1] != 0xaa || b[2] != 0x03 || b[3] != 0 || b[4] != 0 || b[5] != 0 {
			return ErrNotIP
		}
		etherType, b = binary.BigEndian.Uint16(b[6:]), b[8:]
	}
	return ErrNotIP
}

// parseMPLS reads a label stack and what follows. The stack does not say what
// it carries, so the first nibble decides: 4 and 6 are IP, 0 is a control word
// (RFC 4385), and everything else, or an IP header that makes no sense, can
// only be Ethernet without control word.
func parseMPLS(b []byte, h *Header, depth int) error {
	if depth <= 0 {
		return ErrNotIP
	}
	for {
		if len(b) < 4 {
			return ErrShort
		}
		bottom := b[2]&1 != 0
		b = b[4:]
		if bottom {
			break
		}
	}
	if len(b) == 0 {
		return ErrShort
	}
	vlan := h.VLAN
	var err error
	switch b[0] >> 4 {
	case 4:
		err = parseIPv4(b, h)
	case 6:
		err = parseIPv6(b, h)
	case 0:
		if len(b) < 4 {
			return ErrShort
		}
		err = parseEthernet(b[4:], h, depth-1)
	default:
		err = ErrNotIP
	}
	if err == nil || errors.Is(err, ErrShort) && b[0]>>4 != 0 {
		return err
	}
	// The same bytes as Ethernet without control word. The first error stands
	// when that fails too.
	*h = Header{VLAN: vlan}
	if parseEthernet(b, h, depth-1) == nil {
		return nil
	}
	*h = Header{VLAN: vlan}
	return err
}

func parsePPPoE(b []byte, h *Header, depth int) error {
	if len(b) < 6 {
		return ErrShort
	}
	// Version 1, type 1, code 0 (session data), RFC 2516 section 4.
	if b[0] != 0x11 || b[1] != 0 {
		return ErrNotIP
	}
	return parsePPP(b[6:], h, depth-1)
}

func parsePPP(b []byte, h *Header, depth int) error {
	// HDLC framing, RFC 1662; absent when compressed away. Cisco HDLC in a PPP
	// capture has the address 0x0f or 0x8f.
	if len(b) >= 4 {
		switch {
		case b[0] == 0xff && b[1] == 0x03:
			b = b[2:]
		case (b[0] == 0x0f || b[0] == 0x8f) && b[1] == 0:
			return parseType(binary.BigEndian.Uint16(b[2:]), b[4:], h, depth-1)
		}
	}
	if len(b) < 2 {
		return ErrShort
	}
	proto := uint16(b[0])
	if proto&1 != 0 { // protocol field compression, RFC 1661 section 6.5
		b = b[1:]
	} else {
		proto = binary.BigEndian.Uint16(b)
		b = b[2:]
	}
	switch proto {
	case pppIPv4:
		return parseIPv4(b, h)
	case pppIPv6:
		return parseIPv6(b, h)
	case pppMPLS, pppMPLSMulticast:
		return parseMPLS(b, h, depth-1)
	}
	return ErrNotIP
}

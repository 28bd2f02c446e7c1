package sflow

import (
	"container/list"
	"encoding/binary"
	"net/netip"
	"slices"

	weir "github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/packet"
)

// Decoder decodes sFlow version 5. It is not safe for concurrent use. Make one
// with [New].
type Decoder struct {
	cfg     Config
	agents  map[agentKey]*agent
	order   list.List // of *agent, the newest first
	last    *agent
	sources int

	stats Stats
	err   *Error // the first fault of the datagram at work

	raw, told packet.Header // of the sample at work: from its packet, from its fields
}

// New returns a decoder with nothing learnt. It does not check c: see
// [Config.Validate]; limits below 1 act as 1.
func New(c Config) *Decoder {
	c.MaxAgents = max(c.MaxAgents, 1)
	c.MaxSources = max(c.MaxSources, 1)
	return &Decoder{cfg: c, agents: make(map[agentKey]*agent)}
}

// Formats of samples and of flow records, with the enterprise (0) in the high
// 20 bits; the specification, section 5.
const (
	sampleFlow             = 1
	sampleCounters         = 2
	sampleFlowExpanded     = 3
	sampleCountersExpanded = 4

	recordHeader = 1
	recordIPv4   = 3
	recordIPv6   = 4
	recordSwitch = 1001
)

// Lengths in bytes of what stands before the records of a flow sample, and of
// the records up to the end of what is read.
const (
	flowHead     = 32
	expandedHead = 44
	ipv4Record   = 32
	ipv6Record   = 56
	headerRecord = 16
)

// datagram is what the header says, for the samples in it.
type datagram struct {
	agent      *agent
	received   int64
	configured uint32 // rate of the operator where the sample says nothing
	forced     uint32 // rate of the operator, whatever the sample says
}

// Decode appends the flows of one datagram to dst and returns it. The flows
// hold no reference to the datagram. The exporter of a flow is the agent that
// the datagram names, or from where it names none; its times are that of
// receipt (Unix ns), because samples carry no time.
//
// An error is an [*Error]; everything that could be decoded is in the result
// all the same.
func (d *Decoder) Decode(from netip.Addr, received int64, b []byte, dst []weir.Flow) ([]weir.Flow, error) {
	d.stats.Datagrams++
	d.err = nil
	before := len(dst)
	dst = d.decode(from.Unmap(), received, b, dst)
	d.stats.Flows += uint64(len(dst) - before) //nolint:gosec // dst only grows
	if d.err != nil {
		if d.err.Reason == ReasonVersion {
			d.stats.UnknownVersion++
		} else {
			d.stats.Malformed++
		}
		return dst, d.err
	}
	return dst, nil
}

// fail notes a fault: the first of a datagram is the error that Decode returns.
func (d *Decoder) fail(key agentKey, offset int, reason Reason) {
	if d.err == nil {
		d.err = &Error{Agent: key.addr, Domain: key.sub, Offset: offset, Reason: reason}
	}
}

func (d *Decoder) decode(from netip.Addr, received int64, b []byte, dst []weir.Flow) []weir.Flow {
	key := agentKey{addr: from}
	if len(b) < 8 {
		d.fail(key, 0, ReasonShort)
		return dst
	}
	if binary.BigEndian.Uint32(b) != 5 {
		d.fail(key, 0, ReasonVersion)
		return dst
	}
	at := 8
	switch kind := binary.BigEndian.Uint32(b[4:]); kind {
	case 0: // unknown: nothing follows
	case 1:
		at += 4
	case 2:
		at += 16
	default:
		d.fail(key, 4, ReasonAddress)
		return dst
	}
	if len(b) < at+16 {
		d.fail(key, 0, ReasonShort)
		return dst
	}
	if a, ok := netip.AddrFromSlice(b[8:at]); ok && !a.IsUnspecified() {
		key.addr = a.Unmap()
	}
	key.sub = binary.BigEndian.Uint32(b[at:])
	a := d.agentFor(key)
	a.info.Datagrams++
	a.info.LastSeen = received
	d.sequence(a, binary.BigEndian.Uint32(b[at+4:]), binary.BigEndian.Uint32(b[at+8:]))
	g := datagram{agent: a, received: received}
	if d.cfg.Sampling != nil {
		n, force := d.cfg.Sampling(key.addr)
		if g.configured = n; force {
			g.forced = n
		}
	}
	count := binary.BigEndian.Uint32(b[at+12:])
	at += 16
	first := len(dst)
	for range count {
		if len(b)-at < 8 {
			d.fail(key, at, ReasonCount)
			break
		}
		format, length := binary.BigEndian.Uint32(b[at:]), binary.BigEndian.Uint32(b[at+4:])
		if uint64(length) > uint64(len(b)-at-8) { //nolint:gosec // the loop has seen at least 8 bytes
			d.fail(key, at, ReasonSample)
			break
		}
		end := at + 8 + int(length)
		switch format {
		case sampleFlow, sampleFlowExpanded:
			dst = d.flowSample(&g, format == sampleFlowExpanded, b[:end], at+8, dst)
		case sampleCounters, sampleCountersExpanded:
			d.stats.CounterSamples++
		default:
			d.stats.OtherSamples++
		}
		at = end
	}
	d.raw.Payload = nil // it points into the datagram
	a.closeDatagram(dst[first:])
	return dst
}

// flowSample decodes the flow sample that stands in b from at to the end.
func (d *Decoder) flowSample(g *datagram, expanded bool, b []byte, at int, dst []weir.Flow) []weir.Flow {
	head := flowHead
	if expanded {
		head = expandedHead
	}
	if len(b)-at < head {
		d.fail(g.agent.key, at, ReasonSample)
		return dst
	}
	s := b[at : at+head]
	var rate, drops, source, count uint32
	var in, out iface
	if expanded {
		source = binary.BigEndian.Uint32(s[4:])<<24 | binary.BigEndian.Uint32(s[8:])&0xffffff
		rate, drops = binary.BigEndian.Uint32(s[12:]), binary.BigEndian.Uint32(s[20:])
		in = iface{binary.BigEndian.Uint32(s[24:]), binary.BigEndian.Uint32(s[28:])}
		out = iface{binary.BigEndian.Uint32(s[32:]), binary.BigEndian.Uint32(s[36:])}
		count = binary.BigEndian.Uint32(s[40:])
	} else {
		source = binary.BigEndian.Uint32(s[4:])
		rate, drops = binary.BigEndian.Uint32(s[8:]), binary.BigEndian.Uint32(s[16:])
		in, out = compact(binary.BigEndian.Uint32(s[20:])), compact(binary.BigEndian.Uint32(s[24:]))
		count = binary.BigEndian.Uint32(s[28:])
	}
	if drops != 0 || len(g.agent.drops) != 0 {
		d.dropped(g.agent, source, drops)
	}
	at += head

	var h *packet.Header // what the sample says of the packet
	var length uint64    // of the IP packet
	raw := false
	var vlan uint16
	for range count {
		if len(b)-at < 8 {
			d.fail(g.agent.key, at, ReasonRecord)
			break
		}
		format, size := binary.BigEndian.Uint32(b[at:]), binary.BigEndian.Uint32(b[at+4:])
		if uint64(size) > uint64(len(b)-at-8) { //nolint:gosec // the loop has seen at least 8 bytes
			d.fail(g.agent.key, at, ReasonRecord)
			break
		}
		at += 8
		record := b[at : at+int(size)]
		at += int(size)
		ok := true
		switch {
		case format == recordHeader && !raw:
			// The packet itself is better than what an agent made of it.
			var n uint64
			if n, raw, ok = rawHeader(&d.raw, record); raw {
				h, length = &d.raw, n
			}
		case format == recordIPv4 && h == nil:
			if ok = sampledIPv4(&d.told, record); ok {
				h, length = &d.told, uint64(binary.BigEndian.Uint32(record))
			}
		case format == recordIPv6 && h == nil:
			if ok = sampledIPv6(&d.told, record); ok {
				h, length = &d.told, uint64(binary.BigEndian.Uint32(record))
			}
		case format == recordSwitch && len(record) >= 4:
			vlan = uint16(binary.BigEndian.Uint32(record) & 0x0fff)
		}
		if !ok {
			d.fail(g.agent.key, at-int(size), ReasonRecord)
		}
	}
	if h == nil {
		d.stats.SamplesWithoutAddresses++
		return dst
	}
	n := len(dst)
	dst = slices.Grow(dst, 1)[:n+1]
	// Every field is set by itself: a literal would be built apart and copied.
	f := &dst[n]
	f.Start, f.End = g.received, g.received
	f.Src, f.Dst = h.Src, h.Dst
	f.Packets, f.Bytes = 1, length
	f.RevPackets, f.RevBytes = 0, 0
	switch {
	case g.forced != 0:
		f.Sampling, f.SamplingSource = g.forced, weir.SamplingConfig
	case rate != 0:
		f.Sampling, f.SamplingSource = rate, weir.SamplingRecord
	case g.configured != 0:
		f.Sampling, f.SamplingSource = g.configured, weir.SamplingConfig
	default:
		f.Sampling, f.SamplingSource = 0, weir.SamplingUnknown
	}
	f.InputIf, f.OutputIf = in.index(), out.index()
	f.Domain, f.Exporter = g.agent.key.sub, g.agent.key.addr
	if f.VLAN = h.VLAN; f.VLAN == 0 {
		f.VLAN = vlan
	}
	f.TCPFlags, f.RevTCPFlags = h.Flags, 0
	f.Proto = h.Proto
	known := weir.HasPackets | weir.HasBytes
	if h.HasPorts {
		known |= weir.HasPorts
	}
	if h.HasFlags {
		known |= weir.HasFlags
	}
	if h.Fragment {
		known |= weir.IsFragment
	}
	f.Known = known
	f.Action, f.Initiator = out.action(), weir.InitiatorUnknown
	f.Format = weir.FormatSFlow
	return dst
}

// iface is an interface of a sample: a format and a value.
type iface struct{ format, value uint32 }

// compact reads the form of both in 32 bits: the two high bits are the format.
func compact(v uint32) iface { return iface{v >> 30, v & 0x3fffffff} }

// index is the SNMP index, 0 for a dropped packet, for more than one interface
// and for the agent itself (the highest value).
func (i iface) index() uint32 {
	if i.format != 0 || i.value == 0x3fffffff {
		return 0
	}
	return i.value
}

// action is deny when the packet was dropped by a rule: an access list (258),
// or what the codes of ICMP destination unreachable call prohibited (9, 10,
// 13). Other drops, for lack of a route or of room, are no rule.
func (i iface) action() weir.Action {
	if i.format == 1 {
		switch i.value {
		case 9, 10, 13, 258:
			return weir.ActionDeny
		}
	}
	return weir.ActionUnknown
}

// link maps the protocols of a raw header; false for those that are not read.
func link(protocol uint32) (packet.Link, bool) {
	switch protocol {
	case 1:
		return packet.Ethernet, true
	case 7, 14: // PPP, PPP over SONET
		return packet.PPP, true
	case 11, 12: // IPv4, IPv6
		return packet.RawIP, true
	case 13:
		return packet.MPLS, true
	}
	return 0, false
}

// rawHeader reads a record with the first bytes of the packet. parsed tells
// that it has an IP header; total is then the length of the IP packet. ok is
// false when the record contradicts itself.
func rawHeader(h *packet.Header, b []byte) (total uint64, parsed, ok bool) {
	if len(b) < headerRecord {
		return 0, false, false
	}
	length := int(binary.BigEndian.Uint32(b[12:]))
	if length > len(b)-headerRecord {
		return 0, false, false
	}
	l, known := link(binary.BigEndian.Uint32(b))
	if !known {
		return 0, false, true
	}
	if packet.Parse(l, b[headerRecord:headerRecord+length], h) != nil {
		return 0, false, true
	}
	// A packet that was cut, but whose IP packet seems to end within what is
	// left, has no length in its header (segmentation offload): its length is
	// that of the frame without what is not IP.
	whole := int64(binary.BigEndian.Uint32(b[4:])) - int64(binary.BigEndian.Uint32(b[8:]))
	if whole > int64(length) && h.Length <= length {
		return uint64(whole - int64(length-h.Length)), true, true //nolint:gosec // positive
	}
	return uint64(h.Length), true, true //nolint:gosec // not negative
}

// sampledIPv4 reads a record with the fields of an IPv4 header.
func sampledIPv4(h *packet.Header, b []byte) bool {
	if len(b) < ipv4Record {
		return false
	}
	sampledIP(h, b, netip.AddrFrom4([4]byte(b[8:12])), netip.AddrFrom4([4]byte(b[12:16])), b[16:28])
	return true
}

// sampledIPv6 reads a record with the fields of an IPv6 header.
func sampledIPv6(h *packet.Header, b []byte) bool {
	if len(b) < ipv6Record {
		return false
	}
	sampledIP(h, b, netip.AddrFrom16([16]byte(b[8:24])).Unmap(), netip.AddrFrom16([16]byte(b[24:40])).Unmap(), b[40:52])
	return true
}

// sampledIP sets h from the protocol in b, and ports and flags in l4. Ports of
// zero on both sides are those of a fragment.
func sampledIP(h *packet.Header, b []byte, src, dst netip.Addr, l4 []byte) {
	*h = packet.Header{Proto: uint8(binary.BigEndian.Uint32(b[4:]))}                             //nolint:gosec // the number has 8 bits
	sport, dport := uint16(binary.BigEndian.Uint32(l4)), uint16(binary.BigEndian.Uint32(l4[4:])) //nolint:gosec // ports have 16 bits
	switch h.Proto {
	case weir.ProtoTCP:
		h.HasFlags = true
		h.Flags = uint16(binary.BigEndian.Uint32(l4[8:])) & 0x0fff //nolint:gosec // 12 bits
		fallthrough
	case weir.ProtoUDP, 33, 132, 136: // DCCP, SCTP, UDP-Lite
		h.HasPorts = sport|dport != 0
	default:
		// ICMP included: the record has no room for its type and code.
		sport, dport = 0, 0
	}
	h.Src, h.Dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
}

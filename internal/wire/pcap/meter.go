package pcap

import (
	"net/netip"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/packet"
)

// MeterOptions are the limits of a meter; zero values take the defaults.
type MeterOptions struct {
	// MaxFlows is the most flows that are open at once, default 262144. When
	// a packet needs one more, the flow whose last packet is the oldest is
	// ended before its time.
	MaxFlows int
	// IdleTCP and Idle end a flow after so long without a packet: TCP, and
	// everything else. Defaults 120 s and 60 s.
	IdleTCP, Idle time.Duration
	// Active ends a flow that lasts so long, and goes on with a new record of
	// the same flow. Default 300 s.
	Active time.Duration
}

func (o *MeterOptions) defaults() {
	if o.MaxFlows <= 0 {
		o.MaxFlows = 1 << 18
	}
	if o.IdleTCP <= 0 {
		o.IdleTCP = 120 * time.Second
	}
	if o.Idle <= 0 {
		o.Idle = 60 * time.Second
	}
	if o.Active <= 0 {
		o.Active = 300 * time.Second
	}
}

// linger is how long a closed TCP flow stays open for stray packets: the last
// acknowledgement, and segments that were under way.
const linger = 10 * time.Second

// Meter groups packets into bidirectional flows, as a flow exporter without
// sampling does.
//
// A flow is a pair of ends and a protocol. A TCP flow ends with a reset, or when both
// sides have finished, and a SYN after that, or after the connection was
// established, begins a new one. Flows end when they are idle, and are cut into pieces
// when they are long. Of ICMP, a query and its reply are one flow and every
// other message is a flow by itself in one direction; so is a fragment with an
// offset above zero, which has no ports.
//
// Who opened a flow is known from the SYN or SYN-ACK of TCP, and is the sender
// of the first packet for other protocols (of a lone ICMP reply: its receiver).
// The record then runs from the initiator to the other end. TCP that is seen
// from the middle has no known initiator and runs from the first sender.
type Meter struct {
	o       MeterOptions
	flows   map[flowKey]int32
	entries []entry
	free    int32 // head of the list of free entries, linked by next
	queues  [queueCount]queue
	now     int64 // highest packet time
	evicted int64
}

// flowKey identifies a flow in both directions without pointers.
type flowKey struct {
	a, b         [16]byte
	aPort, bPort uint16
	proto        uint8
	kind         uint8
}

// Bits of flowKey.kind.
const (
	kindFragment = 1 << iota
	kindOneWay
)

// The queues of open flows, each in the order of the last packet, so that what
// has expired is at its head.
const (
	queueOther = iota
	queueTCP
	queueClosed
	queueCount
)

type queue struct{ head, tail int32 }

const none = int32(-1)

// side are the counts of one direction of a flow.
type side struct {
	packets, bytes uint64
	flags          uint16
	fin, ack       bool // over the whole life, not only of this piece
}

type entry struct {
	key        flowKey
	src, dst   netip.AddrPort
	out, in    side // src to dst, dst to src
	start, end int64
	touched    int64 // meter time of the last packet
	prev, next int32
	vlan       uint16
	proto      uint8
	queue      uint8
	initiator  weir.Initiator
	ports      bool
	noFlags    bool // some packet was cut before its flags
	fragment   bool
	closed     bool
}

// NewMeter returns an empty meter.
func NewMeter(o MeterOptions) *Meter {
	o.defaults()
	m := &Meter{o: o, flows: make(map[flowKey]int32), free: none}
	for i := range m.queues {
		m.queues[i] = queue{none, none}
	}
	return m
}

// Len returns the number of open flows.
func (m *Meter) Len() int { return len(m.flows) }

// Evicted returns how many flows were ended early because the table was full.
func (m *Meter) Evicted() int64 { return m.evicted }

// Watermark returns a time before which no flow ends that is still to come,
// as long as the packets are in the order of time: the highest time seen less
// the longest idle time. It is zero before the first packet.
func (m *Meter) Watermark() int64 {
	if m.now == 0 {
		return 0
	}
	return max(0, m.now-int64(max(m.o.Idle, m.o.IdleTCP)))
}

// Add counts a packet of time t (Unix ns) and appends the flows that have ended
// until then to dst.
func (m *Meter) Add(t int64, h *packet.Header, dst []weir.Flow) []weir.Flow {
	m.now = max(m.now, t)
	dst = m.expire(dst)
	key := keyOf(h)
	id, ok := m.flows[key]
	if ok && h.HasFlags && m.reopens(id, h) {
		dst = m.finish(id, dst)
		ok = false
	}
	if ok && t-m.entries[id].start >= int64(m.o.Active) {
		dst = m.split(id, t, dst)
	}
	if !ok {
		if len(m.flows) >= m.o.MaxFlows {
			dst = m.evict(dst)
		}
		id = m.open(key, t, h)
	}
	m.count(id, t, h)
	return dst
}

// Flush appends all open flows to dst, in the order of their last packets by
// protocol, and forgets them.
func (m *Meter) Flush(dst []weir.Flow) []weir.Flow {
	for q := range m.queues {
		for m.queues[q].head != none {
			dst = m.finish(m.queues[q].head, dst)
		}
	}
	return dst
}

// keyOf returns the key of the flow of a packet: the same for both directions,
// except for messages that have no answer.
func keyOf(h *packet.Header) flowKey {
	src, dst := h.Src.Addr(), h.Dst.Addr()
	key := flowKey{a: src.As16(), b: dst.As16(), aPort: h.Src.Port(), bPort: h.Dst.Port(), proto: h.Proto}
	switch {
	case h.Fragment:
		key.kind |= kindFragment | kindOneWay
		return key
	case isICMP(h.Proto) && h.HasPorts:
		query, _, ok := icmpQuery(h)
		if !ok {
			key.kind |= kindOneWay
			return key
		}
		key.bPort = query
		if c := src.Compare(dst); c > 0 {
			key.a, key.b = key.b, key.a
		}
		return key
	}
	if c := src.Compare(dst); c > 0 || c == 0 && key.aPort > key.bPort {
		key.a, key.b = key.b, key.a
		key.aPort, key.bPort = key.bPort, key.aPort
	}
	return key
}

func isICMP(proto uint8) bool { return proto == weir.ProtoICMP || proto == weir.ProtoICMPv6 }

// icmpQuery returns the destination port (type*256+code) of the query that an
// ICMP message belongs to, and whether the message is the reply. It is false
// for messages that are neither. Sources: RFC 792 (echo, timestamp), RFC 950
// (address mask), RFC 4443 (ICMPv6 echo).
func icmpQuery(h *packet.Header) (query uint16, reply, ok bool) {
	code := uint16(h.ICMPCode)
	if h.Proto == weir.ProtoICMPv6 {
		switch h.ICMPType {
		case 128, 129:
			return 128<<8 | code, h.ICMPType == 129, true
		}
		return 0, false, false
	}
	switch h.ICMPType {
	case 8, 0:
		return 8<<8 | code, h.ICMPType == 0, true
	case 13, 14, 17, 18:
		return uint16(h.ICMPType-(h.ICMPType-13)&1)<<8 | code, (h.ICMPType-13)&1 == 1, true
	}
	return 0, false, false
}

// reopens reports whether a packet of the flow's key belongs to a new
// connection: a SYN after the end of the old one, or after its sender has
// acknowledged data of the old one.
func (m *Meter) reopens(id int32, h *packet.Header) bool {
	e := &m.entries[id]
	if h.Flags&(weir.SYN|weir.ACK|weir.RST|weir.FIN) != weir.SYN {
		return false
	}
	if e.closed {
		return true
	}
	from := &e.out
	if h.Src != e.src {
		from = &e.in
	}
	return from.ack
}

// open makes the entry of a new flow whose first packet is h.
func (m *Meter) open(key flowKey, t int64, h *packet.Header) int32 {
	id := m.free
	if id != none {
		m.free = m.entries[id].next
	} else {
		id = int32(len(m.entries)) //nolint:gosec // MaxFlows is far below
		m.entries = append(m.entries, entry{})
	}
	e := &m.entries[id]
	*e = entry{
		key: key, src: h.Src, dst: h.Dst, start: t, end: t, prev: none, next: none,
		vlan: h.VLAN, proto: h.Proto, ports: h.HasPorts, fragment: h.Fragment, queue: queueOther,
	}
	flip := false
	switch {
	case h.Proto == weir.ProtoTCP && !h.Fragment:
		e.queue = queueTCP
		if h.HasFlags && h.Flags&weir.SYN != 0 {
			e.initiator = weir.InitiatorSrc
			flip = h.Flags&weir.ACK != 0
		}
	case h.Fragment:
	case isICMP(h.Proto):
		if query, reply, ok := icmpQuery(h); ok && h.HasPorts {
			e.initiator = weir.InitiatorSrc
			e.dst = netip.AddrPortFrom(e.dst.Addr(), query)
			if flip = reply; reply {
				e.src, e.dst = netip.AddrPortFrom(e.src.Addr(), query), netip.AddrPortFrom(e.dst.Addr(), 0)
			}
		}
	default:
		e.initiator = weir.InitiatorSrc
	}
	if flip {
		e.src, e.dst = e.dst, e.src
	}
	m.flows[key] = id
	m.push(id)
	return id
}

// count adds a packet to a flow.
func (m *Meter) count(id int32, t int64, h *packet.Header) {
	e := &m.entries[id]
	to := &e.out
	if !m.fromSrc(e, h) {
		to = &e.in
	}
	to.packets++
	to.bytes += uint64(max(h.Length, 0))
	e.start, e.end = min(e.start, t), max(e.end, t)
	queue := e.queue
	if queue != queueOther {
		if h.HasFlags {
			to.flags |= h.Flags
			to.ack = to.ack || h.Flags&(weir.ACK|weir.SYN) == weir.ACK
			to.fin = to.fin || h.Flags&weir.FIN != 0
			if h.Flags&weir.RST != 0 || e.out.fin && e.in.fin {
				e.closed = true
				queue = queueClosed
			}
		} else {
			e.noFlags = true
		}
	}
	m.unlink(id)
	e.queue = queue
	e.touched = m.now
	m.push(id)
}

// fromSrc tells whether a packet runs from the source of the flow.
func (m *Meter) fromSrc(e *entry, h *packet.Header) bool {
	if e.key.kind&kindOneWay != 0 {
		return true
	}
	if isICMP(e.proto) {
		if e.src.Addr() == e.dst.Addr() { // a host that asks itself
			_, reply, _ := icmpQuery(h)
			return !reply
		}
		return h.Src.Addr() == e.src.Addr()
	}
	return h.Src == e.src
}

// expire ends the flows that have been idle for too long.
func (m *Meter) expire(dst []weir.Flow) []weir.Flow {
	for q, idle := range [queueCount]time.Duration{m.o.Idle, m.o.IdleTCP, min(linger, m.o.IdleTCP)} {
		for {
			id := m.queues[q].head
			if id == none || m.now-m.entries[id].touched < int64(idle) {
				break
			}
			dst = m.finish(id, dst)
		}
	}
	return dst
}

// evict ends the flow whose last packet is the oldest.
func (m *Meter) evict(dst []weir.Flow) []weir.Flow {
	oldest := none
	for q := range m.queues {
		id := m.queues[q].head
		if id != none && (oldest == none || m.entries[id].touched < m.entries[oldest].touched) {
			oldest = id
		}
	}
	if oldest == none {
		return dst
	}
	m.evicted++
	return m.finish(oldest, dst)
}

// split emits what a long flow has counted and begins its next piece at t.
func (m *Meter) split(id int32, t int64, dst []weir.Flow) []weir.Flow {
	e := &m.entries[id]
	dst = append(dst, e.flow())
	e.start, e.end = t, t
	for _, s := range []*side{&e.out, &e.in} {
		s.packets, s.bytes, s.flags = 0, 0, 0
	}
	e.noFlags = false
	return dst
}

// finish emits a flow and forgets it.
func (m *Meter) finish(id int32, dst []weir.Flow) []weir.Flow {
	e := &m.entries[id]
	dst = append(dst, e.flow())
	m.unlink(id)
	delete(m.flows, e.key)
	e.next = m.free
	m.free = id
	return dst
}

// flow is the record of what e has counted.
func (e *entry) flow() weir.Flow {
	f := weir.Flow{
		Start: e.start, End: e.end, Src: e.src, Dst: e.dst,
		Packets: e.out.packets, Bytes: e.out.bytes, RevPackets: e.in.packets, RevBytes: e.in.bytes,
		VLAN: e.vlan, Proto: e.proto, Known: weir.HasPackets | weir.HasBytes | weir.HasReverse,
		Sampling: 1, SamplingSource: weir.SamplingFormat, Initiator: e.initiator, Format: weir.FormatPcap,
	}
	if e.ports {
		f.Known |= weir.HasPorts
	}
	if e.fragment {
		f.Known |= weir.IsFragment
	}
	if e.proto == weir.ProtoTCP && !e.fragment && !e.noFlags {
		f.Known |= weir.HasFlags | weir.HasRevFlags
		f.TCPFlags, f.RevTCPFlags = e.out.flags, e.in.flags
	}
	return f
}

func (m *Meter) push(id int32) {
	e := &m.entries[id]
	q := &m.queues[e.queue]
	e.prev, e.next = q.tail, none
	if q.tail != none {
		m.entries[q.tail].next = id
	} else {
		q.head = id
	}
	q.tail = id
}

func (m *Meter) unlink(id int32) {
	e := &m.entries[id]
	q := &m.queues[e.queue]
	if e.prev != none {
		m.entries[e.prev].next = e.next
	} else {
		q.head = e.next
	}
	if e.next != none {
		m.entries[e.next].prev = e.prev
	} else {
		q.tail = e.prev
	}
}

package scenario

import (
	"net/netip"
	"time"

	"github.com/weir-net/weir"
)

// Timeouts of the flow cache that meters the sampled packets: those that
// routers are commonly set to.
const (
	activeTimeout = int64(time.Minute)
	idleTimeout   = int64(15 * time.Second)
)

// Sizes of packets without data, in IP bytes.
const (
	sizeSYN = 60 // with the options of a usual SYN
	sizeACK = 52
	sizeRST = 40
)

// packet is one packet of a connection.
type packet struct {
	at      int64 // Unix ns
	replies bool  // sent by the server
	size    uint64
	flags   uint16
}

// connection is what is fixed before its packets are looked at.
type connection struct {
	t          *traffic
	start      int64
	fromClient uint64 // packets
	fromServer uint64
}

// total returns the number of packets.
func (c *connection) total() uint64 { return c.fromClient + c.fromServer }

// draw draws the numbers of packets of one connection.
func (c *connection) draw(r random) {
	t := c.t
	c.fromClient, c.fromServer = 0, 0
	switch t.shape.plan {
	case planSession, planPairs:
		c.fromClient, c.fromServer = r.in(t.p.packets), r.in(t.p.replies)
	case planSYN, planOneWay:
		c.fromClient = r.in(t.p.packets)
	case planRefused:
		c.fromClient, c.fromServer = 1, 1
	case planHalf:
		c.fromClient, c.fromServer = 2, 1
	case planFlood: // its packets are no connection
	}
}

// roundTrip is the time between a packet and the answer to it.
const roundTrip = uint64(20 * time.Millisecond)

// packet returns the i-th packet of the connection. Packets are in order of
// time.
func (c *connection) packet(i uint64, r random) packet {
	p := &c.t.p
	lasts := uint64(p.lasts)                                    //nolint:gosec // never negative
	after := func(d uint64) int64 { return c.start + int64(d) } //nolint:gosec // at most maxDays
	n := c.total()
	switch c.t.shape.plan {
	case planSYN:
		return packet{at: after(resend(i)), size: p.size, flags: weir.SYN}
	case planRefused, planHalf:
		at := after(mulDiv(lasts, i, max(n-1, 1)))
		switch {
		case i == 0:
			return packet{at: at, size: p.size, flags: weir.SYN}
		case i == 1 && c.t.shape.plan == planHalf:
			return packet{at: at, replies: true, size: sizeSYN, flags: weir.SYN | weir.ACK}
		case i == 1:
			return packet{at: at, replies: true, size: sizeRST, flags: weir.RST | weir.ACK}
		}
		return packet{at: at, size: sizeRST, flags: weir.RST}
	case planOneWay, planPairs:
		k := packet{at: after(mulDiv(lasts, i, max(n-1, 1)))}
		// Requests come first: the shares of both sides are rounded up.
		if k.replies = up(i+1, c.fromClient, n) == up(i, c.fromClient, n); k.replies {
			k.size = vary(p.replySize, r)
		} else {
			k.size = vary(p.size, r)
		}
		return k
	case planSession, planFlood:
	}
	return c.sessionPacket(i, r)
}

// sessionPacket returns a packet of a connection with handshake and end.
func (c *connection) sessionPacket(i uint64, r random) packet {
	p := &c.t.p
	n, lasts := c.total(), uint64(c.t.p.lasts) //nolint:gosec // never negative
	rtt := min(roundTrip, lasts/8)
	after := func(d uint64) int64 { return c.start + int64(d) } //nolint:gosec // at most maxDays
	switch i {
	case 0:
		return packet{at: after(0), size: sizeSYN, flags: weir.SYN}
	case 1:
		return packet{at: after(rtt), replies: true, size: sizeSYN, flags: weir.SYN | weir.ACK}
	case n - 2:
		return packet{at: after(lasts), size: sizeACK, flags: weir.FIN | weir.ACK}
	case n - 1:
		return packet{at: after(lasts + rtt), replies: true, size: sizeACK, flags: weir.FIN | weir.ACK}
	}
	k, m := i-2, n-4
	q := packet{at: after(rtt + mulDiv(lasts-rtt, k+1, m+1)), flags: weir.ACK}
	mine := c.fromClient - 2
	if q.replies = up(k+1, mine, m) == up(k, mine, m); q.replies {
		q.size = vary(p.replySize, r)
	} else {
		q.size = vary(p.size, r)
	}
	if q.size > sizeACK {
		q.flags |= weir.PSH
	}
	return q
}

// up returns i*share/n, rounded up.
func up(i, share, n uint64) uint64 { return (i*share + n - 1) / n }

// vary returns a size around a mean, by up to two fifths.
func vary(mean uint64, r random) uint64 {
	return max(mean-mean*2/5+r.below(mean*4/5+1), 40)
}

// resend returns when the i-th SYN is sent: after 1, 3, 7 … 63 seconds, then
// every minute (RFC 6298, section 5: the timer doubles).
func resend(i uint64) uint64 {
	const limit = 6
	s := uint64(1)<<min(i, limit) - 1
	if i > limit {
		s += (i - limit) * 60
	}
	return s * uint64(time.Second)
}

// meter turns the packets of one connection into records.
type meter struct {
	l              *line
	client, server netip.AddrPort
	open           [2]weir.Flow // by direction; Packets 0 is none
}

// add counts a packet. Records end after a minute, or after 15 s without a
// packet.
func (m *meter) add(p packet) {
	d := 0
	if p.replies && !m.l.s.Bidirectional {
		d = 1
	}
	f := &m.open[d]
	if f.Packets+f.RevPackets > 0 && (p.at-f.Start >= activeTimeout || p.at-f.End >= idleTimeout) {
		m.flush(d)
	}
	if f.Packets+f.RevPackets == 0 {
		*f = m.l.record(m.client, m.server, p.at)
		if d == 1 {
			f.Src, f.Dst = f.Dst, f.Src
			if f.Proto == weir.ProtoICMP || f.Proto == weir.ProtoICMPv6 {
				f.Src, f.Dst = netip.AddrPortFrom(f.Src.Addr(), 0), netip.AddrPortFrom(f.Dst.Addr(), echoReply(f.Proto))
			}
		}
	}
	f.End = p.at
	if p.replies && d == 0 {
		f.RevPackets++
		f.RevBytes += p.size
		f.RevTCPFlags |= p.flags
		return
	}
	f.Packets++
	f.Bytes += p.size
	f.TCPFlags |= p.flags
}

// flush emits a record.
func (m *meter) flush(d int) {
	if f := &m.open[d]; f.Packets+f.RevPackets > 0 {
		m.l.emit(f)
		*f = weir.Flow{}
	}
}

// ICMP messages as destination ports, type*256+code (RFC 792, RFC 4443).
func echoRequest(proto uint8) uint16 {
	if proto == weir.ProtoICMPv6 {
		return 128 << 8
	}
	return 8 << 8
}

func echoReply(proto uint8) uint16 {
	if proto == weir.ProtoICMPv6 {
		return 129 << 8
	}
	return 0
}

package scenario

import (
	"net/netip"
	"time"

	"github.com/weir-net/weir"
)

// pick says how one of several addresses is chosen for a connection.
type pick uint8

const (
	inTurn   pick = iota // one after another
	eachOne              // all of them, every time
	randomly             // any, by the seed
)

// side of a traffic line: addresses without gaps.
type hosts struct {
	first netip.Addr
	n     uint64 // number of addresses, at least 1
	pick  pick
}

// at returns the i-th address.
func (h *hosts) at(i uint64) netip.Addr {
	if i == 0 {
		return h.first
	}
	b := h.first.As16()
	for k := 15; k >= 0 && i > 0; k-- {
		i += uint64(b[k])
		b[k] = byte(i) //nolint:gosec // the low byte is meant
		i >>= 8
	}
	a := netip.AddrFrom16(b)
	if h.first.Is4() {
		return a.Unmap()
	}
	return a
}

// span is a range of numbers, both ends included.
type numbers struct{ low, high uint64 }

// repeat says on which days a line of traffic happens.
type repeat uint8

const (
	once     repeat = iota // on one day
	daily                  // on all days
	weekdays               // Monday to Friday
)

// traffic is one line: connections of one shape from somewhere to somewhere.
type traffic struct {
	line, col int

	repeat repeat
	day    int           // from 0, for once
	at     time.Duration // offset in the day
	every  time.Duration // between two rounds, positive
	count  uint64        // rounds, at least 1
	jitter uint64        // percent of every, 0 to 100
	random bool          // the times between rounds are exponential

	from, to hosts
	ports    []numbers // destination ports, in turn; empty for ICMP
	portN    uint64    // how many ports these are
	proto    uint8
	shape    *shape
	p        params
	sampling uint32 // 1-in-N, 0: that of the scenario
	hidden   bool   // the records do not tell the rate
	oneWay   bool   // answers are not exported
}

// span is the nominal time from the first round to the end of the last.
func (t *traffic) span() time.Duration { return t.every * time.Duration(t.count) } //nolint:gosec // the parser bounds the count

// days returns the days, from 0, on which the line happens.
func (t *traffic) days(s *Scenario) []int {
	if t.repeat == once {
		return []int{t.day}
	}
	var out []int
	for d := range s.Days {
		wd := s.Start.AddDate(0, 0, d).Weekday()
		if t.repeat == daily || wd != time.Saturday && wd != time.Sunday {
			out = append(out, d)
		}
	}
	return out
}

// sameEnds reports whether all packets of a flood have the same ends.
func (t *traffic) sameEnds() bool {
	return t.from.n == 1 && t.to.n == 1 && (t.proto == weir.ProtoICMP || t.p.sport != 0 && t.portN <= 1)
}

// connections returns how many connections a round makes. A flood is one: each
// of its packets chooses for itself.
func (t *traffic) connections() uint64 {
	if t.shape.plan == planFlood {
		return 1
	}
	n := uint64(1)
	if t.from.pick == eachOne {
		n *= t.from.n
	}
	if t.to.pick == eachOne {
		n *= t.to.n
	}
	return n
}

// port returns the i-th destination port.
func (t *traffic) port(i uint64) uint16 {
	if t.portN == 0 {
		return 0
	}
	i %= t.portN
	for _, r := range t.ports {
		if n := r.high - r.low + 1; i >= n {
			i -= n
			continue
		}
		return uint16(r.low + i) //nolint:gosec // ports are checked when read
	}
	return 0
}

// params are the numbers of a shape; those that a line does not name come from
// the shape, or from the service of the port.
type params struct {
	packets, replies numbers // of the client, of the server
	size, replySize  uint64  // mean IP length of packets with data, in bytes
	lasts            time.Duration
	pps              uint64 // of floods
	flags            uint16
	sport            uint16 // 0 is any ephemeral port
}

// shape is a kind of connection.
type shape struct {
	name   string
	protos []uint8
	plan   plan
	p      params
	// takes are the parameters that a line may set.
	takes []string
}

// plan is how the packets of a shape follow one another.
type plan uint8

const (
	planSession plan = iota // handshake, data both ways, both sides finish
	planSYN                 // SYN, repeated, no answer
	planRefused             // SYN, RST
	planHalf                // SYN, SYN-ACK, RST
	planOneWay              // packets of the client only
	planPairs               // requests and answers without a handshake
	planFlood               // packets at a rate, each from another port
)

// login is the number of client packets of a failed login and their mean IP
// length, by port. Source: detection reference, section 5.
func login(port uint16) (packets numbers, size uint64) {
	switch port {
	case 22, 2222, 22222:
		return numbers{11, 15}, 140
	case 3389:
		return numbers{26, 34}, 110
	case 3306, 33060:
		return numbers{4, 6}, 75
	case 5432, 5433:
		return numbers{7, 9}, 75
	case 1433:
		return numbers{8, 10}, 120
	case 1521:
		return numbers{10, 14}, 120
	case 21:
		return numbers{11, 15}, 57
	case 23, 2323:
		return numbers{13, 17}, 60
	}
	return numbers{8, 12}, 100
}

// shapes are the kinds of connections that a line may name.
func shapes() []shape {
	tcp, udp, icmp := []uint8{weir.ProtoTCP}, []uint8{weir.ProtoUDP}, []uint8{weir.ProtoICMP}
	session := []string{"packets", "replies", "size", "reply-size", "lasts", "sport"}
	return []shape{
		{"login", tcp, planSession, params{replySize: 120, lasts: 2 * time.Second}, session},
		{"web", tcp, planSession, params{
			packets: numbers{6, 14}, replies: numbers{8, 30}, size: 250, replySize: 1100, lasts: 800 * time.Millisecond,
		}, session},
		{"beacon", tcp, planSession, params{
			packets: numbers{5, 5}, replies: numbers{5, 5}, size: 160, replySize: 160, lasts: 300 * time.Millisecond,
		}, session},
		{"session", tcp, planSession, params{
			packets: numbers{3000, 3000}, replies: numbers{3000, 3000}, size: 90, replySize: 160, lasts: time.Hour,
		}, session},
		{"bulk", tcp, planSession, params{
			packets: numbers{20000, 20000}, replies: numbers{10000, 10000}, size: 1450, replySize: 52, lasts: 5 * time.Minute,
		}, session},
		{"syn", tcp, planSYN, params{packets: numbers{1, 1}, size: 60}, []string{"packets", "sport"}},
		{"probe", tcp, planRefused, params{size: 60, lasts: 20 * time.Millisecond}, []string{"sport"}},
		{"half", tcp, planHalf, params{size: 60, lasts: 40 * time.Millisecond}, []string{"sport"}},
		{"flood", []uint8{weir.ProtoTCP, weir.ProtoUDP, weir.ProtoICMP}, planFlood, params{size: 60},
			[]string{"size", "flags", "sport"}},
		{"exchange", udp, planPairs, params{
			packets: numbers{1, 1}, replies: numbers{1, 1}, size: 70, replySize: 180, lasts: 30 * time.Millisecond,
		}, session},
		{"stream", udp, planOneWay, params{packets: numbers{1000, 1000}, size: 1200, lasts: time.Minute},
			[]string{"packets", "size", "lasts", "sport"}},
		{"ping", icmp, planPairs, params{
			packets: numbers{1, 1}, replies: numbers{1, 1}, size: 84, replySize: 84, lasts: 20 * time.Millisecond,
		}, []string{"packets", "replies", "size"}},
	}
}

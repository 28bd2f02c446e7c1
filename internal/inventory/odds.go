package inventory

import (
	weir "github.com/weir-net/weir"
)

// Terms of the log-odds that the source of a record is the client. Source:
// detection reference, section 4.1. The term of learnt listeners belongs to the
// detectors; the term of the first-seen direction needs state and full packet
// capture and is not used.
const (
	oddsExporter  = 4.0 // the exporter says so
	oddsSYN       = 3.0 // SYN without ACK, or a single SYN+ACK from the server
	oddsListener  = 2.0 // a listener that the inventory or the table knows
	oddsService   = 1.5 // a service port on exactly one side
	oddsEphemeral = 1.0 // a port from 32768 against one below 1024
	oddsHighPort  = 0.5 // a port from 32768 against one below 32768
	oddsReset     = 0.5 // a RST comes from the server
)

// decided is the magnitude of the log-odds from which a side is taken as the
// client. Source: detection reference, section 4.1.
const decided = 1.5

// First ports of the two ranges of the ephemeral term.
const (
	ephemeralFrom = 32768
	wellKnownEnd  = 1024
)

const protoSCTP = 132

// odds works out the log-odds of orientation. What a term says is looked up in
// tables, which are made from the functions below: its cases follow each other
// without a pattern, so that branches would cost more than the rest.
type odds struct {
	ports *portBits
	// segment is segmentOdds by whether there is one packet, and flags.
	segment [2][segmentFlags + 1]float64
	// sides is sideOdds by its arguments, the first in the lowest bit.
	sides [64]float64
	// heights is heightOdds by the heights of both ports.
	heights [3][3]float64
}

func compileOdds(services ServicePorts) *odds {
	o := &odds{ports: compilePorts(services)}
	for flags := range uint16(segmentFlags + 1) {
		o.segment[0][flags], o.segment[1][flags] = segmentOdds(flags, false), segmentOdds(flags, true)
	}
	for i := range o.sides {
		is := func(bit int) bool { return i>>bit&1 != 0 }
		o.sides[i] = sideOdds(is(0), is(1), is(2), is(3), is(4), is(5))
	}
	for src := range o.heights {
		for dst := range o.heights[src] {
			o.heights[src][dst] = heightOdds(src, dst)
		}
	}
	return o
}

// of sums the evidence that the source of the record is the client. The owners of
// its ends are nil where they are not protected.
func (o *odds) of(f *weir.Flow, src, dst *owner) float64 {
	return o.sum(f, src != nil, dst != nil, src, dst)
}

// ofOne is of for a flow with one protected end, that it be the client.
func (o *odds) ofOne(f *weir.Flow, own *owner, isSrc bool) float64 {
	sum := o.sum(f, isSrc, !isSrc, own, own)
	if !isSrc {
		sum = -sum
	}
	return sum
}

// sum is of with owners that count where the ends are protected.
func (o *odds) sum(f *weir.Flow, srcOwned, dstOwned bool, src, dst *owner) float64 {
	var sum float64
	switch f.Initiator {
	case weir.InitiatorSrc:
		sum += oddsExporter
	case weir.InitiatorDst:
		sum -= oddsExporter
	case weir.InitiatorUnknown:
	}
	sum += o.flags(f)
	if f.Known&(weir.HasPorts|weir.IsFragment) != weir.HasPorts || !hasPorts(f.Proto) {
		return sum
	}
	sp, dp := f.Src.Port(), f.Dst.Port()
	if sp == dp || sp == 0 || dp == 0 {
		return sum // a port that is the same on both sides tells nothing
	}
	services := o.ports.of(f.Proto)
	i := bit(services.has(sp)) | bit(services.has(dp))<<1 | bit(srcOwned)<<4 | bit(dstOwned)<<5
	if srcOwned && src.listens(f.Proto, sp) {
		i |= 1 << 2
	}
	if dstOwned && dst.listens(f.Proto, dp) {
		i |= 1 << 3
	}
	return sum + (o.sides[i&63] + o.heights[height(sp)][height(dp)])
}

// bit is 1 for true.
func bit(b bool) uint8 {
	var n uint8
	if b {
		n = 1
	}
	return n
}

func hasPorts(proto uint8) bool {
	return proto == weir.ProtoTCP || proto == weir.ProtoUDP || proto == protoSCTP
}

// flags is the evidence of the TCP flags. Both directions of a bidirectional record
// are one piece of evidence, so together they weigh no more than one.
func (o *odds) flags(f *weir.Flow) float64 {
	if !f.Known.Has(weir.HasFlags) {
		return 0
	}
	flags := f.TCPFlags
	if f.Proto != weir.ProtoTCP {
		flags = 0 // says nothing
	}
	single := f.Format == weir.FormatSFlow || f.Known.Has(weir.HasPackets) && f.Packets == 1
	if !f.Known.Has(weir.HasReverse) {
		return o.segment[bit(single)][flags&segmentFlags]
	}
	if f.Proto != weir.ProtoTCP {
		return 0
	}
	if !f.Known.Has(weir.HasRevFlags) {
		// The flags are those of both directions: they can be told apart only
		// when nothing came back.
		if f.Known.Has(weir.HasPackets) && f.RevPackets == 0 {
			return segmentOdds(f.TCPFlags, single)
		}
		return 0
	}
	revSingle := f.Known.Has(weir.HasPackets) && f.RevPackets == 1
	sum := segmentOdds(f.TCPFlags, single) - segmentOdds(f.RevTCPFlags, revSingle)
	return max(-oddsSYN, min(oddsSYN, sum))
}

// segmentFlags are the control bits that say who opened a connection.
const segmentFlags = weir.FIN | weir.SYN | weir.RST | weir.PSH | weir.ACK

// segmentOdds reads the flags of one direction. SYN and ACK together tell nothing
// unless they are known to be of one packet. A RST answers from a closed port,
// where it carries ACK as well (RFC 9293, section 3.10.7.1), so in one packet it
// may.
func segmentOdds(flags uint16, single bool) float64 {
	switch flags & segmentFlags {
	case weir.SYN | weir.ACK:
		if single {
			return -oddsSYN
		}
		return 0
	case weir.RST:
		return -oddsReset
	case weir.RST | weir.ACK:
		if single {
			return -oddsReset
		}
		return 0
	}
	if flags&weir.SYN != 0 && flags&weir.ACK == 0 {
		return oddsSYN
	}
	return 0
}

// sideOdds is the evidence of two ports of which it is known whether they are those
// of a service, whether the inventory names them, and whether their ends are
// protected: the stronger of listener and service port, for one fact must not count
// twice.
func sideOdds(srcService, dstService, srcNamed, dstNamed, srcOwned, dstOwned bool) float64 {
	oneSided := srcService != dstService
	srcListens := srcOwned && (srcNamed || oneSided && srcService)
	dstListens := dstOwned && (dstNamed || oneSided && dstService)
	switch {
	case srcListens && dstListens:
		return 0
	case srcListens:
		return -oddsListener
	case dstListens:
		return oddsListener
	case oneSided && srcService:
		return -oddsService
	case oneSided:
		return oddsService
	}
	return 0
}

// height is 0 for the well-known ports, 2 for those that clients are given, and 1
// between.
func height(port uint16) uint8 { return bit(port >= wellKnownEnd) + bit(port >= ephemeralFrom) }

// heightOdds is the evidence of an ephemeral port on one side.
func heightOdds(src, dst int) float64 {
	high, low, sign := src, dst, 1.0
	if dst > src {
		high, low, sign = dst, src, -1.0
	}
	switch {
	case high < 2 || low == 2:
		return 0
	case low == 0:
		return sign * oddsEphemeral
	}
	return sign * oddsHighPort
}

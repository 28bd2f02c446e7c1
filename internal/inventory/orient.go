package inventory

import (
	"net/netip"
	"sync/atomic"

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

// Orienter turns flows into contacts. It is safe for concurrent use.
type Orienter struct {
	inv   *Inventory
	ports *portBits

	self, ambiguous atomic.Uint64
}

// Counts are the flows and ends that made no contact although they are ours.
// Flows without a protected end are not among them: the caller sees those.
type Counts struct {
	// Self: both ends are addresses of one resource.
	Self uint64
	// Ambiguous counts ends that more than one tenant claims.
	Ambiguous uint64
}

// NewOrienter returns an orienter over one snapshot of the inventory and the
// service table, which is copied.
func NewOrienter(inv *Inventory, services ServicePorts) *Orienter {
	return &Orienter{inv: inv, ports: compilePorts(services)}
}

// Counts returns what made no contact so far.
func (o *Orienter) Counts() Counts {
	return Counts{Self: o.self.Load(), Ambiguous: o.ambiguous.Load()}
}

// Contacts appends the contacts of a flow to dst: none when no end is protected,
// one for every protected end, and one more on the back leg for every load balancer
// through whose pool a protected member was reached, or by whose front address it
// may have spoken to the internet (see the package comment).
//
// LogOdds is that of the own end being the client. A unidirectional record fills
// only the counters of its direction. A bidirectional record fills both; without
// HasRevFlags its flags, which are those of both directions, stand in the counters
// of the direction as exported. Intelligence is not filled in.
func (o *Orienter) Contacts(f *weir.Flow, dst []weir.Contact) []weir.Contact {
	src, sink := o.inv.index.find(f.Src.Addr()), o.inv.index.find(f.Dst.Addr())
	if src == nil && sink == nil {
		return dst
	}
	return o.protected(f, src, sink, dst)
}

func (o *Orienter) protected(f *weir.Flow, src, dstOwner *owner, dst []weir.Contact) []weir.Contact {
	both := src != nil && dstOwner != nil // before the ambiguous ones go: they are ours too
	if src != nil && src.ambiguous {
		o.ambiguous.Add(1)
		src = nil
	}
	if dstOwner != nil && dstOwner.ambiguous {
		o.ambiguous.Add(1)
		dstOwner = nil
	}
	if src == nil && dstOwner == nil {
		return dst
	}
	var srcRes, dstRes *weir.Resource
	if src != nil {
		srcRes = o.inv.resource(src, f.Src.Addr())
	}
	if dstOwner != nil {
		dstRes = o.inv.resource(dstOwner, f.Dst.Addr())
	}
	if srcRes != nil && srcRes == dstRes || src != nil && src == dstOwner && f.Src.Addr() == f.Dst.Addr() {
		o.self.Add(1)
		return dst
	}
	odds := o.logOdds(f, src, dstOwner)
	first := len(dst)
	if src != nil {
		dst = o.end(f, true, odds, src, srcRes, dstOwner, dst)
	}
	if dstOwner != nil {
		dst = o.end(f, false, -odds, dstOwner, dstRes, src, dst)
	}
	for i := first; i < len(dst); i++ {
		dst[i].PeerIsOwn = both
	}
	return dst
}

// end appends the contacts of one protected end.
func (o *Orienter) end(f *weir.Flow, fromOwn bool, odds float64, own *owner, res *weir.Resource, peer *owner, dst []weir.Contact) []weir.Contact {
	c := weir.Contact{
		Resource: res, Own: f.Dst, Peer: f.Src, Start: f.Start, End: f.End,
		LogOdds: float32(odds), Sampling: f.Sampling, SamplingSource: f.SamplingSource,
		Proto: f.Proto, Known: f.Known &^ weir.IsEgress, Action: f.Action, Format: f.Format,
		FromOwn: fromOwn, Exporter: f.Exporter, Domain: f.Domain, Interface: f.InputIf,
	}
	out, in := &c.In, &c.Out // as exported, and reverse, of an incoming record
	if fromOwn {
		c.Own, c.Peer, c.Interface = f.Src, f.Dst, f.OutputIf
		out, in = &c.Out, &c.In
	}
	*out = weir.Counters{Packets: f.Packets, Bytes: f.Bytes, Flags: f.TCPFlags}
	if f.Known.Has(weir.HasReverse) {
		*in = weir.Counters{Packets: f.RevPackets, Bytes: f.RevBytes}
		if f.Known.Has(weir.HasRevFlags) {
			in.Flags = f.RevTCPFlags
		}
	}
	c.Allowed = o.inv.Allowed(c.Peer.Addr(), f.End)

	if peer != nil && (own.memberOf(peer.res) || peer.memberOf(own.res)) {
		c.Leg = weir.BackLeg
		if peer.memberOf(own.res) {
			c.Member = peer.res.ID
		}
		return append(dst, c)
	}
	if len(own.pools) == 0 || !own.private {
		return append(dst, c)
	}
	pooled := dst
	if odds < decided && f.Known.Has(weir.HasPorts) && hasPorts(f.Proto) {
		for i := range own.pools {
			if p := &own.pools[i]; p.forwards(c.Own.Port()) {
				back := c
				back.Resource, back.Leg, back.Member = p.lb, weir.BackLeg, own.res.ID
				pooled = append(pooled, back)
			}
		}
	}
	reached := len(pooled) > len(dst)
	if !reached && odds > -decided && !own.hasOwn && (peer == nil || !peer.private) {
		// What such a member opens itself may leave by the front address.
		for i := range own.pools {
			if p := &own.pools[i]; p.snat {
				back := c
				back.Resource, back.Leg, back.Member = p.lb, weir.BackLeg, own.res.ID
				pooled = append(pooled, back)
			}
		}
	}
	if !reached || own.hasOwn || privateOnly(f.Format) {
		pooled = append(pooled, c)
	}
	return pooled
}

// privateOnly tells the formats that record the private address of a machine even
// for traffic that came through a load balancer, so that the front leg is never
// seen. Source: Microsoft Learn, "Virtual network flow logs".
func privateOnly(f weir.Format) bool { return f == weir.FormatAzureVNet || f == weir.FormatAzureNSG }

func hasPorts(proto uint8) bool {
	return proto == weir.ProtoTCP || proto == weir.ProtoUDP || proto == protoSCTP
}

// logOdds sums the evidence that the source of the record is the client.
func (o *Orienter) logOdds(f *weir.Flow, src, dst *owner) float64 {
	var sum float64
	switch f.Initiator {
	case weir.InitiatorSrc:
		sum += oddsExporter
	case weir.InitiatorDst:
		sum -= oddsExporter
	case weir.InitiatorUnknown:
	}
	sum += flagOdds(f)
	if f.Known.Has(weir.HasPorts) && !f.Known.Has(weir.IsFragment) && hasPorts(f.Proto) {
		sum += o.portOdds(f.Proto, f.Src, f.Dst, src, dst)
	}
	return sum
}

// flagOdds is the evidence of the TCP flags. Both directions of a bidirectional
// record are one piece of evidence, so together they weigh no more than one.
func flagOdds(f *weir.Flow) float64 {
	if f.Proto != weir.ProtoTCP || !f.Known.Has(weir.HasFlags) {
		return 0
	}
	single := f.Format == weir.FormatSFlow || f.Known.Has(weir.HasPackets) && f.Packets == 1
	if !f.Known.Has(weir.HasReverse) {
		return segmentOdds(f.TCPFlags, single)
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

// segmentOdds reads the flags of one direction. SYN and ACK together tell nothing
// unless they are known to be of one packet. A RST answers from a closed port,
// where it carries ACK as well (RFC 9293, section 3.10.7.1), so in one packet it
// may.
func segmentOdds(flags uint16, single bool) float64 {
	const all = weir.FIN | weir.SYN | weir.RST | weir.PSH | weir.ACK
	switch flags & all {
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

// portOdds is the evidence of the ports: the stronger of listener and service
// port, for one fact must not count twice, and the ephemeral range. A port that is
// the same on both sides tells nothing.
func (o *Orienter) portOdds(proto uint8, src, dst netip.AddrPort, srcOwner, dstOwner *owner) float64 {
	sp, dp := src.Port(), dst.Port()
	if sp == dp || sp == 0 || dp == 0 {
		return 0
	}
	srcService, dstService := o.ports.has(proto, sp), o.ports.has(proto, dp)
	oneSided := srcService != dstService
	srcListens := srcOwner != nil && (srcOwner.listens(proto, sp) || oneSided && srcService)
	dstListens := dstOwner != nil && (dstOwner.listens(proto, dp) || oneSided && dstService)

	var sum float64
	switch {
	case srcListens != dstListens:
		sum = oddsListener
		if srcListens {
			sum = -sum
		}
	case srcListens: // both do
	case oneSided:
		sum = oddsService
		if srcService {
			sum = -sum
		}
	}
	return sum + ephemeralOdds(sp, dp)
}

func ephemeralOdds(sp, dp uint16) float64 {
	high, low, sign := sp, dp, 1.0
	if dp > sp {
		high, low, sign = dp, sp, -1.0
	}
	switch {
	case high < ephemeralFrom || low >= ephemeralFrom:
		return 0
	case low < wellKnownEnd:
		return sign * oddsEphemeral
	}
	return sign * oddsHighPort
}

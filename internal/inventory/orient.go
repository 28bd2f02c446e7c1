package inventory

import (
	"net/netip"
	"slices"
	"sync/atomic"

	weir "github.com/weir-net/weir"
)

// Orienter turns flows into contacts. It is safe for concurrent use.
type Orienter struct {
	inv  *Inventory
	odds *odds

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
	return &Orienter{inv: inv, odds: compileOdds(services)}
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
	m := Match{src: o.inv.index.find(f.Src.Addr()), dst: o.inv.index.find(f.Dst.Addr())}
	if m.src|m.dst == 0 {
		return dst
	}
	return o.Matched(f, m, dst)
}

// Match is a flow of a batch with who owns its ends.
type Match struct {
	// Flow is the index of the flow in the batch.
	Flow     uint32
	src, dst uint32 // numbers of the owners, 0 for none
	plain    bool   // one of them, of whom nothing is odd
}

// Match appends the flows of a batch that have a protected end, in order; the
// others cost no more than looking up two addresses. Match and Matched together do
// what Contacts does flow by flow, but wait for memory once and not at each.
func (o *Orienter) Match(flows []weir.Flow, dst []Match) []Match {
	x := &o.inv.index
	for i := range flows {
		f := &flows[i]
		src, sink := x.sieve.may(f.Src.Addr()), x.sieve.may(f.Dst.Addr())
		if !src && !sink {
			continue
		}
		m := Match{Flow: uint32(i)}
		if src && sink {
			m.src, m.dst = x.sifted(f.Src.Addr()), x.sifted(f.Dst.Addr())
		} else {
			// No branch says which: half of all flows come and half go.
			end := &f.Src
			if sink {
				end = &f.Dst
			}
			n := x.sifted(end.Addr())
			m.src, m.dst = n, 0
			if sink {
				m.src, m.dst = 0, n
			}
		}
		if m.src|m.dst == 0 {
			continue
		}
		m.plain = (m.src == 0 || m.dst == 0) && x.owners[m.src|m.dst].plain()
		dst = append(dst, m)
	}
	return dst
}

// Matched appends the contacts of a flow that matched; see Contacts.
func (o *Orienter) Matched(f *weir.Flow, m Match, dst []weir.Contact) []weir.Contact {
	if m.plain {
		dst, c := extend(dst)
		own, fromOwn := &o.inv.index.owners[m.src|m.dst], m.src != 0
		a := &f.Dst
		if fromOwn {
			a = &f.Src
		}
		c.Resource, c.Key = o.inv.resource(own, a.Addr())
		o.fill(c, f, fromOwn, o.odds.ofOne(f, own, fromOwn))
		return dst
	}
	src, sink := o.end(m.src, f.Src.Addr()), o.end(m.dst, f.Dst.Addr())
	if src.owner == nil && sink.owner == nil {
		return dst
	}
	if src.res != nil && src.res == sink.res || src.owner != nil && src.owner == sink.owner && f.Src.Addr() == f.Dst.Addr() {
		o.self.Add(1)
		return dst
	}
	both := m.src != 0 && m.dst != 0 // the ambiguous ones too: they are ours as well
	odds := o.odds.of(f, src.owner, sink.owner)
	if src.owner != nil {
		dst = o.contact(f, true, both, odds, &src, sink.owner, dst)
	}
	if sink.owner != nil {
		dst = o.contact(f, false, both, -odds, &sink, src.owner, dst)
	}
	return dst
}

// end is one end of a flow that is protected.
type end struct {
	owner *owner
	res   *weir.Resource
	key   uint64 // of the resource
}

// end returns the end of the owner of that number: nobody for number 0, and for an
// address that is ambiguous.
func (o *Orienter) end(n uint32, a netip.Addr) end {
	if n == 0 {
		return end{}
	}
	own := &o.inv.index.owners[n]
	if own.ambiguous {
		o.ambiguous.Add(1)
		return end{}
	}
	res, key := o.inv.resource(own, a)
	return end{own, res, key}
}

// extend appends an empty contact and returns it.
func extend(dst []weir.Contact) ([]weir.Contact, *weir.Contact) {
	n := len(dst)
	if n == cap(dst) {
		dst = slices.Grow(dst, 1)
	}
	dst = dst[:n+1]
	c := &dst[n]
	*c = weir.Contact{} // it may be one that was used before
	return dst, c
}

// fill puts a flow into an empty contact; odds are those of the own end being the
// client.
func (o *Orienter) fill(c *weir.Contact, f *weir.Flow, fromOwn bool, odds float64) {
	own, peer, out, in, iface := &f.Dst, &f.Src, &c.In, &c.Out, f.InputIf
	if fromOwn {
		own, peer, out, in, iface = &f.Src, &f.Dst, &c.Out, &c.In, f.OutputIf
	}
	c.Own, c.Peer, c.Interface = *own, *peer, iface
	c.Start, c.End = f.Start, f.End
	// As exported, and below the reverse.
	out.Packets, out.Bytes, out.Flags = f.Packets, f.Bytes, f.TCPFlags
	if f.Known.Has(weir.HasReverse) {
		in.Packets, in.Bytes = f.RevPackets, f.RevBytes
		if f.Known.Has(weir.HasRevFlags) {
			in.Flags = f.RevTCPFlags
		}
	}
	c.LogOdds, c.Sampling, c.SamplingSource = float32(odds), f.Sampling, f.SamplingSource
	c.Proto, c.Known, c.Action, c.Format = f.Proto, f.Known&^weir.IsEgress, f.Action, f.Format
	c.FromOwn, c.Exporter, c.Domain = fromOwn, f.Exporter, f.Domain
	c.Allowed = o.inv.Allowed(peer.Addr(), f.End)
}

// contact appends the contacts of one protected end.
func (o *Orienter) contact(f *weir.Flow, fromOwn, both bool, odds float64, own *end, peer *owner, dst []weir.Contact) []weir.Contact {
	first := len(dst)
	dst, c := extend(dst)
	c.Resource, c.Key, c.PeerIsOwn = own.res, own.key, both
	o.fill(c, f, fromOwn, odds)
	if peer != nil && (own.owner.memberOf(peer.res) || peer.memberOf(own.res)) {
		c.Leg = weir.BackLeg
		if peer.memberOf(own.res) {
			c.Member = peer.res.ID
		}
		return dst
	}
	if own.owner.pools == nil || !own.owner.private {
		return dst
	}
	return o.pooled(*c, odds, own, peer, dst[:first])
}

// pooled appends the contacts of a member of a pool at its private address: c, where
// it counts, and those of the balancers.
func (o *Orienter) pooled(c weir.Contact, odds float64, own *end, peer *owner, dst []weir.Contact) []weir.Contact {
	pools, before := *own.owner.pools, len(dst)
	back := func(p *poolRef) {
		b := c
		b.Resource, b.Key, b.Leg, b.Member = p.lb, p.key, weir.BackLeg, own.res.ID
		dst = append(dst, b)
	}
	if odds < decided && c.Known.Has(weir.HasPorts) && hasPorts(c.Proto) {
		for i := range pools {
			if pools[i].forwards(c.Own.Port()) {
				back(&pools[i])
			}
		}
	}
	reached := len(dst) > before
	if !reached && odds > -decided && !own.owner.hasOwn && (peer == nil || !peer.private) {
		// What such a member opens itself may leave by the front address.
		for i := range pools {
			if pools[i].snat {
				back(&pools[i])
			}
		}
	}
	if !reached || own.owner.hasOwn || privateOnly(c.Format) {
		dst = append(dst, c)
	}
	return dst
}

// privateOnly tells the formats that record the private address of a machine even
// for traffic that came through a load balancer, so that the front leg is never
// seen. Source: Microsoft Learn, "Virtual network flow logs".
func privateOnly(f weir.Format) bool { return f == weir.FormatAzureVNet || f == weir.FormatAzureNSG }

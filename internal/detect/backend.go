package detect

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-net/weir"
)

// Bounds of what is kept of the back legs of one balancer. Beyond them the
// lightest entries of a slot go, then those of the oldest slots.
const (
	backSlots      = 150   // slots of ten minutes: the day's window and an hour
	backSlotPeers  = 2048  // peers seen at members, in one slot
	backSlotSeries = 2048  // members and ports, in one slot
	backPeers      = 16384 // the same in all slots
	backSeries     = 16384
	backShown      = 20 // members that an alert names
	backLeast      = 0.01
)

// backState is what is known of the traffic behind a load balancer: evidence of
// which member took part in an attack, never counted by a rule.
type backState struct {
	Slots []backSlot // by rising number
}

// backSlot is ten minutes of a balancer, as seen from both sides.
type backSlot struct {
	N int64
	// Front holds the incoming connections by front port and minute.
	Front map[uint16]*[10]uint32
	// Members holds the incoming connections by member, backend port and minute.
	Members map[backKey]*[10]uint32
	// Peers holds what members exchanged with addresses that are not the
	// balancer's own: clients that a balancer passes through, and destinations
	// to which members spoke by its front address.
	Peers  map[backPeer]*backVolume
	Nx, Nw uint64 // sum of sampling interval over records, and their number
}

type backKey struct {
	Member string
	Port   uint16 // of the member
}

// backPeer names one peer at one member. Port is the service port: that of the
// member, or of the peer where the member is the client.
type backPeer struct {
	Peer   peerKey
	Member string
	Port   uint16
	Out    bool
}

type backVolume struct {
	Connections, Packets, Bytes uint64
}

func compareBackKeys(a, b backKey) int {
	return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(a.Port, b.Port))
}

func compareBackPeers(a, b backPeer) int {
	return cmp.Or(a.Peer.compare(b.Peer), cmp.Compare(a.Member, b.Member), cmp.Compare(a.Port, b.Port), compareBool(a.Out, b.Out))
}

// slot returns the slot of a time, making room for a new one. Slots come in
// rising order because panes do.
func (b *backState) slot(t int64) *backSlot {
	n := floorDiv(t, hour.slot())
	if l := len(b.Slots); l > 0 && b.Slots[l-1].N == n {
		return &b.Slots[l-1]
	}
	peers, series, keep := 0, 0, len(b.Slots)
	for keep > 0 && b.Slots[keep-1].N > n-backSlots {
		s := &b.Slots[keep-1]
		peers, series = peers+len(s.Peers), series+len(s.Members)
		if series > backSeries-backSlotSeries {
			break
		}
		if peers > backPeers-backSlotPeers {
			s.Peers = nil
		}
		keep--
	}
	b.Slots = append(slices.Delete(b.Slots, 0, keep), backSlot{N: n})
	return &b.Slots[len(b.Slots)-1]
}

// front notes an incoming connection of a service at the front of a balancer.
func (b *backState) front(r *resource, s *session) {
	if len(r.Res.Backends) == 0 || s.out {
		return
	}
	n := opened(s.c, s.fwd, s.hasFwd)
	if n == 0 {
		return
	}
	sl := b.slot(s.c.End)
	if sl.Front == nil {
		sl.Front = make(map[uint16]*[10]uint32)
	}
	m := sl.Front[s.server]
	if m == nil {
		m = new([10]uint32)
		sl.Front[s.server] = m
	}
	m[minuteOf(s.c.End)] += n
}

// add notes a contact on the back leg of a balancer, in canonical order.
func (b *backState) add(d *Detector, r *resource, c *weir.Contact) {
	if c.Member == "" || len(r.Res.Backends) == 0 {
		return
	}
	odds := float64(c.LogOdds)
	if slices.Contains(r.Res.Addresses, c.Own.Addr()) || slices.Contains(r.Res.PrivateAddresses, c.Own.Addr()) {
		// The balancer speaks to the member, in its own name.
		if odds > -decideOdds && c.Known.Has(weir.HasPorts) {
			b.reach(c, c.Member, c.Peer.Port(), opened(c, c.Out, c.FromOwn || c.Known.Has(weir.HasReverse)))
		}
		return
	}
	k := backPeer{Peer: peerOf(c.Peer.Addr()), Member: c.Member}
	fwd, has := c.In, !c.FromOwn
	if k.Out = odds >= decideOdds || odds > -decideOdds && !forwarded(r.Res, c.Member, c.Own.Port()); k.Out {
		fwd, has = c.Out, c.FromOwn
	}
	n := opened(c, fwd, has || c.Known.Has(weir.HasReverse))
	if c.Known.Has(weir.HasPorts) {
		k.Port = c.Own.Port()
		if k.Out {
			k.Port = c.Peer.Port()
		} else {
			b.reach(c, c.Member, k.Port, n)
		}
	}
	b.met(d, c, k, n)
}

// opened returns the connections that a record adds to those of its minute.
// Where nothing is sampled only the record with the SYN begins a connection.
func opened(c *weir.Contact, fwd weir.Counters, has bool) uint32 {
	if !has {
		return 0
	}
	if c.Sampling == 1 && c.Proto == weir.ProtoTCP && c.Known.Has(weir.HasFlags) {
		f := fwd.Flags
		if c.Known.Has(weir.HasReverse) && !c.Known.Has(weir.HasRevFlags) {
			f |= c.In.Flags | c.Out.Flags
		}
		if f&weir.SYN == 0 {
			return 0
		}
	}
	return 1
}

func minuteOf(t int64) int64 {
	return (t - floorDiv(t, hour.slot())*hour.slot()) / int64(time.Minute)
}

// reach counts a connection that reached a member.
func (b *backState) reach(c *weir.Contact, member string, port uint16, n uint32) {
	if n == 0 {
		return
	}
	sl := b.slot(c.End)
	sl.Nx, sl.Nw = sl.Nx+uint64(c.Sampling), sl.Nw+1
	if sl.Members == nil {
		sl.Members = make(map[backKey]*[10]uint32)
	}
	k := backKey{member, port}
	m := sl.Members[k]
	if m == nil {
		if len(sl.Members) >= backSlotSeries {
			lighten(sl.Members, compareBackKeys, func(v *[10]uint32) uint64 { return total(v) })
		}
		m = new([10]uint32)
		sl.Members[k] = m
	}
	m[minuteOf(c.End)] += n
}

func total(v *[10]uint32) (sum uint64) {
	for _, n := range v {
		sum += uint64(n)
	}
	return sum
}

// met counts what a member and a peer exchanged.
func (b *backState) met(d *Detector, c *weir.Contact, k backPeer, n uint32) {
	sl := b.slot(c.End)
	v := sl.Peers[k]
	if v == nil {
		if int64(d.pairs)*pairBytes > d.cfg.Memory {
			return
		}
		if sl.Peers == nil {
			sl.Peers = make(map[backPeer]*backVolume)
		}
		if len(sl.Peers) >= backSlotPeers {
			lighten(sl.Peers, compareBackPeers, func(v *backVolume) uint64 { return v.Connections + v.Packets })
		}
		v = new(backVolume)
		sl.Peers[k] = v
	}
	v.Connections += uint64(n)
	v.Packets += c.Out.Packets + c.In.Packets
	v.Bytes += c.Out.Bytes + c.In.Bytes
}

// lighten gives up the lighter half of the entries.
func lighten[K comparable, V any](m map[K]V, compare func(a, b K) int, weight func(V) uint64) {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b K) int { return cmp.Or(cmp.Compare(weight(m[a]), weight(m[b])), compare(a, b)) })
	for _, k := range keys[:len(keys)/2] {
		delete(m, k)
	}
}

// memberID is an id as it is compared: those of Azure are compared without
// regard to case (Azure Resource Manager, "Naming rules").
func memberID(id string) string {
	if strings.HasPrefix(id, "/") {
		return strings.ToLower(id)
	}
	return id
}

// forwarded reports whether a rule of the balancer ends at this port of a member.
func forwarded(lb *weir.Resource, member string, port uint16) bool {
	id := memberID(member)
	return slices.ContainsFunc(lb.Backends, func(e weir.Backend) bool {
		return (e.BackendPort == 0 || e.BackendPort == port) && memberID(e.Resource) == id
	})
}

// shares are weights of pool members by [memberID].
type shares map[string]float64

// normal scales the shares to a sum of 1, in order of the ids so that the sum
// does not depend on the order of the map. ok is false when there are none.
func (s shares) normal() (ok bool) {
	sum := 0.0
	for _, id := range slices.Sorted(maps.Keys(s)) {
		sum += s[id]
	}
	if !(sum > 0) {
		return false
	}
	for id := range s {
		s[id] /= sum
	}
	return true
}

// attribute ranks the members of the pool of a load balancer or gateway by the
// likelihood that they took part in a finding, and says on what basis in the
// fact backends:
//
//   - peer: the peers of the finding were seen at the members themselves, because
//     the balancer keeps the client's address, or because the member opened the
//     connection. See [resource.byPeer].
//   - time: members got connections when the attackers opened theirs. See
//     [resource.byTime].
//   - rules: nothing of the back leg tells. See [resource.byRules].
func (r *resource) attribute(f *weir.Finding) {
	if len(f.Resource.Backends) == 0 {
		return
	}
	prior := r.byRules(f)
	if len(prior) == 0 {
		return
	}
	basis := "rules"
	if s := r.byPeer(f, prior); s != nil {
		basis, prior = "peer", s
	} else if s := r.byTime(f, prior); s != nil {
		basis, prior = "time", s
	}
	names := make(map[string]string, len(f.Resource.Backends))
	for _, b := range f.Resource.Backends {
		if id := memberID(b.Resource); names[id] == "" {
			names[id] = b.Resource
		}
	}
	f.Backends = rank(prior, names)
	if f.Facts == nil {
		f.Facts = make(map[string]string)
	}
	f.Facts["backends"] = basis
}

// rank turns shares into the list of an alert: falling, ties by id, without
// members below one in a hundred unless all are, summing to 1.
func rank(s shares, names map[string]string) []weir.BackendLikelihood {
	ids := slices.SortedFunc(maps.Keys(s), func(a, b string) int {
		return cmp.Or(cmp.Compare(s[b], s[a]), cmp.Compare(names[a], names[b]))
	})
	ids = ids[:min(len(ids), backShown)]
	kept := make(shares, len(ids))
	for _, id := range ids {
		if s[id] >= backLeast {
			kept[id] = s[id]
		}
	}
	if len(kept) == 0 {
		for _, id := range ids {
			kept[id] = s[id] // a pool of more than a hundred, all alike
		}
	}
	if !kept.normal() {
		return nil
	}
	out := make([]weir.BackendLikelihood, 0, len(kept))
	for _, id := range ids {
		if v, ok := kept[id]; ok {
			out = append(out, weir.BackendLikelihood{ID: names[id], Likelihood: v})
		}
	}
	return out
}

// byRules shares the likelihood by the forwarding rules alone. A front port that
// rules give to exactly one member belongs to it (an inbound NAT rule); otherwise
// the members that a rule names for the port share it evenly with those that have
// no port, which stand in every pool. Several ports count by their evidence.
// Without a front port, and for outgoing traffic, any member may have taken part.
// It returns nil when no rule forwards any of the ports.
func (r *resource) byRules(f *weir.Finding) shares {
	ports := findingPorts(f)
	if f.Direction != weir.Incoming || len(ports) == 0 {
		s := make(shares)
		for _, b := range f.Resource.Backends {
			s[memberID(b.Resource)] = 1
		}
		s.normal()
		return s
	}
	s := make(shares)
	for _, p := range ports {
		named, all := make(map[string]bool), make(map[string]bool)
		for _, b := range f.Resource.Backends {
			id := memberID(b.Resource)
			switch b.FrontendPort {
			case p.Port:
				named[id], all[id] = true, true
			case 0:
				all[id] = true
			}
		}
		if len(named) == 1 {
			all = named
		}
		for id := range all {
			s[id] += float64(max(p.Count, 1)) / float64(len(all))
		}
	}
	if !s.normal() {
		return nil
	}
	return s
}

// findingPorts returns the service ports of a finding.
func findingPorts(f *weir.Finding) []weir.PortCount {
	if len(f.Ports) == 0 && f.Port != 0 {
		return []weir.PortCount{{Port: f.Port}}
	}
	return f.Ports
}

// backPorts reports whether a service port seen at a member is one of those of
// the finding: that of the peer for outgoing traffic, else one to which a rule
// forwards one of the front ports.
func backPorts(f *weir.Finding) func(member string, port uint16) bool {
	ports := findingPorts(f)
	front := make(map[uint16]bool, len(ports))
	for _, p := range ports {
		front[p.Port] = true
	}
	if len(front) == 0 || f.Type == weir.CommunicationWithC2 {
		return func(string, uint16) bool { return true }
	}
	if f.Direction != weir.Incoming {
		return func(_ string, port uint16) bool { return front[port] }
	}
	back := make(map[backKey]bool)
	for _, b := range f.Resource.Backends {
		id := memberID(b.Resource)
		for p := range front {
			if b.FrontendPort == 0 || b.FrontendPort == p {
				back[backKey{id, cmp.Or(b.BackendPort, p)}] = true
			}
		}
	}
	return func(member string, port uint16) bool { return back[backKey{member, port}] }
}

// byPeer shares the likelihood by what the peers of the finding exchanged with
// each member while it lasted: v_m connections, or packets for a flood, make
//
//	L_m = (v_m + q_m) / (sum of v + 1)
//
// where q_m is the share of the rules: one more connection that could have gone
// to any member, so that little evidence does not pass for certainty (the mean of
// a Dirichlet posterior). It returns nil when no peer was seen at any member.
func (r *resource) byPeer(f *weir.Finding, prior shares) shares {
	peers := make(map[peerKey]bool, len(f.Peers))
	for i := range f.Peers {
		peers[peerOf(f.Peers[i].Address)] = true
	}
	fits := backPorts(f)
	conns, packets := make(shares), make(shares)
	for i := range r.Back.Slots {
		s := &r.Back.Slots[i]
		if (s.N+1)*hour.slot() <= f.First || s.N*hour.slot() > f.Last {
			continue
		}
		for k, v := range s.Peers {
			id := memberID(k.Member)
			if !peers[k.Peer] || !fits(id, k.Port) || f.Type != weir.CommunicationWithC2 && k.Out != (f.Direction == weir.Outgoing) {
				continue
			}
			// Whole numbers: their sum does not depend on the order.
			conns[id] += float64(v.Connections)
			packets[id] += float64(v.Packets)
		}
	}
	volume := conns
	if f.Unit == weir.UnitPacketsPerS || f.Unit == weir.UnitBitsPerS || !conns.any() {
		volume = packets
	}
	if !volume.any() {
		return nil
	}
	for id, q := range prior {
		volume[id] += q
	}
	volume.normal()
	return volume
}

func (s shares) any() bool {
	for _, v := range s {
		if v > 0 {
			return true
		}
	}
	return false
}

package backleg

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/weir-net/weir"
)

// Bounds of the list of an alert.
const (
	maxShown = 20
	least    = 0.01
)

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

// Attribute ranks the members of the pool of a load balancer or gateway by the
// likelihood that they took part in a finding, and says on what basis in the
// fact backends:
//
//   - peer: the peers of the finding were seen at the members themselves, because
//     the balancer keeps the client's address, or because the member opened the
//     connection. See [Evidence.byPeer].
//   - time: members got connections when the attackers opened theirs. See
//     [Evidence.byTime].
//   - rules: nothing of the back leg tells. See [byRules].
//
// first is when the first of the peers of the finding was first seen at the front.
func (e *Evidence) Attribute(f *weir.Finding, first int64) {
	if len(f.Resource.Backends) == 0 {
		return
	}
	prior := byRules(f)
	if len(prior) == 0 {
		return
	}
	basis := "rules"
	if s := e.byPeer(f, prior); s != nil {
		basis, prior = "peer", s
	} else if s := e.byTime(f, prior, first); s != nil {
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
	ids = ids[:min(len(ids), maxShown)]
	kept := make(shares, len(ids))
	for _, id := range ids {
		if s[id] >= least {
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
func byRules(f *weir.Finding) shares {
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
	back := make(map[Key]bool)
	for _, b := range f.Resource.Backends {
		id := memberID(b.Resource)
		for p := range front {
			if b.FrontendPort == 0 || b.FrontendPort == p {
				back[Key{id, cmp.Or(b.BackendPort, p)}] = true
			}
		}
	}
	return func(member string, port uint16) bool { return back[Key{member, port}] }
}

// byPeer shares the likelihood by what the peers of the finding exchanged with
// each member while it lasted: v_m connections, or packets for a flood, make
//
//	L_m = (v_m + q_m) / (sum of v + 1)
//
// where q_m is the share of the rules: one more connection that could have gone
// to any member, so that little evidence does not pass for certainty (the mean of
// a Dirichlet posterior). It returns nil when no peer was seen at any member.
func (e *Evidence) byPeer(f *weir.Finding, prior shares) shares {
	peers := make(map[netip.Addr]bool, len(f.Peers))
	for i := range f.Peers {
		peers[site(f.Peers[i].Address)] = true
	}
	fits := backPorts(f)
	conns, packets := make(shares), make(shares)
	for i := range e.Slots {
		s := &e.Slots[i]
		if (s.N+1)*slotLength <= f.First || s.N*slotLength > f.Last {
			continue
		}
		for k, v := range s.Peers {
			id := memberID(k.Member)
			if !peers[k.Addr] || !fits(id, k.Port) || f.Type != weir.CommunicationWithC2 && k.Out != (f.Direction == weir.Outgoing) {
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

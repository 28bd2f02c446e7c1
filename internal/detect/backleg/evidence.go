package backleg

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/weir-net/weir"
)

// slotLength is the length of a slot, in nanoseconds.
const slotLength = int64(10 * time.Minute)

// decided is the magnitude of the log-odds from which a side is taken as the
// client (section 4.1).
const decided = 1.5

// Bounds of what is kept of one balancer. Beyond them the lightest entries of a
// slot go, then those of the oldest slots.
const (
	maxSlots      = 150   // the day's window and an hour
	maxSlotPeers  = 2048  // peers seen at members, in one slot
	maxSlotSeries = 2048  // members and ports, in one slot
	maxPeers      = 16384 // the same in all slots
	maxSeries     = 16384
)

// Evidence is what is known of the traffic behind a load balancer: which members
// took part in an attack, never counted by a rule. The zero value is empty. Its
// fields are exported for snapshots alone.
type Evidence struct {
	Slots []Slot // by rising number
}

// Slot is ten minutes of a balancer, as seen from both sides.
type Slot struct {
	N int64
	// Front holds the incoming connections by front port and minute.
	Front map[uint16]*[10]uint32
	// Members holds the incoming connections by member, backend port and minute.
	Members map[Key]*[10]uint32
	// Peers holds what members exchanged with addresses that are not the
	// balancer's own: clients that a balancer passes through, and destinations
	// to which members spoke by its front address.
	Peers  map[Peer]*Volume
	Nx, Nw uint64 // sum of sampling interval over records, and their number
}

// Key names a port of a member.
type Key struct {
	Member string
	Port   uint16 // of the member
}

// Peer names one peer at one member. Port is the service port: that of the
// member, or of the peer where the member is the client.
type Peer struct {
	Addr   netip.Addr // IPv6 cut to the /64 that one site controls
	Member string
	Port   uint16
	Out    bool
}

// Volume is what a member and a peer exchanged.
type Volume struct {
	Connections, Packets, Bytes uint64
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(a.Port, b.Port))
}

func comparePeers(a, b Peer) int {
	return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Member, b.Member), cmp.Compare(a.Port, b.Port), cmp.Compare(bit(a.Out), bit(b.Out)))
}

// slot returns the slot of a time, making room for a new one. Slots come in
// rising order because panes do.
func (e *Evidence) slot(t int64) *Slot {
	n := slotOf(t)
	if l := len(e.Slots); l > 0 && e.Slots[l-1].N == n {
		return &e.Slots[l-1]
	}
	peers, series, keep := 0, 0, len(e.Slots)
	for keep > 0 && e.Slots[keep-1].N > n-maxSlots {
		s := &e.Slots[keep-1]
		peers, series = peers+len(s.Peers), series+len(s.Members)
		if series > maxSeries-maxSlotSeries {
			break
		}
		if peers > maxPeers-maxSlotPeers {
			s.Peers = nil
		}
		keep--
	}
	e.Slots = append(slices.Delete(e.Slots, 0, keep), Slot{N: n})
	return &e.Slots[len(e.Slots)-1]
}

// Front notes a record of an incoming connection of a service at the front of the
// balancer lb: its client's packets, and whether it covers them at all. Contacts
// come pane by pane, in one canonical order within a pane, here and in Add.
func (e *Evidence) Front(lb *weir.Resource, c *weir.Contact, port uint16, client weir.Counters, covers bool) {
	n := opened(c, client, covers)
	if n == 0 || len(lb.Backends) == 0 {
		return
	}
	sl := e.slot(c.End)
	if sl.Front == nil {
		sl.Front = make(map[uint16]*[10]uint32)
	}
	m := sl.Front[port]
	if m == nil {
		m = new([10]uint32)
		sl.Front[port] = m
	}
	m[minuteOf(c.End)] += n
}

// Add notes a contact on the back leg of the balancer lb. Without room, at the
// ceiling of memory, no peer is added.
func (e *Evidence) Add(lb *weir.Resource, c *weir.Contact, room bool) {
	if c.Member == "" || len(lb.Backends) == 0 {
		return
	}
	odds := float64(c.LogOdds)
	if slices.Contains(lb.Addresses, c.Own.Addr()) || slices.Contains(lb.PrivateAddresses, c.Own.Addr()) {
		// The balancer speaks to the member, in its own name.
		if odds > -decided && c.Known.Has(weir.HasPorts) {
			e.reach(c, c.Member, c.Peer.Port(), opened(c, c.Out, c.FromOwn || c.Known.Has(weir.HasReverse)))
		}
		return
	}
	k := Peer{Addr: site(c.Peer.Addr()), Member: c.Member}
	fwd, has := c.In, !c.FromOwn
	if k.Out = odds >= decided || odds > -decided && !forwarded(lb, c.Member, c.Own.Port()); k.Out {
		fwd, has = c.Out, c.FromOwn
	}
	n := opened(c, fwd, has || c.Known.Has(weir.HasReverse))
	if c.Known.Has(weir.HasPorts) {
		k.Port = c.Own.Port()
		if k.Out {
			k.Port = c.Peer.Port()
		} else {
			e.reach(c, c.Member, k.Port, n)
		}
	}
	e.met(c, k, n, room)
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
	return (t - slotOf(t)*slotLength) / int64(time.Minute)
}

// reach counts a connection that reached a member.
func (e *Evidence) reach(c *weir.Contact, member string, port uint16, n uint32) {
	if n == 0 {
		return
	}
	sl := e.slot(c.End)
	sl.Nx, sl.Nw = sl.Nx+uint64(c.Sampling), sl.Nw+1
	if sl.Members == nil {
		sl.Members = make(map[Key]*[10]uint32)
	}
	k := Key{member, port}
	m := sl.Members[k]
	if m == nil {
		if len(sl.Members) >= maxSlotSeries {
			lighten(sl.Members, compareKeys, func(v *[10]uint32) uint64 { return total(v) })
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
func (e *Evidence) met(c *weir.Contact, k Peer, n uint32, room bool) {
	sl := e.slot(c.End)
	v := sl.Peers[k]
	if v == nil {
		if !room {
			return
		}
		if sl.Peers == nil {
			sl.Peers = make(map[Peer]*Volume)
		}
		if len(sl.Peers) >= maxSlotPeers {
			lighten(sl.Peers, comparePeers, func(v *Volume) uint64 { return v.Connections + v.Packets })
		}
		v = new(Volume)
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

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// slotOf returns the number of the slot of a time.
func slotOf(t int64) int64 {
	n := t / slotLength
	if t%slotLength < 0 {
		n--
	}
	return n
}

// site is an address as peers are told apart: IPv6 is cut to the /64 that one
// site controls.
func site(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is4() || !a.IsValid() {
		return a
	}
	return netip.PrefixFrom(a, 64).Masked().Addr()
}

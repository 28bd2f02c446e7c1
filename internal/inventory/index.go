package inventory

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gaissmai/bart"
	weir "github.com/weir-net/weir"
)

// owner is what the index knows of an address or network.
type owner struct {
	res *weir.Resource // nil for a network
	net *Network       // nil for an exact address
	// listen are the ports that the inventory says are served here, as
	// proto<<16|port, sorted.
	listen []uint32
	// pools are the pools that the owner of the address is a member of.
	pools []poolRef
	// private marks an address of PrivateAddresses; hasOwn tells that the owner
	// has an address of Addresses.
	private, hasOwn bool
	// ambiguous marks an address that more than one tenant claims.
	ambiguous bool
}

// poolRef is one membership. Without ports every port is forwarded.
type poolRef struct {
	lb    *weir.Resource
	every bool
	ports []uint16 // backend ports, sorted
	// snat tells that members may speak to the internet by a front address.
	snat bool
}

func (p *poolRef) forwards(port uint16) bool {
	if p.every {
		return true
	}
	_, ok := slices.BinarySearch(p.ports, port)
	return ok
}

// listens reports whether the inventory names a listener.
func (o *owner) listens(proto uint8, port uint16) bool {
	_, ok := slices.BinarySearch(o.listen, uint32(proto)<<16|uint32(port))
	return ok
}

func (o *owner) tenant() string {
	if o.res != nil {
		return o.res.Tenant
	}
	return o.net.Tenant
}

// memberOf reports whether the owner is in the pool of lb.
func (o *owner) memberOf(lb *weir.Resource) bool {
	for i := range o.pools {
		if o.pools[i].lb == lb {
			return true
		}
	}
	return false
}

// index finds the owner of an address: a bitmap over the /16s (IPv4) and hashed
// /32s (IPv6) in use turns away most foreign addresses, a prefix table decides.
type index struct {
	table  bart.Fast[*owner]
	v4, v6 [1024]uint64
	v6wide bool // a prefix shorter than /32 makes the IPv6 bitmap useless
}

func slot4(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<8 | uint32(b[1])
}

func slot6(a netip.Addr) uint32 {
	b := a.As16()
	hi := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	return hi * 0x9E3779B1 >> 16 // multiplicative hashing with the golden ratio (Knuth, TAOCP 6.4)
}

func (x *index) insert(p netip.Prefix, o *owner) {
	x.table.Insert(p, o)
	a := p.Addr()
	if a.Is4() {
		first, n := slot4(a), uint32(1)
		if p.Bits() < 16 {
			n = 1 << (16 - p.Bits())
		}
		for s := first; s < first+n; s++ {
			x.v4[s>>6] |= 1 << (s & 63)
		}
		return
	}
	if p.Bits() < 32 {
		x.v6wide = true
		return
	}
	s := slot6(a)
	x.v6[s>>6] |= 1 << (s & 63)
}

func (x *index) find(a netip.Addr) *owner {
	if a.Is4() {
		s := slot4(a)
		if x.v4[s>>6]&(1<<(s&63)) == 0 {
			return nil
		}
	} else {
		if !a.IsValid() {
			return nil
		}
		s := slot6(a)
		if !x.v6wide && x.v6[s>>6]&(1<<(s&63)) == 0 {
			return nil
		}
	}
	o, _ := x.table.Lookup(a)
	return o
}

// indexBuilder fills the index of an inventory.
type indexBuilder struct {
	inv       *Inventory
	conflicts []conflict
	listen    map[*weir.Resource][]uint32
	member    map[*weir.Resource][]poolRef
	names     []string // ids to suggest
}

// maxSimilar bounds the ids that a misspelt one is compared with.
const maxSimilar = 1000

// similar suggests the id that was meant.
func (b *indexBuilder) similar(id string) string {
	if len(b.inv.warnings) > maxWarnings {
		return ""
	}
	return nearest(id, b.names)
}

func newIndexBuilder(inv *Inventory) *indexBuilder {
	return &indexBuilder{
		inv:    inv,
		listen: make(map[*weir.Resource][]uint32),
		member: make(map[*weir.Resource][]poolRef),
	}
}

func (b *indexBuilder) build(resources []*weir.Resource, networks []Network) []conflict {
	byID := b.ids(resources)
	for _, r := range resources[:min(len(resources), maxSimilar)] {
		b.names = append(b.names, r.ID)
	}
	for _, r := range resources {
		b.pool(r, byID)
	}
	nets := b.networks(networks)
	b.addresses(resources, nets)
	return b.conflicts
}

// idKey identifies a resource. Azure resource ids are compared without regard to
// case (Azure Resource Manager, "Naming rules": ids are case-insensitive).
func idKey(tenant, id string) string {
	if len(id) > 0 && id[0] == '/' {
		id = strings.ToLower(id)
	}
	return tenant + "\x00" + id
}

func (b *indexBuilder) ids(resources []*weir.Resource) map[string]*weir.Resource {
	byID := make(map[string]*weir.Resource, len(resources))
	for i, r := range resources {
		k := idKey(r.Tenant, r.ID)
		if _, ok := byID[k]; ok {
			b.conflicts = append(b.conflicts, conflict{
				text: fmt.Sprintf("the id %q is used twice, ids must be unique within a tenant", r.ID), resource: i, network: -1,
			})
			continue
		}
		byID[k] = r
	}
	return byID
}

// pool notes listeners and pool memberships of one resource.
func (b *indexBuilder) pool(r *weir.Resource, byID map[string]*weir.Resource) {
	b.listen[r] = listenSet(r.Listeners, r.Backends)
	if len(r.Backends) == 0 {
		return
	}
	type entry struct {
		member *weir.Resource
		ref    poolRef
	}
	refs := make(map[string]*entry)
	for _, be := range r.Backends {
		k := idKey(r.Tenant, be.Resource)
		e := refs[k]
		if e == nil {
			e = &entry{member: byID[k], ref: poolRef{lb: r, snat: translates(r)}}
			refs[k] = e
			m := Member{ID: be.Resource}
			if e.member != nil {
				m.ID = e.member.ID
				m.Addresses = append(slices.Clone(e.member.PrivateAddresses), e.member.Addresses...)
			} else {
				b.inv.warn("resource %q: the backend %q is not described by the inventory%s", r.ID, be.Resource, b.similar(be.Resource))
			}
			b.inv.pools[r] = append(b.inv.pools[r], m)
		}
		if be.BackendPort == 0 {
			e.ref.every = true
		} else {
			e.ref.ports = append(e.ref.ports, be.BackendPort)
		}
	}
	slices.SortFunc(b.inv.pools[r], func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	for _, e := range refs {
		if e.member == nil || e.member == r {
			continue
		}
		slices.Sort(e.ref.ports)
		e.ref.ports = slices.Compact(e.ref.ports)
		b.member[e.member] = append(b.member[e.member], e.ref)
	}
}

// translates reports whether a balancer may lend its front address to what its
// members open themselves: one with a public address. Gateways end connections and
// open none for their members.
func translates(r *weir.Resource) bool { return r.Kind == weir.LoadBalancer && len(r.Addresses) > 0 }

// listenSet is the sorted set of what listeners and front-end ports name.
func listenSet(listeners []weir.Listener, backends []weir.Backend) []uint32 {
	var set []uint32
	add := func(proto uint8, port uint16) {
		if proto != 0 {
			set = append(set, uint32(proto)<<16|uint32(port))
			return
		}
		set = append(set, weir.ProtoTCP<<16|uint32(port), weir.ProtoUDP<<16|uint32(port))
	}
	for _, l := range listeners {
		add(l.Proto, l.Port)
	}
	for _, be := range backends {
		if be.FrontendPort != 0 {
			add(0, be.FrontendPort)
		}
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// networks puts the prefixes into the index and returns a table of them.
func (b *indexBuilder) networks(networks []Network) *bart.Table[*owner] {
	table := new(bart.Table[*owner])
	for i := range networks {
		n := networks[i]
		p := n.Prefix.Masked()
		if !p.IsValid() {
			continue
		}
		o := &owner{net: &n, listen: listenSet(n.Listeners, nil), hasOwn: true}
		if have, ok := table.Get(p); ok {
			if have.net.Tenant == n.Tenant {
				b.conflicts = append(b.conflicts, conflict{
					text: fmt.Sprintf("the network %s is listed twice", p), resource: -1, network: i,
				})
				continue
			}
			have.ambiguous = true
			b.inv.warn("the network %s belongs to the tenants %q and %q: its flows cannot be told apart and are not judged", p, have.net.Tenant, n.Tenant)
			continue
		}
		table.Insert(p, o)
	}
	for p, o := range table.All() {
		if overlapSpace(p.Addr()) {
			for _, outer := range table.Supernets(p) {
				if outer.net.Tenant != o.net.Tenant {
					o.ambiguous = true
				}
			}
		}
		b.inv.index.insert(p, o)
	}
	return table
}

// claim is one resource that lists an address.
type claim struct {
	at      int // index of the resource
	private bool
}

// addresses puts the exact addresses into the index.
func (b *indexBuilder) addresses(resources []*weir.Resource, nets *bart.Table[*owner]) {
	claims := make(map[netip.Addr][]claim)
	var order []netip.Addr
	note := func(a netip.Addr, i int, private bool) {
		have := claims[a]
		for _, c := range have {
			if resources[c.at] == resources[i] {
				return // listed twice by one resource, or public and private at once
			}
		}
		if have == nil {
			order = append(order, a)
		}
		claims[a] = append(have, claim{at: i, private: private})
	}
	for i, r := range resources {
		for _, a := range r.Addresses {
			note(a, i, false)
		}
		for _, a := range r.PrivateAddresses {
			note(a, i, true)
		}
	}
	for _, a := range order {
		if !a.IsValid() {
			continue
		}
		o := b.claimed(a, claims[a], resources)
		p := netip.PrefixFrom(a, a.BitLen())
		if overlapSpace(a) {
			for _, n := range nets.Supernets(p) {
				if n.net.Tenant != o.tenant() {
					o.ambiguous = true
				}
			}
		}
		b.inv.index.insert(p, o)
	}
}

// claimed decides who owns an address. Two resources of one tenant contradict each
// other, unless both were imported from a cloud, where several virtual networks
// may use the same private space.
func (b *indexBuilder) claimed(a netip.Addr, claims []claim, resources []*weir.Resource) *owner {
	first := claims[0]
	r := resources[first.at]
	o := &owner{
		res: r, listen: b.listen[r], pools: b.sortedPools(r), private: first.private, hasOwn: len(r.Addresses) > 0,
	}
	for _, c := range claims[1:] {
		other := resources[c.at]
		switch {
		case other.Tenant != r.Tenant:
			o.ambiguous = true
			b.inv.warn("the address %s belongs to the tenants %q and %q: its flows cannot be told apart and are not judged", a, r.Tenant, other.Tenant)
		case r.SinceUnknown && other.SinceUnknown:
			o.ambiguous = true
			b.inv.warn("the address %s belongs to %q and to %q: its flows cannot be told apart and are not judged", a, r.ID, other.ID)
		default:
			b.conflicts = append(b.conflicts, conflict{
				text:     fmt.Sprintf("the address %s already belongs to resource %q, an address may belong to one resource of a tenant", a, r.ID),
				resource: c.at, network: -1, addr: a,
			})
		}
	}
	return o
}

func (b *indexBuilder) sortedPools(r *weir.Resource) []poolRef {
	refs := b.member[r]
	slices.SortFunc(refs, func(a, b poolRef) int { return cmp.Compare(a.lb.ID, b.lb.ID) })
	return refs
}

// sharedSpace is the shared address space of carriers (RFC 6598).
func sharedSpace() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) }

// overlapSpace reports whether an address is of a kind that different networks use
// independently of each other: RFC 1918, RFC 4193, RFC 6598, link-local.
func overlapSpace(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsLoopback() || sharedSpace().Contains(a)
}

// Bounds of the cache of resources of networks: slots, and slots tried per address.
const (
	maxCacheSlots = 1 << 16
	cacheWays     = 4
)

// resourceCache keeps the resources of networks that were made on demand. It is
// lock-free and bounded: a newcomer replaces one of the few slots of its address.
type resourceCache struct {
	slots []atomic.Pointer[netResource]
}

type netResource struct {
	res  weir.Resource
	addr [1]netip.Addr
}

func newResourceCache(networks []Network) resourceCache {
	if len(networks) == 0 {
		return resourceCache{}
	}
	want := 0
	for _, n := range networks {
		host := n.Prefix.Addr().BitLen() - n.Prefix.Bits()
		if host >= 16 {
			want = maxCacheSlots
			break
		}
		want = min(want+1<<host, maxCacheSlots)
	}
	size := cacheWays
	for size < want {
		size <<= 1
	}
	return resourceCache{slots: make([]atomic.Pointer[netResource], size)}
}

// cacheSlot spreads addresses; neighbours in one /16 never meet in a full table.
func cacheSlot(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		hi := uint64(b[0])<<8 | uint64(b[1])
		return uint64(b[2])<<8 | uint64(b[3]) ^ hi*0x9E3779B97F4A7C15>>48
	}
	b := a.As16()
	h := uint64(0xCBF29CE484222325)
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001B3 // FNV-1a
	}
	return h ^ h>>32
}

func (c *resourceCache) get(n *Network, a netip.Addr) *weir.Resource {
	mask := uint64(len(c.slots) - 1) //nolint:gosec // there is at least one slot
	first := cacheSlot(a)
	victim := first & mask
	for i := range uint64(cacheWays) {
		s := (first + i) & mask
		have := c.slots[s].Load()
		if have == nil {
			victim = s
			break
		}
		if have.addr[0] == a {
			return &have.res
		}
	}
	name := a.String()
	made := &netResource{res: weir.Resource{
		ID: name, Name: name, Kind: n.Kind, Tenant: n.Tenant, Listeners: n.Listeners,
		Roles: n.Roles, Tags: n.Tags, Since: n.Since,
	}}
	made.addr[0] = a
	made.res.Addresses = made.addr[:]
	c.slots[victim].Store(made)
	return &made.res
}

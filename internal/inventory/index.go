package inventory

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"
	weir "github.com/weir-net/weir"
)

// owner is what the index knows of an address or network. It fills one cache line.
type owner struct {
	res *weir.Resource // nil for a network
	net *Network       // nil for an exact address
	key uint64         // of the resource
	// listen are the ports that the inventory says are served here, as
	// proto<<16|port, sorted.
	listen []uint32
	// pools are the pools that the owner of the address is a member of.
	pools *[]poolRef
	// private marks an address of PrivateAddresses; hasOwn tells that the owner
	// has an address of Addresses.
	private, hasOwn bool
	// ambiguous marks an address that more than one tenant claims.
	ambiguous bool
}

// poolRef is one membership. Without ports every port is forwarded.
type poolRef struct {
	lb    *weir.Resource
	key   uint64 // of lb
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
	if len(o.listen) == 0 {
		return false
	}
	_, ok := slices.BinarySearch(o.listen, uint32(proto)<<16|uint32(port))
	return ok
}

// plain reports whether nothing is odd about a flow with this owner at one end: it
// makes one contact.
func (o *owner) plain() bool { return !o.ambiguous && o.pools == nil }

func (o *owner) tenant() string {
	if o.res != nil {
		return o.res.Tenant
	}
	return o.net.Tenant
}

// memberOf reports whether the owner is in the pool of lb.
func (o *owner) memberOf(lb *weir.Resource) bool {
	if o.pools == nil {
		return false
	}
	for i := range *o.pools {
		if (*o.pools)[i].lb == lb {
			return true
		}
	}
	return false
}

// index finds the owner of an address: a sieve turns away most foreign addresses,
// hash tables know the exact ones, a prefix table the networks.
type index struct {
	sieve  sieve
	owners []owner // number 0 is nobody
	four   exact4
	six    exact6
	nets   bart.Fast[uint32]
}

// add gives an owner a number.
func (x *index) add(o owner) uint32 {
	if len(x.owners) == 0 {
		x.owners = append(x.owners, owner{})
	}
	x.owners = append(x.owners, o)
	return uint32(len(x.owners) - 1) //nolint:gosec // there are fewer addresses than that
}

// insert puts a prefix of the owner of that number into the index. An exact address
// goes before every prefix.
func (x *index) insert(p netip.Prefix, n uint32) {
	x.sieve.add(p)
	switch a := p.Addr(); {
	case !p.IsSingleIP():
		x.nets.Insert(p, n)
	case a.Is4():
		x.four.insert(bits4(a), n)
	default:
		x.six.insert(bits6(a), n)
	}
}

// find returns the number of the owner of an address, 0 for none.
func (x *index) find(a netip.Addr) uint32 {
	if !x.sieve.may(a) {
		return 0
	}
	return x.sifted(a)
}

// sifted is find for an address that passed the sieve.
func (x *index) sifted(a netip.Addr) uint32 {
	n := uint32(0)
	if a.Is4() {
		n = x.four.find(bits4(a))
	} else {
		n = x.six.find(bits6(a))
	}
	if n == 0 && x.nets.Size() > 0 {
		n, _ = x.nets.Lookup(a)
	}
	return n
}

// owner returns the owner of an address, nil for none.
func (x *index) owner(a netip.Addr) *owner {
	if n := x.find(a); n != 0 {
		return &x.owners[n]
	}
	return nil
}

// indexBuilder fills the index of an inventory.
type indexBuilder struct {
	inv       *Inventory
	conflicts []conflict
	listen    map[*weir.Resource][]uint32
	member    map[*weir.Resource][]poolRef
	names     []string // ids to suggest
	// numbers are the owners of resources that nothing is odd about: one for all
	// addresses of a kind.
	numbers map[plainOwner]uint32
}

// plainOwner is a resource with the kind of its address.
type plainOwner struct {
	res     *weir.Resource
	private bool
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
		inv:     inv,
		listen:  make(map[*weir.Resource][]uint32),
		member:  make(map[*weir.Resource][]poolRef),
		numbers: make(map[plainOwner]uint32),
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
			e = &entry{member: byID[k], ref: poolRef{lb: r, key: r.Key(), snat: translates(r)}}
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
		b.inv.index.insert(p, b.inv.index.add(*o))
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
		b.inv.index.insert(p, b.number(o))
	}
}

// number returns the number of the owner of an exact address.
func (b *indexBuilder) number(o *owner) uint32 {
	if o.ambiguous {
		return b.inv.index.add(*o)
	}
	k := plainOwner{o.res, o.private}
	n, ok := b.numbers[k]
	if !ok {
		n = b.inv.index.add(*o)
		b.numbers[k] = n
	}
	return n
}

// claimed decides who owns an address. Two resources of one tenant contradict each
// other, unless both were imported from a cloud, where several virtual networks
// may use the same private space.
func (b *indexBuilder) claimed(a netip.Addr, claims []claim, resources []*weir.Resource) *owner {
	first := claims[0]
	r := resources[first.at]
	o := &owner{
		res: r, key: r.Key(), listen: b.listen[r], pools: b.sortedPools(r), private: first.private, hasOwn: len(r.Addresses) > 0,
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

// sortedPools returns the pools of a resource in order, nil for none.
func (b *indexBuilder) sortedPools(r *weir.Resource) *[]poolRef {
	refs := b.member[r]
	if len(refs) == 0 {
		return nil
	}
	slices.SortFunc(refs, func(a, b poolRef) int { return cmp.Compare(a.lb.ID, b.lb.ID) })
	return &refs
}

// sharedSpace is the shared address space of carriers (RFC 6598).
func sharedSpace() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) }

// overlapSpace reports whether an address is of a kind that different networks use
// independently of each other: RFC 1918, RFC 4193, RFC 6598, link-local.
func overlapSpace(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsLoopback() || sharedSpace().Contains(a)
}

package inventory

import (
	"net/netip"
	"sync/atomic"

	weir "github.com/weir-net/weir"
)

// Bounds of the cache of resources of networks: slots, and slots tried per address.
const (
	maxCacheSlots = 1 << 18
	cacheWays     = 4
)

// resourceCache keeps the resources of networks that were made on demand. It is
// lock-free and bounded: a newcomer replaces one of the few slots of its address.
type resourceCache struct {
	slots []atomic.Pointer[netResource]
}

type netResource struct {
	res  weir.Resource
	key  uint64
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
		b := uint64(bits4(a))
		return b&0xffff ^ b>>16*ratio>>46
	}
	b := bits6(a)
	return (b[0]*ratio>>32 ^ b[1]) * ratio >> 32
}

// get returns the resource of an address of a network, and its key.
func (c *resourceCache) get(n *Network, a netip.Addr) (*weir.Resource, uint64) {
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
			return &have.res, have.key
		}
	}
	name := a.String()
	made := &netResource{res: weir.Resource{
		ID: name, Name: name, Kind: n.Kind, Tenant: n.Tenant, Listeners: n.Listeners,
		Roles: n.Roles, Tags: n.Tags, Since: n.Since,
	}}
	made.addr[0] = a
	made.res.Addresses = made.addr[:]
	made.key = made.res.Key()
	c.slots[victim].Store(made)
	return &made.res, made.key
}

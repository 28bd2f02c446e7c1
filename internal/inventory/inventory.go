package inventory

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	weir "github.com/weir-net/weir"
)

// Network is a prefix in which every address is a resource of its own, named
// after the address.
type Network struct {
	Prefix    netip.Prefix      `json:"prefix"`
	Kind      weir.Kind         `json:"kind"`
	Tenant    string            `json:"tenant,omitempty"`
	Listeners []weir.Listener   `json:"listeners,omitempty"`
	Roles     []string          `json:"roles,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
	// Since is the lease start of the addresses, Unix ns; 0 means always held.
	Since int64 `json:"since,omitempty"`
}

// Allow is an entry of the allow list: peers that are never reported.
type Allow struct {
	Prefix netip.Prefix `json:"prefix"`
	Reason string       `json:"reason"`
	// Until is the end of the permission, Unix ns, exclusive; 0 means for ever.
	Until int64 `json:"until,omitempty"`
}

// Inventory is an immutable snapshot of what is protected. It is safe for
// concurrent use.
type Inventory struct {
	resources []*weir.Resource
	networks  []Network
	allow     []Allow
	warnings  []string

	index   index
	cache   resourceCache
	allowed allowTable
	pools   map[*weir.Resource][]Member
}

// Member is a member of the pool of a load balancer, with all addresses by which
// it may be seen on the back leg. Addresses is empty for a member that the
// inventory does not describe.
type Member struct {
	ID        string
	Addresses []netip.Addr
}

// New returns the inventory of resources, networks and allow list. The resources
// are not copied and must not be written afterwards. The error joins everything
// that is wrong: an id that is used twice within a tenant, an address that two
// resources of one tenant claim, a prefix that is listed twice, a kind that does
// not exist. Duplicate addresses in different tenants are no error: see the
// package comment.
func New(resources []*weir.Resource, networks []Network, allow []Allow) (*Inventory, error) {
	var errs []error
	for i, r := range resources {
		if r == nil {
			return nil, fmt.Errorf("inventory: resource %d is nil", i)
		}
		errs = append(errs, checkResource(r)...)
	}
	for i := range networks {
		errs = append(errs, checkNetwork(&networks[i])...)
	}
	for i := range allow {
		if !allow[i].Prefix.IsValid() {
			errs = append(errs, fmt.Errorf("allow entry %d: the prefix is not valid", i))
		}
	}
	inv, conflicts := build(resources, networks, allow)
	for _, c := range conflicts {
		errs = append(errs, errors.New(c.text))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("inventory: %w", errors.Join(errs...))
	}
	return inv, nil
}

func checkResource(r *weir.Resource) (errs []error) {
	if r.ID == "" {
		errs = append(errs, errors.New("a resource has no id"))
	}
	if !validKind(r.Kind) {
		errs = append(errs, fmt.Errorf("resource %q: unknown kind %q, expected %s", r.ID, r.Kind, kindList))
	}
	for _, list := range [][]netip.Addr{r.Addresses, r.PrivateAddresses} {
		for _, a := range list {
			if why := badAddr(a); why != "" {
				errs = append(errs, fmt.Errorf("resource %q: address %s %s", r.ID, a, why))
			}
		}
	}
	return errs
}

func checkNetwork(n *Network) (errs []error) {
	if !n.Prefix.IsValid() || n.Prefix != n.Prefix.Masked() {
		errs = append(errs, fmt.Errorf("network %s: the prefix is not valid or has bits set beyond its length", n.Prefix))
	}
	if !validKind(n.Kind) {
		errs = append(errs, fmt.Errorf("network %s: unknown kind %q, expected %s", n.Prefix, n.Kind, kindList))
	}
	return errs
}

const kindList = "virtual-machine, load-balancer or application-gateway"

func validKind(k weir.Kind) bool {
	return k == weir.VirtualMachine || k == weir.LoadBalancer || k == weir.ApplicationGateway
}

// badAddr says why an address cannot belong to a resource, or the empty string.
func badAddr(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "is not valid"
	case a.Zone() != "":
		return "has a zone"
	case a.Is4In6():
		return "is a v4-mapped address"
	case a.IsUnspecified():
		return "is the unspecified address"
	case a.IsMulticast():
		return "is a multicast address"
	}
	return ""
}

// Resources returns the resources that are listed one by one, in order of tenant
// and id. The slice and what it holds must not be written.
func (inv *Inventory) Resources() []*weir.Resource { return inv.resources }

// Networks returns the networks in order of prefix. The slice must not be written.
func (inv *Inventory) Networks() []Network { return inv.networks }

// Allow returns the allow list in order of prefix, without the built-in health
// probes. The slice must not be written.
func (inv *Inventory) Allow() []Allow { return inv.allow }

// Warnings returns sentences about what is odd and yet no error, for example a
// pool member that the inventory does not describe. The slice must not be written.
func (inv *Inventory) Warnings() []string { return inv.warnings }

// maxWarnings bounds the warnings of one inventory.
const maxWarnings = 100

func (inv *Inventory) warn(format string, args ...any) {
	switch n := len(inv.warnings); {
	case n < maxWarnings:
		inv.warnings = append(inv.warnings, fmt.Sprintf(format, args...))
	case n == maxWarnings:
		inv.warnings = append(inv.warnings, "there are more warnings, which are left out")
	}
}

// Members returns the members of the pool of a load balancer or gateway, in order
// of id; nil for everything else. The slice must not be written.
func (inv *Inventory) Members(lb *weir.Resource) []Member { return inv.pools[lb] }

// Lookup returns the resource that owns an address and the leg on which traffic
// of that address is seen, nil for none and for an ambiguous address. An exact
// address goes before a network, a longer prefix before a shorter one. The leg is
// BackLeg for the private address of a pool member that has no address of its
// own. Resources of networks are made on demand: two calls return equal values,
// usually the same pointer.
func (inv *Inventory) Lookup(addr netip.Addr) (*weir.Resource, weir.Leg) {
	if addr.Is4In6() {
		addr = addr.Unmap()
	}
	o := inv.index.owner(addr)
	if o == nil || o.ambiguous {
		return nil, weir.FrontLeg
	}
	leg := weir.FrontLeg
	if o.private && !o.hasOwn && o.pools != nil {
		leg = weir.BackLeg
	}
	r, _ := inv.resource(o, addr)
	return r, leg
}

// Ambiguous reports whether more than one tenant claims the address.
func (inv *Inventory) Ambiguous(addr netip.Addr) bool {
	o := inv.index.owner(addr.Unmap())
	return o != nil && o.ambiguous
}

// resource returns the resource of an address of the owner, and its key.
func (inv *Inventory) resource(o *owner, addr netip.Addr) (*weir.Resource, uint64) {
	if o.res != nil {
		return o.res, o.key
	}
	return inv.cache.get(o.net, addr)
}

// conflict is a contradiction between entries, with the places of both in the
// order of resources or networks; -1 where there is none.
type conflict struct {
	text     string
	resource int
	network  int
	addr     netip.Addr
}

// build makes the snapshot. It keeps the caller's positions in the conflicts, so
// that a reader of files can name lines.
func build(resources []*weir.Resource, networks []Network, allow []Allow) (*Inventory, []conflict) {
	inv := &Inventory{
		resources: slices.Clone(resources),
		networks:  slices.Clone(networks),
		allow:     slices.Clone(allow),
		pools:     make(map[*weir.Resource][]Member),
	}
	b := newIndexBuilder(inv)
	conflicts := b.build(resources, networks)
	slices.SortStableFunc(inv.resources, func(a, b *weir.Resource) int {
		return compareStrings(a.Tenant, b.Tenant, a.ID, b.ID)
	})
	slices.SortStableFunc(inv.networks, func(a, b Network) int {
		if c := comparePrefix(a.Prefix, b.Prefix); c != 0 {
			return c
		}
		return compareStrings(a.Tenant, b.Tenant)
	})
	slices.SortStableFunc(inv.allow, func(a, b Allow) int { return comparePrefix(a.Prefix, b.Prefix) })
	inv.allowed = newAllowTable(inv.allow, healthProbes())
	inv.cache = newResourceCache(inv.networks)
	return inv, conflicts
}

// compareStrings compares pairs in turn.
func compareStrings(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		switch {
		case pairs[i] < pairs[i+1]:
			return -1
		case pairs[i] > pairs[i+1]:
			return 1
		}
	}
	return 0
}

func comparePrefix(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

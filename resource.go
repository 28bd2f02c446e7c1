package weir

import (
	"hash/fnv"
	"net/netip"
	"slices"
)

// Kind is the kind of a protected resource.
type Kind string

// Kinds.
const (
	VirtualMachine     Kind = "virtual-machine"
	LoadBalancer       Kind = "load-balancer"
	ApplicationGateway Kind = "application-gateway"
)

// Listener is a service that a resource is known to offer.
type Listener struct {
	Port    uint16 `json:"port"`
	Proto   uint8  `json:"proto,omitempty"` // IANA number; 0 means TCP and UDP
	Service string `json:"service,omitempty"`
}

// Backend is a member of the pool of a load balancer or gateway. Ports of zero
// mean that every port is forwarded.
type Backend struct {
	Resource     string `json:"resource"`
	FrontendPort uint16 `json:"frontendPort,omitempty"`
	BackendPort  uint16 `json:"backendPort,omitempty"`
}

// Resource is what is protected: an immutable snapshot. A snapshot is never
// written after the inventory has published it, so it may be shared freely.
type Resource struct {
	ID               string            `json:"id"`
	Name             string            `json:"name"`
	Kind             Kind              `json:"kind"`
	Addresses        []netip.Addr      `json:"addresses,omitempty"`
	PrivateAddresses []netip.Addr      `json:"privateAddresses,omitempty"`
	Listeners        []Listener        `json:"listeners,omitempty"`
	Backends         []Backend         `json:"backends,omitempty"`
	Roles            []string          `json:"roles,omitempty"`
	Tags             map[string]string `json:"tags,omitempty"`
	Tenant           string            `json:"tenant,omitempty"`
	// Since is the lease start of the addresses; 0 means always held.
	Since int64 `json:"since,omitempty"`
	// SinceUnknown marks addresses imported from a cloud inventory that tells
	// no lease start: intelligence on them needs corroboration.
	SinceUnknown bool `json:"sinceUnknown,omitempty"`
}

// Key is a 64-bit hash of tenant and id: the shard key of everything that is
// kept per resource. It is the same in every process (FNV-1a, 64 bit).
func (r *Resource) Key() uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.Tenant))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(r.ID))
	return h.Sum64()
}

// HasRole reports whether the inventory gives the resource one of the roles.
func (r *Resource) HasRole(names ...string) bool {
	return slices.ContainsFunc(r.Roles, func(have string) bool { return slices.Contains(names, have) })
}

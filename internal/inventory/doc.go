// Package inventory knows what is protected and turns a flow into contacts.
//
// An [Inventory] is an immutable snapshot of resources, networks and the allow
// list, read from any form of the contract (YAML, JSON, the output of the Azure
// and AWS command lines, Terraform state). An [Orienter] looks up both ends of a
// flow in it and emits one [weir.Contact] for every protected end, with the
// log-odds that this end is the client.
//
// # Load balancers
//
// A load balancer or gateway is a resource of its own, reached by its front
// addresses. Traffic between it and a member of its pool is the back leg. A
// member without an address of its own is reached through the pool only, so a
// connection to its private address that fits a rule of the pool is the back leg
// of the load balancer too: evidence of which member took part, never counted.
// Azure flow logs are the exception, for they never show the front address: there
// the contact of the member is emitted as well, and counts.
//
// What a member without an address of its own opens to the internet may leave by
// the front address of its load balancer. It makes the contact of the member, which
// counts, and one on the back leg of each such balancer. [weir.Contact].Member names
// the member on every back leg.
//
// # Overlapping private space
//
// Flows carry no tenant. A private address that two tenants claim is therefore
// ambiguous: it makes no contact and is counted, see [Orienter.Counts].
package inventory

package inventory

import (
	"math"
	"net/netip"

	"github.com/gaissmai/bart"
)

// allowTable answers whether a peer is on the allow list at a time. Every node
// holds the latest end of itself and of all prefixes that cover it.
type allowTable struct {
	sieve sieve
	table *bart.Fast[allowEntry]
}

type allowEntry struct {
	until int64 // MaxInt64 for ever
	entry Allow // the entry that lasts until then
}

func newAllowTable(lists ...[]Allow) allowTable {
	t := allowTable{table: new(bart.Fast[allowEntry])}
	own := make(map[netip.Prefix]allowEntry)
	for _, list := range lists {
		for _, a := range list {
			e := allowEntry{until: a.Until, entry: a}
			if a.Until == 0 {
				e.until = math.MaxInt64
			}
			p := a.Prefix.Masked()
			if have, ok := own[p]; !ok || have.until < e.until {
				own[p] = e
			}
			t.sieve.add(p)
			t.table.Insert(p, own[p])
		}
	}
	for p := range own {
		best := own[p]
		for _, e := range t.table.Supernets(p) {
			if e.until > best.until {
				best = e
			}
		}
		t.table.Insert(p, best)
	}
	return t
}

// Allowed reports whether the peer is on the allow list at an event time (Unix
// ns), or is one of the documented sources of health probes.
func (inv *Inventory) Allowed(peer netip.Addr, at int64) bool {
	if !inv.allowed.sieve.may(peer) {
		return false
	}
	e, ok := inv.allowed.table.Lookup(peer)
	return ok && at < e.until
}

// AllowedBy returns the entry that allows the peer at that time, of all that cover
// it the one that lasts longest.
func (inv *Inventory) AllowedBy(peer netip.Addr, at int64) (Allow, bool) {
	e, ok := inv.allowed.table.Lookup(peer.Unmap())
	if !ok || at >= e.until {
		return Allow{}, false
	}
	return e.entry, true
}

// healthProbes are the documented sources of health probes of the providers.
// They are on the allow list of every inventory.
//
// Sources: Microsoft Learn, "What is IP address 168.63.129.16"; Google Cloud,
// "Firewall rules for load balancers" (health check ranges, the third and fourth
// IPv4 range are those of legacy health checks); AWS, "IP address ranges of
// Amazon Route 53 servers" (ROUTE53_HEALTHCHECKS). The checks of AWS load
// balancers come from the addresses of the load balancer itself and need no entry.
func healthProbes() []Allow {
	sources := []struct {
		reason   string
		prefixes []string
	}{
		{"Azure platform health probe", []string{"168.63.129.16/32"}},
		{"Google Cloud health check", []string{
			"35.191.0.0/16", "130.211.0.0/22", "209.85.152.0/22", "209.85.204.0/22",
			"2600:2d00:1:b029::/64", "2600:2d00:1:1::/64",
		}},
		{"Amazon Route 53 health check", []string{
			"15.177.0.0/18", "54.183.255.128/26", "54.228.16.0/26", "54.232.40.64/26", "54.241.32.64/26",
			"54.243.31.192/26", "54.244.52.192/26", "54.245.168.0/26", "54.248.220.0/26", "54.250.253.192/26",
			"54.251.31.128/26", "54.252.79.128/26", "54.252.254.192/26", "54.255.254.192/26", "107.23.255.0/26",
			"176.34.159.192/26", "177.71.207.128/26",
		}},
	}
	var all []Allow
	for _, s := range sources {
		for _, p := range s.prefixes {
			all = append(all, Allow{Prefix: netip.MustParsePrefix(p), Reason: s.reason})
		}
	}
	return all
}

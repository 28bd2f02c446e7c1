// Package cover finds the few prefixes that hold the regular peers of a service:
// what a firewall rule for it may be narrowed to (detection reference, section
// 8.15).
package cover

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/weir-net/weir"
)

const (
	most   = 20 // prefixes
	waste  = 8  // addresses of a prefix for each peer in it
	least4 = 16 // bits of a prefix
	least6 = 48
	peer6  = 64 // bits of an IPv6 peer
	listed = 1024
)

// Of returns the fewest prefixes, in order, that together hold all peers: IPv4
// addresses, and IPv6 addresses that stand for their /64. No prefix is shorter
// than a /16 (IPv6: /48), holds more than eight addresses (/64) for each of its
// peers, or overlaps one of the bad prefixes; peers that are in those themselves are
// left out. It is nil when that takes more than 20 prefixes.
func Of(peers []netip.Addr, bad []netip.Prefix) []netip.Prefix {
	members := make([]netip.Prefix, 0, len(peers))
	for _, a := range peers {
		bits := peer6
		if a = a.Unmap(); a.Is4() {
			bits = 32
		}
		if p, err := a.Prefix(bits); err == nil {
			members = append(members, p)
		}
	}
	slices.SortFunc(members, netip.Prefix.Compare)
	members = slices.Compact(members)
	six, _ := slices.BinarySearchFunc(members, true, func(p netip.Prefix, _ bool) int {
		if p.Addr().Is4() {
			return -1
		}
		return 0
	})
	out := split(members[:six], least4, bad, nil)
	if out = split(members[six:], least6, bad, out); len(out) > most {
		return nil
	}
	return out
}

// split covers sorted peers of one family, by one prefix where that is allowed.
func split(members []netip.Prefix, least int, bad, out []netip.Prefix) []netip.Prefix {
	if len(members) == 0 || len(out) > most {
		return out
	}
	unit := members[0].Bits()
	all := common(members[0], members[len(members)-1])
	clean := !slices.ContainsFunc(bad, all.Overlaps)
	if clean && all.Bits() >= least && 1<<(unit-all.Bits()) <= waste*len(members) {
		return append(out, all)
	}
	if len(members) == 1 {
		return out
	}
	half, _ := all.Addr().Prefix(all.Bits() + 1) // holds the lower half
	i := slices.IndexFunc(members, func(p netip.Prefix) bool { return !half.Contains(p.Addr()) })
	return split(members[i:], least, bad, split(members[:i], least, bad, out))
}

// common returns the longest prefix that holds two others of one family.
func common(a, b netip.Prefix) netip.Prefix {
	for bits := a.Bits(); ; bits-- {
		if p, err := a.Addr().Prefix(bits); err != nil || p.Contains(b.Addr()) {
			return p
		}
	}
}

// Holds reports whether one of the prefixes holds an address.
func Holds(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// Text writes prefixes in a row.
func Text(prefixes []netip.Prefix) string {
	words := make([]string, len(prefixes))
	for i, p := range prefixes {
		words[i] = p.String()
	}
	return strings.Join(words, ", ")
}

// List is the prefixes of indicators on peers that came, with the number of the
// newest day; its size is bounded. The zero value is empty.
type List struct {
	Days map[netip.Prefix]int64
}

// Add notes the indicators on a peer that came on a day.
func (l *List) Add(v *weir.Verdict, peer netip.Addr, day int64) {
	if l.Days == nil {
		l.Days = make(map[netip.Prefix]int64)
	}
	for _, i := range v.Indicators {
		p := i.Prefix
		if !p.IsValid() {
			p = netip.PrefixFrom(peer, peer.BitLen())
		}
		if _, ok := l.Days[p]; ok || len(l.Days) < listed {
			l.Days[p] = day
		}
	}
}

// Forget drops what did not come since a day.
func (l *List) Forget(before int64) {
	maps.DeleteFunc(l.Days, func(_ netip.Prefix, d int64) bool { return d < before })
}

// Prefixes returns the prefixes in no order.
func (l *List) Prefixes() []netip.Prefix { return slices.Collect(maps.Keys(l.Days)) }

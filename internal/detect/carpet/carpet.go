// Package carpet looks at how packets spread over destinations: whether they
// fall on one network, as a carpet bombing does, and whether each destination
// gets more of them than a scan has use for (detection reference, section 8.5).
package carpet

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/weir-net/weir/internal/baseline"
)

const (
	bits = 24  // networks that volume is added up in
	size = 256 // addresses of one
	// flooded is the number of packets to one destination from which they are no
	// probes any more: a scanner sends a few.
	flooded = 20
	most    = 0.5 // share of the packets that decides
)

// Dest is a destination with the sampled packets that it got.
type Dest struct {
	Addr    netip.Addr
	Packets uint64
}

// Net is a network with the sampled packets that its addresses got.
type Net struct {
	Prefix  netip.Prefix
	Packets uint64
}

// Nets adds destinations up by /24, those with the most packets first. IPv6
// destinations are left out: their networks have no end.
func Nets(dests []Dest) []Net {
	sum := make(map[netip.Prefix]uint64)
	for _, d := range dests {
		if d.Addr.Is4() {
			sum[netip.PrefixFrom(d.Addr, bits).Masked()] += d.Packets
		}
	}
	out := make([]Net, 0, len(sum))
	for p, n := range sum {
		out = append(out, Net{p, n})
	}
	slices.SortFunc(out, func(a, b Net) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), a.Prefix.Addr().Compare(b.Prefix.Addr()))
	})
	return out
}

// Packed reports whether destinations certainly get many packets each, as in a
// flood, at one packet sampled in n: most packets fall on networks where even
// evenly spread over all addresses they are many; or pairs of sampled packets to
// one destination are so many that the mean number of packets of a destination
// is high. The latter is n times the concentration of the packets, which sampling
// leaves as it is (section 3.1).
func Packed(n uint32, dests []Dest) bool {
	var total, pairs, covered uint64
	for _, d := range dests {
		total += d.Packets
		pairs += d.Packets * (max(d.Packets, 1) - 1) / 2
	}
	if total == 0 {
		return false
	}
	if 2*float64(n)*baseline.GQ05(pairs) >= flooded*float64(total) {
		return true
	}
	for _, net := range Nets(dests) {
		if float64(n)*baseline.GQ05(net.Packets) < flooded*size {
			break // the others have less
		}
		covered += net.Packets
	}
	return float64(covered) >= most*float64(total)
}

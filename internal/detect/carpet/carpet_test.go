package carpet

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// thin spreads packets evenly over the first so many addresses of 198.18.0.0/15
// and samples one in n.
func thin(rng *rand.Rand, n uint32, addresses, each int) []Dest {
	var out []Dest
	for i := range addresses {
		got := uint64(0)
		for range each {
			if n == 1 || rng.Uint32N(n) == 0 {
				got++
			}
		}
		if got > 0 {
			out = append(out, Dest{netip.AddrFrom4([4]byte{198, 18 + byte(i>>16), byte(i >> 8), byte(i)}), got})
		}
	}
	return out
}

func TestPacked(t *testing.T) {
	for _, c := range []struct {
		name            string
		n               uint32
		addresses, each int
		want            bool
	}{
		{"one host", 1000, 1, 60000, true},
		{"three hosts", 1000, 3, 20000, true},
		{"a /24, a second", 1000, 256, 100, true},
		{"a /24, a minute", 4096, 256, 1200, true},
		{"a /24, unsampled", 1, 256, 40, true},
		{"four /24", 1000, 1024, 300, true},
		{"sweep", 1, 20000, 1, false},
		{"sweep with repeats", 1, 20000, 3, false},
		{"sweep, sampled", 100, 100000, 3, false},
		{"sweep, thin", 1000, 131072, 3, false},
		{"sweep of a /24, thrice", 64, 256, 3, false},
		{"nothing", 1, 0, 0, false},
	} {
		for seed := range uint64(20) {
			if got := Packed(c.n, thin(rand.New(rand.NewPCG(seed, 1)), c.n, c.addresses, c.each)); got != c.want {
				t.Errorf("%s, seed %d: %v, want %v", c.name, seed, got, c.want)
			}
		}
	}
}

// Networks are those of IPv4 alone, the busiest first.
func TestNets(t *testing.T) {
	addr := netip.MustParseAddr
	got := Nets([]Dest{{addr("192.0.2.1"), 1}, {addr("198.51.100.7"), 2}, {addr("192.0.2.200"), 2}, {addr("2001:db8::1"), 9}})
	want := []Net{{netip.MustParsePrefix("192.0.2.0/24"), 3}, {netip.MustParsePrefix("198.51.100.0/24"), 2}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%v, want %v", got, want)
	}
}

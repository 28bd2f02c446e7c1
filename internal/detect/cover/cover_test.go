package cover

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-net/weir"
)

func TestOf(t *testing.T) {
	for _, c := range []struct{ name, peers, listed, want string }{
		{"nobody", "", "", ""},
		{"one", "192.0.2.7", "", "192.0.2.7/32"},
		{"neighbours", "192.0.2.1 192.0.2.6", "", "192.0.2.0/29"},
		{"too far apart", "192.0.2.1 192.0.2.200", "", "192.0.2.1/32, 192.0.2.200/32"},
		{"an indicator between", "192.0.2.1 192.0.2.2 192.0.2.6", "192.0.2.4/32", "192.0.2.0/30, 192.0.2.6/32"},
		{"a listed peer", "192.0.2.1 192.0.2.2 198.51.100.1", "192.0.2.2/32", "192.0.2.1/32, 198.51.100.1/32"},
		{"a listed network", "192.0.2.1 198.51.100.1", "192.0.2.0/24", "198.51.100.1/32"},
		{"both families", "192.0.2.1 2001:db8::1 2001:db8:0:1::9 2001:db8:ffff::1", "", "192.0.2.1/32, 2001:db8::/63, 2001:db8:ffff::/64"},
	} {
		if got := Text(Of(addrs(c.peers), prefixes(c.listed))); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	var scattered []netip.Addr
	for i := range 21 {
		scattered = append(scattered, netip.AddrFrom4([4]byte{10, byte(i), byte(7 * i), 1}))
	}
	if got := Of(scattered, nil); got != nil {
		t.Errorf("21 scattered peers: %v", got)
	}
	if got := Of(scattered[1:], nil); len(got) != 20 {
		t.Errorf("20 scattered peers: %v", got)
	}
}

func addrs(s string) (out []netip.Addr) {
	for w := range strings.FieldsSeq(s) {
		out = append(out, netip.MustParseAddr(w))
	}
	return out
}

func prefixes(s string) (out []netip.Prefix) {
	for w := range strings.FieldsSeq(s) {
		out = append(out, netip.MustParsePrefix(w))
	}
	return out
}

// TestCoverKeepsItsPromises checks every promise on random peers and lists.
func TestCoverKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		spread := rapid.IntRange(1, 1<<18).Draw(t, "spread")
		addr := func() netip.Addr {
			n := rng.IntN(spread)
			return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		}
		var peers []netip.Addr
		var listed []netip.Prefix
		for range rapid.IntRange(0, 60).Draw(t, "peers") {
			peers = append(peers, addr())
		}
		for range rapid.IntRange(0, 10).Draw(t, "listed") {
			listed = append(listed, netip.PrefixFrom(addr(), 32-rng.IntN(6)).Masked())
		}
		got := Of(peers, listed)
		if len(got) > most {
			t.Fatalf("%d prefixes", len(got))
		}
		distinct := map[netip.Addr]bool{}
		for _, a := range peers {
			distinct[a] = true
			if got != nil && !Holds(got, a) && !Holds(listed, a) {
				t.Fatalf("%v is not covered", a)
			}
		}
		for i, p := range got {
			n := 0
			for a := range distinct {
				if p.Contains(a) {
					n++
				}
			}
			if p.Bits() < least4 || 1<<(32-p.Bits()) > waste*n {
				t.Fatalf("%v for %d peers", p, n)
			}
			for _, l := range listed {
				if p.Overlaps(l) {
					t.Fatalf("%v covers %v", p, l)
				}
			}
			if i > 0 && p.Overlaps(got[i-1]) {
				t.Fatalf("%v and %v overlap", got[i-1], p)
			}
		}
	})
}

func TestListForgets(t *testing.T) {
	var l List
	peer := netip.MustParseAddr("192.0.2.1")
	l.Forget(5)
	l.Add(&weir.Verdict{Indicators: []*weir.Indicator{{}, {Prefix: netip.MustParsePrefix("198.51.100.0/24")}}}, peer, 3)
	if got := l.Prefixes(); len(got) != 2 || !Holds(got, peer) {
		t.Errorf("listed %v", got)
	}
	l.Add(&weir.Verdict{Indicators: []*weir.Indicator{{}}}, peer, 9)
	if l.Forget(4); len(l.Days) != 1 || !Holds(l.Prefixes(), peer) {
		t.Errorf("left %v", l.Days)
	}
	for i := range 3 * listed {
		l.Add(&weir.Verdict{Indicators: []*weir.Indicator{{}}}, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 9)
	}
	if len(l.Days) != listed {
		t.Errorf("%d prefixes", len(l.Days))
	}
}

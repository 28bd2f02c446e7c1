package pending

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/weir-net/weir"
	"pgregory.net/rapid"
)

func contact(t *rapid.T) weir.Contact {
	r := &weir.Resource{ID: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "resource")}
	c := weir.Contact{
		Resource: r, End: rapid.Int64Range(0, 3).Draw(t, "end"), Start: rapid.Int64Range(0, 1).Draw(t, "start"),
		Peer:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, rapid.ByteMax(2).Draw(t, "peer")}), 1),
		Own:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, 1}), rapid.Uint16Range(1, 2).Draw(t, "port")),
		Proto: rapid.Uint8Range(0, 1).Draw(t, "proto"), FromOwn: rapid.Bool().Draw(t, "fromOwn"), Allowed: rapid.Bool().Draw(t, "allowed"),
	}
	c.In.Packets = rapid.Uint64Range(0, 1).Draw(t, "packets")
	if rapid.Bool().Draw(t, "keyed") {
		c.Key = r.Key()
	}
	return c
}

// TestOrder holds that a pane gives back what was put in, by resource and in one
// order, whatever the order in which it came, and one pane after another.
func TestOrder(t *testing.T) {
	same := cmp.Options{cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{}), cmpopts.IgnoreFields(weir.Contact{}, "Key")}
	rapid.Check(t, func(t *rapid.T) {
		var order Order
		for range 2 {
			cs := rapid.SliceOfN(rapid.Custom(contact), 0, 40).Draw(t, "contacts")
			p := Of(slices.Clone(cs[:len(cs)/2]))
			for i := range cs[len(cs)/2:] {
				p.Add(&cs[len(cs)/2+i])
			}
			if p.Len() != len(cs) || len(p.All()) != len(cs) {
				t.Fatalf("%d and %d of %d contacts", p.Len(), len(p.All()), len(cs))
			}
			want := map[uint64][]weir.Contact{}
			for _, c := range rapid.Permutation(cs).Draw(t, "order") {
				want[c.Resource.Key()] = append(want[c.Resource.Key()], c)
			}
			groups := order.Take(p)
			if len(groups) != len(want) || !slices.IsSortedFunc(groups, func(a, b Group) int { return compareKeys(a.Key, b.Key) }) {
				t.Fatalf("%d groups, want %d", len(groups), len(want))
			}
			for _, g := range groups {
				w := want[g.Key]
				slices.SortFunc(w, func(a, b weir.Contact) int { return Compare(&a, &b) })
				if diff := cmp.Diff(w, order.Contacts(g), same); diff != "" {
					t.Fatal(diff)
				}
			}
		}
	})
}

func compareKeys(a, b uint64) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

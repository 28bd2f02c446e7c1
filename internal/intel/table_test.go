package intel

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	weir "github.com/weir-net/weir"
	"pgregory.net/rapid"
)

func TestNilTable(t *testing.T) {
	var table *Table
	if table.Lookup(netip.MustParseAddr("198.51.100.1")) != nil || table.Len() != 0 || table.Sources() != nil {
		t.Error("a nil table says something")
	}
	for range table.All() {
		t.Error("a nil table yields something")
	}
	empty := NewTable(nil)
	if empty.Lookup(netip.MustParseAddr("2001:db8::1")) != nil || empty.Lookup(netip.Addr{}) != nil {
		t.Error("an empty table says something")
	}
}

func TestVerdictShared(t *testing.T) {
	table := NewTable([]weir.Indicator{
		{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Category: weir.CategoryC2, Source: "b"},
		{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Category: weir.CategoryBenign, Source: "a"},
		{Prefix: netip.MustParsePrefix("198.51.100.7/32"), Category: weir.CategoryC2, Source: "a"},
	})
	one, two := table.Lookup(netip.MustParseAddr("198.51.100.1")), table.Lookup(netip.MustParseAddr("::ffff:198.51.100.2"))
	if one == nil || one != two || !one.Benign() {
		t.Errorf("%p %p", one, two)
	}
	seven := table.Lookup(netip.MustParseAddr("198.51.100.7"))
	var order []string
	for _, i := range seven.Indicators {
		order = append(order, fmt.Sprint(i.Category, i.Source))
	}
	if !slices.Equal(order, []string{"benigna", "c2a", "c2b"}) {
		t.Errorf("%v", order)
	}
	if seven.Indicators[0] != one.Indicators[0] {
		t.Error("indicators are not shared")
	}
}

func TestShrunk(t *testing.T) {
	table := func(a, b int) *Table {
		var inds []weir.Indicator
		for i := range a {
			inds = append(inds, weir.Indicator{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32), Category: weir.CategoryC2, Source: "a"})
		}
		for i := range b {
			inds = append(inds, weir.Indicator{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 32), Category: weir.CategoryC2, Source: "b"})
		}
		return NewTable(inds)
	}
	for _, tt := range []struct {
		now, before *Table
		want        []string
	}{
		{table(5, 10), table(10, 10), nil},
		{table(4, 10), table(10, 10), []string{"a"}},
		{table(10, 0), table(10, 1), []string{"b"}},
		{nil, table(1, 1), []string{"a", "b"}},
		{table(1, 1), nil, nil},
	} {
		if got := tt.now.Shrunk(tt.before); !slices.Equal(got, tt.want) {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestVerdictBounded keeps warning lists and the surest statements.
func TestVerdictBounded(t *testing.T) {
	inds := []weir.Indicator{{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Category: weir.CategoryBenign, Source: "w", Confidence: 1}}
	for i := range 100 {
		inds = append(inds, weir.Indicator{Prefix: netip.MustParsePrefix("198.51.100.1/32"), Category: weir.CategoryC2, Source: fmt.Sprint(i), Confidence: float64(i)})
	}
	table := NewTable(inds)
	v := table.Lookup(netip.MustParseAddr("198.51.100.1"))
	if len(v.Indicators) != maxPerVerdict || !v.Benign() || table.Len() != 101 {
		t.Errorf("%d indicators, benign %v, %d in all", len(v.Indicators), v.Benign(), table.Len())
	}
	for _, i := range v.Indicators[1:] {
		if i.Confidence < 100-maxPerVerdict+1 {
			t.Errorf("confidence %v was kept", i.Confidence)
		}
	}
}

func genAddr(t *rapid.T) netip.Addr {
	b := [4]byte{rapid.SampledFrom([]byte{10, 11}).Draw(t, "a"), rapid.ByteMax(1).Draw(t, "b"), rapid.ByteMax(2).Draw(t, "c"), rapid.ByteMax(3).Draw(t, "d")}
	return netip.AddrFrom4(b)
}

// twin maps a.b.c.d to 20aa:b:c::d: prefixes of 8, 16, 24, 30 and 32 bits become
// those of 16, 32, 48, 126 and 128.
func twin(a netip.Addr) netip.Addr {
	b := a.As4()
	return netip.AddrFrom16([16]byte{0x20, b[0], 0, b[1], 0, b[2], 15: b[3]})
}

func twinBits(bits int) int { return map[int]int{8: 16, 16: 32, 24: 48, 30: 126, 32: 128}[bits] }

func genIndicators(t *rapid.T) (four, six []weir.Indicator) {
	for range rapid.IntRange(0, 20).Draw(t, "n") {
		p := netip.PrefixFrom(genAddr(t), rapid.SampledFrom([]int{8, 16, 24, 30, 32}).Draw(t, "bits")).Masked()
		i := weir.Indicator{
			Prefix: p, Category: rapid.SampledFrom([]weir.Category{weir.CategoryC2, weir.CategoryBenign}).Draw(t, "category"),
			Source: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "source"), Port: rapid.Uint16Range(0, 1).Draw(t, "port"),
			LastSeen: rapid.Int64Range(0, 3).Draw(t, "last"),
		}
		four = append(four, i)
		i.Prefix = netip.PrefixFrom(twin(p.Addr()), twinBits(p.Bits())).Masked()
		six = append(six, i)
	}
	return four, six
}

// TestLookupNaive compares with a scan over all indicators, in both families, and
// holds that the order of the indicators does not matter.
func TestLookupNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		four, six := genIndicators(t)
		a := genAddr(t)
		for _, family := range []struct {
			inds []weir.Indicator
			addr netip.Addr
		}{{four, a}, {six, twin(a)}} {
			table := NewTable(family.inds)
			want := map[identity]int64{}
			for _, i := range family.inds {
				if i.Prefix.Contains(family.addr) {
					id := identity{i.Prefix, i.Category, i.Family, i.Source, i.Port, i.Proto}
					want[id] = max(want[id], i.LastSeen)
				}
			}
			got := map[identity]int64{}
			v := table.Lookup(family.addr)
			if v != nil {
				for _, i := range v.Indicators {
					got[identity{i.Prefix, i.Category, i.Family, i.Source, i.Port, i.Proto}] = i.LastSeen
				}
				if len(got) != len(v.Indicators) || !slices.IsSortedFunc(v.Indicators, compare) {
					t.Fatalf("order: %+v", v.Indicators)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) || (v == nil) != (len(want) == 0) {
				t.Fatalf("%s: got %v, want %v", family.addr, got, want)
			}
			n := 0
			for range table.All() {
				n++
			}
			if n != table.Len() {
				t.Fatalf("All yields %d of %d", n, table.Len())
			}
			other := NewTable(rapid.Permutation(family.inds).Draw(t, "order"))
			if w := other.Lookup(family.addr); fmt.Sprint(flat(v)) != fmt.Sprint(flat(w)) {
				t.Fatalf("order matters: %v, %v", flat(v), flat(w))
			}
		}
	})
}

// TestFill holds that a batch gets the verdicts that Lookup gives for each address,
// in all families and with what is no address, whatever stood there before.
func TestFill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		four, six := genIndicators(t)
		var tables []*Table
		for _, inds := range [][]weir.Indicator{four, six, append(slices.Clone(four), six...), nil} {
			tables = append(tables, NewTable(inds))
		}
		tables = append(tables, nil)
		addr := func() netip.AddrPort {
			a := genAddr(t)
			switch rapid.IntRange(0, 5).Draw(t, "family") {
			case 0:
				a = twin(a)
			case 1:
				a = netip.AddrFrom16(a.As16())
			case 2:
				a = netip.Addr{}
			}
			return netip.AddrPortFrom(a, 1)
		}
		cs := make([]weir.Contact, rapid.SampledFrom([]int{0, 1, 63, 64, 65, 130}).Draw(t, "contacts"))
		for i := range cs {
			if i < 20 { // what comes after is their like
				cs[i].Peer, cs[i].Own = addr(), addr()
			} else {
				cs[i].Peer, cs[i].Own = cs[i%20].Own, cs[i*7%20].Peer
			}
		}
		for _, table := range tables {
			for i := range cs {
				cs[i].PeerIntel, cs[i].OwnIntel = &weir.Verdict{}, &weir.Verdict{}
			}
			table.Fill(cs)
			for i := range cs {
				if c := &cs[i]; c.PeerIntel != table.Lookup(c.Peer.Addr()) || c.OwnIntel != table.Lookup(c.Own.Addr()) {
					t.Fatalf("contact %d of %s with %s: %v and %v", i, c.Own.Addr(), c.Peer.Addr(), flat(c.OwnIntel), flat(c.PeerIntel))
				}
			}
		}
	})
}

func flat(v *weir.Verdict) (all []weir.Indicator) {
	if v != nil {
		for _, i := range v.Indicators {
			all = append(all, *i)
		}
	}
	return all
}

// TestRanges: the prefixes of a range cover it, and nothing else, once.
func TestRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo := rapid.Uint32Range(0, 1<<32-300).Draw(t, "lo")
		n := rapid.Uint32Range(0, 299).Draw(t, "n")
		addr := func(v uint32) netip.Addr {
			return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
		}
		ps := ranges(addr(lo).String(), addr(lo+n).String())
		size := 0
		for i, p := range ps {
			if p != p.Masked() || i > 0 && lastOf(ps[i-1]).Next() != p.Addr() {
				t.Fatalf("%v", ps)
			}
			size += 1 << (32 - p.Bits())
		}
		if size != int(n)+1 || ps[0].Addr() != addr(lo) {
			t.Fatalf("%d addresses from %s, want %d: %v", size, addr(lo), n+1, ps)
		}
	})
	for _, bad := range [][2]string{{"198.51.100.2", "198.51.100.1"}, {"198.51.100.1", "2001:db8::1"}, {"x", "198.51.100.1"}} {
		if ps := ranges(bad[0], bad[1]); ps != nil {
			t.Errorf("%v: %v", bad, ps)
		}
	}
	if ps := ranges("0.0.0.0", "255.255.255.255"); len(ps) != 1 || ps[0].Bits() != 0 {
		t.Errorf("%v", ps)
	}
	if ps := ranges("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"); len(ps) != 254 {
		t.Errorf("%d prefixes of the longest range", len(ps))
	}
}

func TestLookupAllocations(t *testing.T) {
	table := NewTable([]weir.Indicator{{Prefix: netip.MustParsePrefix("198.51.100.7/32"), Category: weir.CategoryC2}, {Prefix: netip.MustParsePrefix("2001:db8::7/128"), Category: weir.CategoryC2}})
	for _, text := range []string{"198.51.100.7", "198.51.100.8", "8.8.8.8", "2001:db8::7", "2001:db8::8", "2a00::1"} {
		a := netip.MustParseAddr(text)
		if n := testing.AllocsPerRun(100, func() { table.Lookup(a) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	var inds []weir.Indicator
	x := uint32(1)
	next := func() netip.Addr {
		x = x*1664525 + 1013904223 // Numerical Recipes, section 7.1
		return netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)})
	}
	for i := range 100_000 {
		bits := 32
		if i%5 == 0 {
			bits = 24
		}
		p, err := next().Prefix(bits)
		if err != nil {
			b.Fatal(err)
		}
		inds = append(inds, weir.Indicator{Prefix: p, Category: weir.CategoryMalicious, Source: "s"})
	}
	for range 100_000 {
		a := twin(next())
		inds = append(inds, weir.Indicator{Prefix: netip.PrefixFrom(a, 128), Category: weir.CategoryMalicious, Source: "s"})
	}
	table := NewTable(inds)
	four, six, hits := make([]netip.Addr, 1<<14), make([]netip.Addr, 1<<14), make([]netip.Addr, 1<<14)
	for i := range four {
		four[i] = next()
		b := next().As4()
		six[i] = netip.AddrFrom16([16]byte{0x2a, b[0], b[1], b[2], b[3], 15: 1})
		hits[i] = inds[i].Prefix.Addr()
	}
	for _, tt := range []struct {
		name  string
		addrs []netip.Addr
	}{{"miss4", four}, {"miss6", six}, {"hit4", hits}} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				table.Lookup(tt.addrs[i&(1<<14-1)])
				i++
			}
		})
	}
	cs := make([]weir.Contact, 1<<14)
	for i := range cs {
		cs[i].Peer, cs[i].Own = netip.AddrPortFrom(four[i], 443), netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, byte(i)}), 50000)
	}
	b.Run("fill", func(b *testing.B) { // both ends of a contact in one operation
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i&255 == 0 {
				at := i & (len(cs) - 1)
				table.Fill(cs[at : at+256])
			}
		}
	})
	b.Run("build", func(b *testing.B) {
		for b.Loop() {
			NewTable(inds)
		}
	})
}

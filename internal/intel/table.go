package intel

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
	weir "github.com/weir-net/weir"
)

// maxPerVerdict bounds the indicators of one verdict, so that many statements about
// a wide prefix do not multiply with the narrow ones inside it.
const maxPerVerdict = 32

// Table answers what all loaded sources say about an address. It is immutable and
// safe for concurrent use; a nil table says nothing.
type Table struct {
	tree *bart.Table[*weir.Verdict]
	// v4 has a bit for every /24 that an indicator touches: most addresses of the
	// internet are turned away by one read. v6 does so by a hash of the /48, wide6
	// for the prefixes above it by the first 16 bits.
	v4      []uint64
	v6      []uint64
	wide6   []uint64
	n       int
	sources []Source
}

// Source is what a table holds of one source.
type Source struct {
	Name       string `json:"name"`
	Indicators int    `json:"indicators"`
	// Oldest and Newest are the first and last times of last sighting, Unix ns; 0
	// when the source tells none.
	Oldest int64 `json:"oldest,omitempty"`
	Newest int64 `json:"newest,omitempty"`
}

// Sizes of the bitmaps, in bits.
const (
	bits4  = 1 << 24
	bits6  = 1 << 20
	wide6n = 1 << 16
)

// NewTable returns the table of the indicators. The slice is not kept. Indicators
// that differ in nothing but their times and confidence are merged.
func NewTable(indicators []weir.Indicator) *Table {
	t := &Table{tree: new(bart.Table[*weir.Verdict])}
	inds := make([]*weir.Indicator, 0, len(indicators))
	for i := range indicators {
		if p := indicators[i].Prefix; p.IsValid() {
			ind := indicators[i]
			ind.Prefix = p.Masked()
			inds = append(inds, &ind)
		}
	}
	slices.SortStableFunc(inds, func(a, b *weir.Indicator) int {
		return cmp.Or(a.Prefix.Compare(b.Prefix), compare(a, b))
	})
	inds = mergeSorted(inds)
	t.n = len(inds)
	t.count(inds)
	// In this order a prefix comes after every prefix that covers it, so the verdict
	// of the closest one is ready and holds those of all above.
	for len(inds) > 0 {
		p := inds[0].Prefix
		end := 1
		for end < len(inds) && inds[end].Prefix == p {
			end++
		}
		own := slices.Clone(inds[:end])
		if outer, ok := t.tree.LookupPrefix(p); ok {
			own = append(own, outer.Indicators...)
		}
		t.tree.Insert(p, &weir.Verdict{Indicators: bound(own)})
		t.mark(p)
		inds = inds[end:]
	}
	return t
}

// compare is the stable order of a verdict.
func compare(a, b *weir.Indicator) int {
	return cmp.Or(
		cmp.Compare(a.Category, b.Category), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Family, b.Family),
		a.Prefix.Compare(b.Prefix), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto),
	)
}

func mergeSorted(inds []*weir.Indicator) []*weir.Indicator {
	out := inds[:0]
	for _, ind := range inds {
		if len(out) > 0 && compare(out[len(out)-1], ind) == 0 {
			merge(out[len(out)-1], ind)
			continue
		}
		out = append(out, ind)
	}
	return out
}

// bound sorts and cuts the indicators of a verdict: warning lists stay first, then
// what has the highest confidence.
func bound(inds []*weir.Indicator) []*weir.Indicator {
	if len(inds) > maxPerVerdict {
		slices.SortStableFunc(inds, func(a, b *weir.Indicator) int {
			if x, y := a.Category == weir.CategoryBenign, b.Category == weir.CategoryBenign; x != y {
				if x {
					return -1
				}
				return 1
			}
			return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), compare(a, b))
		})
		inds = inds[:maxPerVerdict]
	}
	slices.SortStableFunc(inds, compare)
	return slices.Clip(inds)
}

func (t *Table) count(inds []*weir.Indicator) {
	at := make(map[string]int)
	for _, ind := range inds {
		i, ok := at[ind.Source]
		if !ok {
			i = len(t.sources)
			at[ind.Source] = i
			t.sources = append(t.sources, Source{Name: ind.Source})
		}
		s := &t.sources[i]
		s.Indicators++
		if ind.LastSeen != 0 {
			if s.Oldest == 0 || ind.LastSeen < s.Oldest {
				s.Oldest = ind.LastSeen
			}
			s.Newest = max(s.Newest, ind.LastSeen)
		}
	}
	slices.SortFunc(t.sources, func(a, b Source) int { return cmp.Compare(a.Name, b.Name) })
}

func slot4(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
}

func slots6(a netip.Addr) (wide, hash uint32) {
	b := a.As16()
	hi := uint64(b[0])<<40 | uint64(b[1])<<32 | uint64(b[2])<<24 | uint64(b[3])<<16 | uint64(b[4])<<8 | uint64(b[5])
	// Multiplicative hashing with the golden ratio (Knuth, TAOCP 6.4); the top 20
	// bits select the bit.
	return uint32(b[0])<<8 | uint32(b[1]), uint32(hi * 0x9E3779B97F4A7C15 >> 44)
}

func set(bits []uint64, i uint32)      { bits[i>>6] |= 1 << (i & 63) }
func has(bits []uint64, i uint32) bool { return bits[i>>6]&(1<<(i&63)) != 0 }

func (t *Table) mark(p netip.Prefix) {
	if p.Addr().Is4() {
		if t.v4 == nil {
			t.v4 = make([]uint64, bits4/64)
		}
		first, n := slot4(p.Addr()), uint32(1)
		if p.Bits() < 24 {
			n = 1 << (24 - p.Bits())
		}
		for i := first; i < first+n; i++ {
			set(t.v4, i)
		}
		return
	}
	if t.v6 == nil {
		t.v6, t.wide6 = make([]uint64, bits6/64), make([]uint64, wide6n/64)
	}
	wide, hash := slots6(p.Addr())
	switch {
	case p.Bits() >= 48:
		set(t.v6, hash)
	case p.Bits() >= 16:
		set(t.wide6, wide)
	default:
		n := uint32(1) << (16 - p.Bits())
		for i := wide; i < wide+n; i++ {
			set(t.wide6, i)
		}
	}
}

// Lookup returns everything that the sources say about an address: the indicators
// of the address and of all prefixes that cover it, nil for none. The verdict is
// shared: two addresses about which the same is said get the same pointer.
func (t *Table) Lookup(addr netip.Addr) *weir.Verdict {
	if t == nil {
		return nil
	}
	if !addr.Is4() {
		if !addr.Is4In6() {
			return t.lookup6(addr)
		}
		addr = addr.Unmap()
	}
	if t.v4 == nil || !has(t.v4, slot4(addr)) {
		return nil
	}
	v, _ := t.tree.Lookup(addr)
	return v
}

func (t *Table) lookup6(addr netip.Addr) *weir.Verdict {
	if t.v6 == nil || !addr.IsValid() {
		return nil
	}
	wide, hash := slots6(addr)
	if !has(t.v6, hash) && !has(t.wide6, wide) {
		return nil
	}
	v, _ := t.tree.Lookup(addr)
	return v
}

// Len returns the number of indicators.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return t.n
}

// Sources returns what the table holds of each source, in order of name. The slice
// must not be written.
func (t *Table) Sources() []Source {
	if t == nil {
		return nil
	}
	return t.sources
}

// Shrunk returns the names of the sources that have less than half of the
// indicators they had in an earlier table, or none, in order. A feed that broke
// looks like that: its reader should keep the earlier one and say so.
func (t *Table) Shrunk(earlier *Table) (names []string) {
	now := make(map[string]int)
	for _, s := range t.Sources() {
		now[s.Name] = s.Indicators
	}
	for _, s := range earlier.Sources() {
		if 2*now[s.Name] < s.Indicators {
			names = append(names, s.Name)
		}
	}
	return names
}

// All yields every indicator, in order of prefix, then of category, source, family
// and port.
func (t *Table) All() iter.Seq[*weir.Indicator] {
	return func(yield func(*weir.Indicator) bool) {
		if t == nil {
			return
		}
		for p, v := range t.tree.AllSorted() {
			for _, ind := range v.Indicators {
				if ind.Prefix == p && !yield(ind) {
					return
				}
			}
		}
	}
}

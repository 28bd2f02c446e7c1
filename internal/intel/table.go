package intel

import (
	"cmp"
	"encoding/binary"
	"iter"
	"math/bits"
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
	// internet are turned away by one read. v6 does so by two bits of the /48, wide6
	// for the prefixes above it by the first 16 bits.
	v4      []uint64
	v6      []uint64
	wide6   []uint64
	shift6  uint8 // of the hash to the word in v6
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

// Sizes of the bitmaps, in bits. That of IPv6 has each6 to twice as many for every
// indicator, which sets two of one word: it lets about one foreign address in 50 pass
// (a Bloom filter in blocks; Putze, Sanders and Singler, JEA 14, 2009).
const (
	bits4  = 1 << 24
	each6  = 16
	least6 = 1 << 12
	most6  = 1 << 24
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
	t.room6(inds)
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
	return binary.BigEndian.Uint32(b[:]) >> 8
}

// room6 makes the bitmaps of IPv6 for the indicators, none where there are none.
func (t *Table) room6(inds []*weir.Indicator) {
	n := 0
	for _, i := range inds {
		if !i.Prefix.Addr().Is4() {
			n++
		}
	}
	if n == 0 {
		return
	}
	size := uint64(least6)
	for size < most6 && size < uint64(n)*each6 {
		size *= 2
	}
	t.v6, t.wide6 = make([]uint64, size/64), make([]uint64, wide6n/64)
	t.shift6 = uint8(64 - bits.TrailingZeros64(size/64)) //nolint:gosec // 46 to 58
}

// slots6 returns the bit of wide6 of an address, and the word of v6 with its bits.
func (t *Table) slots6(a netip.Addr) (wide, word uint32, both uint64) {
	b := a.As16()
	hi := binary.BigEndian.Uint64(b[:8]) >> 16
	// Multiplicative hashing with the golden ratio (Knuth, TAOCP 6.4).
	h := hi * 0x9E3779B97F4A7C15
	return uint32(b[0])<<8 | uint32(b[1]), uint32(h >> (t.shift6 & 63)), 1<<(h>>34&63) | 1<<(h>>40&63) //nolint:gosec // at most 18 bits
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
	wide, word, both := t.slots6(p.Addr())
	switch {
	case p.Bits() >= 48:
		t.v6[word] |= both
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
	if !t.may(addr) {
		return nil
	}
	v, _ := t.tree.Lookup(addr.Unmap())
	return v
}

// may reports whether an indicator may match the address.
func (t *Table) may(addr netip.Addr) bool {
	if addr.Is4() {
		return t.v4 != nil && has(t.v4, slot4(addr))
	}
	return t.may6(addr)
}

func (t *Table) may6(addr netip.Addr) bool {
	if addr.Is4In6() {
		return t.may(addr.Unmap())
	}
	if t.v6 == nil || !addr.IsValid() {
		return false
	}
	wide, word, both := t.slots6(addr)
	return t.v6[word]&both == both || has(t.wide6, wide)
}

// Fill sets the verdicts on both ends of the contacts of a batch, nil for none. It
// does what Lookup does address by address, but waits for memory once and not at
// each: the bits of all are read before anything depends on them.
func (t *Table) Fill(cs []weir.Contact) {
	if t == nil || t.n == 0 {
		for i := range cs {
			cs[i].PeerIntel, cs[i].OwnIntel = nil, nil
		}
		return
	}
	for len(cs) > 0 {
		n := min(len(cs), 64)
		t.fill(cs[:n])
		cs = cs[n:]
	}
}

// fill is Fill for up to 64 contacts.
func (t *Table) fill(cs []weir.Contact) {
	var peer, own uint64 // a bit for each contact whose end may match
	for i := range cs {
		c := &cs[i]
		c.PeerIntel, c.OwnIntel = nil, nil
		if t.may(c.Peer.Addr()) {
			peer |= 1 << (i & 63)
		}
		if t.may(c.Own.Addr()) {
			own |= 1 << (i & 63)
		}
	}
	for ; peer != 0; peer &= peer - 1 {
		c := &cs[bits.TrailingZeros64(peer)]
		c.PeerIntel, _ = t.tree.Lookup(c.Peer.Addr().Unmap())
	}
	for ; own != 0; own &= own - 1 {
		c := &cs[bits.TrailingZeros64(own)]
		c.OwnIntel, _ = t.tree.Lookup(c.Own.Addr().Unmap())
	}
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

package inventory

import (
	"encoding/binary"
	"net/netip"
)

// ratio spreads keys by multiplicative hashing with the golden ratio (Knuth, The
// Art of Computer Programming, volume 3, section 6.4).
const ratio = 0x9e3779b97f4a7c15

// bits4 is an IPv4 address as a number.
func bits4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// bits6 is an IPv6 address as two numbers.
func bits6(a netip.Addr) [2]uint64 {
	b := a.As16()
	return [2]uint64{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// sieve turns away most addresses that no prefix in it covers: it has a bit for
// every /16 of IPv4 and for a hash of every /32 of IPv6.
type sieve struct {
	v4, v6 [1024]uint64
	wide   bool // a prefix shorter than /32 makes the bits of IPv6 useless
}

func (s *sieve) add(p netip.Prefix) {
	a := p.Addr()
	if a.Is4() {
		first, n := bits4(a)>>16, uint32(1)
		if p.Bits() < 16 {
			n = 1 << (16 - p.Bits())
		}
		for i := first; i < first+n; i++ {
			s.v4[i>>6] |= 1 << (i & 63)
		}
		return
	}
	if p.Bits() < 32 {
		s.wide = true
		return
	}
	i := slot6(a)
	s.v6[i>>6] |= 1 << (i & 63)
}

// slot6 is the bit of an IPv6 address.
func slot6(a netip.Addr) uint32 {
	b := a.As16()
	return binary.BigEndian.Uint32(b[:4]) * (ratio >> 32) >> 16
}

// may reports whether a prefix may cover the address; invalid ones never are.
func (s *sieve) may(a netip.Addr) bool {
	if a.Is4() {
		i := bits4(a) >> 16
		return s.v4[i>>6]&(1<<(i&63)) != 0
	}
	if !a.IsValid() {
		return false
	}
	i := slot6(a)
	return s.wide || s.v6[i>>6]&(1<<(i&63)) != 0
}

// exact4 maps IPv4 addresses to numbers above 0: an open table with linear
// probing, at most half full. The zero value is empty.
type exact4 struct {
	slots []slotOf4 // a power of two
	used  int
	shift uint8 // of the product to the slot
}

type slotOf4 struct{ addr, n uint32 }

// insert sets the number of an address.
func (t *exact4) insert(addr, n uint32) {
	if 2*(t.used+1) > len(t.slots) {
		old := t.slots
		t.slots = make([]slotOf4, max(16, 2*len(old)))
		t.shift, t.used = shiftFor(len(t.slots)), 0
		for _, s := range old {
			if s.n != 0 {
				t.insert(s.addr, s.n)
			}
		}
	}
	s := t.slot(addr)
	if s.n == 0 {
		t.used++
	}
	*s = slotOf4{addr, n}
}

// find returns the number of an address, 0 for none.
func (t *exact4) find(addr uint32) uint32 {
	if t.used == 0 {
		return 0
	}
	return t.slot(addr).n
}

// slot is where the address is or would be. There is at least one empty slot.
func (t *exact4) slot(addr uint32) *slotOf4 {
	mask := uint64(len(t.slots) - 1) //nolint:gosec // there are slots
	for i := uint64(addr) * ratio >> (t.shift & 63); ; i++ {
		if s := &t.slots[i&mask]; s.n == 0 || s.addr == addr {
			return s
		}
	}
}

// exact6 is exact4 for IPv6.
type exact6 struct {
	slots []slotOf6
	used  int
	shift uint8
}

type slotOf6 struct {
	addr [2]uint64
	n    uint32
}

func (t *exact6) insert(addr [2]uint64, n uint32) {
	if 2*(t.used+1) > len(t.slots) {
		old := t.slots
		t.slots = make([]slotOf6, max(16, 2*len(old)))
		t.shift, t.used = shiftFor(len(t.slots)), 0
		for _, s := range old {
			if s.n != 0 {
				t.insert(s.addr, s.n)
			}
		}
	}
	s := t.slot(addr)
	if s.n == 0 {
		t.used++
	}
	*s = slotOf6{addr, n}
}

func (t *exact6) find(addr [2]uint64) uint32 {
	if t.used == 0 {
		return 0
	}
	return t.slot(addr).n
}

func (t *exact6) slot(addr [2]uint64) *slotOf6 {
	mask := uint64(len(t.slots) - 1) //nolint:gosec // there are slots
	// Two products, so that neither half of the address alone decides.
	for i := (addr[0]*ratio>>32 ^ addr[1]) * ratio >> (t.shift & 63); ; i++ {
		if s := &t.slots[i&mask]; s.n == 0 || s.addr == addr {
			return s
		}
	}
}

// shiftFor leaves as many high bits of a product as number the slots.
func shiftFor(slots int) uint8 {
	shift := uint8(64)
	for ; slots > 1; slots >>= 1 {
		shift--
	}
	return shift
}

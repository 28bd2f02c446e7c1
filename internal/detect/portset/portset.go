// Package portset counts distinct ports exactly.
package portset

import (
	"math/bits"
	"slices"
)

// small is the number of ports up to which a list is kept.
const small = 256

// Set is a set of ports: a sorted list while small, a bitmap of all 65,536
// afterwards. The zero value is the empty set. Fields are exported for encoding
// alone.
type Set struct {
	Small []uint16
	Big   *[1024]uint64
}

// Add adds a port.
func (s *Set) Add(p uint16) {
	if s.Big != nil {
		s.Big[p>>6] |= 1 << (p & 63)
		return
	}
	i, found := slices.BinarySearch(s.Small, p)
	if found {
		return
	}
	if len(s.Small) < small {
		s.Small = slices.Insert(s.Small, i, p)
		return
	}
	s.grow()
	s.Add(p)
}

func (s *Set) grow() {
	s.Big = new([1024]uint64)
	for _, p := range s.Small {
		s.Big[p>>6] |= 1 << (p & 63)
	}
	s.Small = nil
}

// Union adds all ports of o.
func (s *Set) Union(o *Set) {
	if o.Big != nil {
		if s.Big == nil {
			s.grow()
		}
		for i, w := range o.Big {
			s.Big[i] |= w
		}
		return
	}
	for _, p := range o.Small {
		s.Add(p)
	}
}

// Len returns the number of ports.
func (s *Set) Len() uint64 {
	if s.Big == nil {
		return uint64(len(s.Small))
	}
	n := 0
	for _, w := range s.Big {
		n += bits.OnesCount64(w)
	}
	return uint64(n)
}

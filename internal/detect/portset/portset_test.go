package portset

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSetAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ports := rapid.SliceOfN(rapid.Uint16(), 0, 2000)
		var a, b Set
		all := map[uint16]bool{}
		for _, p := range ports.Draw(t, "a") {
			a.Add(p)
			all[p] = true
		}
		if a.Len() != uint64(len(all)) {
			t.Fatalf("%d ports, want %d", a.Len(), len(all))
		}
		for _, p := range ports.Draw(t, "b") {
			b.Add(p)
			all[p] = true
		}
		ab, ba := a, b
		if a.Big != nil {
			c := *a.Big
			ab.Big = &c
		}
		ab.Small = append([]uint16(nil), a.Small...)
		ab.Union(&b)
		ba.Union(&a)
		if ab.Len() != uint64(len(all)) || ba.Len() != ab.Len() {
			t.Fatalf("unions have %d and %d ports, want %d", ab.Len(), ba.Len(), len(all))
		}
	})
}

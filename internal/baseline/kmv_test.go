package baseline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// fraction returns the hash at v in [0,1) of the range.
func fraction(v float64) uint64 { return uint64(v*(1<<53)) << 11 }

func TestKMVDeterministic(t *testing.T) {
	for n, want := range map[int]float64{1000: 997.089844, 20000: 19922.871094, 100000: 99610.371094, 200: 200, 256: 256} {
		s := NewKMV(256)
		for i := n; i >= 1; i-- {
			s.Add(fraction(float64(i)/float64(n+1)), "", 1)
		}
		absNear(t, fmt.Sprintf("n=%d", n), s.Estimate(), want, 1e-5)
	}
	absNear(t, "empty", new(KMV).Estimate(), 0, 0)
}

// The relative standard deviation is that of theory.
func TestKMVError(t *testing.T) {
	for _, c := range []struct {
		k, n   int
		sd     float64
		approx float64
	}{{64, 2000, 0.124984, 0.127000}, {128, 2000, 0.086212, 0.089087}, {256, 2000, 0.058609, 0.062746}, {256, 20000, 0.062344, 0.062746}} {
		absNear(t, "large-n form", 1/math.Sqrt(float64(c.k-2)), c.approx, 1e-6)
		absNear(t, "exact form", math.Sqrt(float64(c.n-c.k+1)/(float64(c.n)*float64(c.k-2))), c.sd, 1e-6)
		rng := rand.New(rand.NewPCG(8, uint64(c.k)))
		const runs = 300
		var sum, sq float64
		for range runs {
			s := NewKMV(c.k)
			for range c.n {
				s.Add(rng.Uint64(), "", 1)
			}
			e := s.Estimate() / float64(c.n)
			sum += e
			sq += e * e
		}
		m := sum / runs
		absNear(t, fmt.Sprintf("k=%d n=%d mean", c.k, c.n), m, 1, 4*c.sd/math.Sqrt(runs))
		relNear(t, fmt.Sprintf("k=%d n=%d s.d.", c.k, c.n), math.Sqrt(sq/runs-m*m), c.sd, 0.15)
	}
	absNear(t, "HLL of 2^12, for comparison", 1.04/math.Sqrt(4096), 0.01625, 1e-12)
}

// drawKMV builds a sketch from a small key space, so that sketches overlap.
func drawKMV(t *rapid.T, name string) *KMV {
	s := NewKMV(rapid.IntRange(3, 12).Draw(t, name+" k"))
	for _, i := range rapid.SliceOfN(rapid.Uint64Range(0, 30), 0, 60).Draw(t, name) {
		s.Add(i*0x9e3779b97f4a7c15, fmt.Sprint("key ", i), 1+i%3)
	}
	return s
}

func clone(s *KMV) *KMV { return &KMV{K: s.K, Entries: slices.Clone(s.Entries), Full: s.Full} }

func joined(f func(s, o *KMV), a, b *KMV) *KMV {
	s := clone(a)
	f(s, b)
	return s
}

// P21: Merge is associative, commutative and idempotent; Sum the first two.
func TestKMVLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawKMV(t, "a"), drawKMV(t, "b"), drawKMV(t, "c")
		for name, f := range map[string]func(s, o *KMV){"merge": (*KMV).Merge, "sum": (*KMV).Sum} {
			equal := func(law string, x, y *KMV) {
				if d := cmp.Diff(x, y); d != "" {
					t.Fatalf("%s is not %s: %s", name, law, d)
				}
			}
			equal("commutative", joined(f, a, b), joined(f, b, a))
			equal("associative", joined(f, joined(f, a, b), c), joined(f, a, joined(f, b, c)))
			if name == "merge" {
				equal("idempotent", joined(f, joined(f, a, b), b), joined(f, a, b))
				equal("idempotent alone", joined(f, a, a), joined(f, a, &KMV{K: a.K, Entries: []KMVEntry{}}))
			}
		}
	})
}

// A sketch depends on the multiset only, its counters are exact, and the sum of
// parts is the sketch of the whole.
func TestKMVOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.Uint64Range(0, 40), 0, 120).Draw(t, "keys")
		build := func(keys []uint64) *KMV {
			s := NewKMV(8)
			for _, i := range keys {
				s.Add(i*0x9e3779b97f4a7c15, fmt.Sprint(i), 1)
			}
			return s
		}
		whole := build(keys)
		shuffled := rapid.Permutation(keys).Draw(t, "shuffled")
		if d := cmp.Diff(whole, build(shuffled)); d != "" {
			t.Fatal("order matters: ", d)
		}
		cut := rapid.IntRange(0, len(keys)).Draw(t, "cut")
		if d := cmp.Diff(whole.Entries, joined((*KMV).Sum, build(keys[:cut]), build(keys[cut:])).Entries); len(keys) > 0 && d != "" {
			t.Fatal("parts matter: ", d)
		}
		counts := map[uint64]uint64{}
		for _, i := range keys {
			counts[i*0x9e3779b97f4a7c15]++
		}
		for _, e := range whole.Entries {
			if counts[e.Hash] != e.Count {
				t.Fatalf("counter %d, want %d", e.Count, counts[e.Hash])
			}
		}
		if len(counts) <= 8 && whole.Estimate() != float64(len(counts)) {
			t.Fatalf("estimate %g of %d keys", whole.Estimate(), len(counts))
		}
	})
}

func TestKMVStatistics(t *testing.T) {
	s := NewKMV(1024)
	for i, c := range []uint64{80, 10, 10, 1, 1, 2} {
		s.Add(uint64(i)<<40, fmt.Sprint(i), c)
	}
	once, twice, kept := s.Singles()
	if once != 2 || twice != 1 || kept != 6 {
		t.Errorf("singles %d %d %d", once, twice, kept)
	}
	absNear(t, "G", s.Concentration(104), Concentration([]uint64{80, 10, 10, 1, 1, 2}), 1e-12)
	absNear(t, "G of one packet", s.Concentration(1), 0, 0)
	top := s.Top(2)
	if len(top) != 2 || top[0].Key != "0" || top[1].Key != "1" || len(s.Top(-1)) != 0 || len(s.Top(99)) != 6 {
		t.Errorf("top %v", top)
	}
	s.Add(0, "", math.MaxUint64)
	if s.Entries[0].Count != math.MaxUint64 || s.Entries[0].Key != "0" {
		t.Errorf("saturation: %+v", s.Entries[0])
	}
}

func TestAHSLevel(t *testing.T) {
	for _, c := range []struct {
		n     int
		limit uint64
		j     int
		kept  uint64
	}{{256, 256, 0, 256}, {257, 256, 1, 128}, {1000, 256, 2, 250}, {100000, 256, 9, 195}, {1000000, 1000, 10, 977}} {
		hashes := make([]uint64, c.n)
		for i := range hashes {
			hashes[i] = fraction((float64(i) + 0.5) / float64(c.n))
		}
		j, kept := AHSLevelOf(hashes, c.limit)
		if j != c.j || kept != c.kept {
			t.Errorf("n=%d cap=%d: level %d keeps %d, want %d and %d", c.n, c.limit, j, kept, c.j, c.kept)
		}
		var n uint64
		for _, h := range hashes {
			if AHSKeep(h, j) {
				n++
			}
		}
		if n != kept {
			t.Errorf("AHSKeep keeps %d, the level says %d", n, kept)
		}
	}
	if j, kept := AHSLevelOf([]uint64{0, 0, 0}, 2); j != AHSMax || kept != 3 {
		t.Errorf("keys that cannot be told apart: %d %d", j, kept)
	}
	if !AHSKeep(1<<63, 0) || AHSKeep(1<<63, 1) || !AHSKeep(1<<63-1, 1) {
		t.Error("edge of level 1")
	}
}

// The level is the smallest that fits.
func TestAHSSmallest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hashes := rapid.SliceOf(rapid.Uint64()).Draw(t, "hashes")
		limit := rapid.Uint64Range(1, 50).Draw(t, "limit")
		count := func(j int) (n uint64) {
			for _, h := range hashes {
				if AHSKeep(h, j) {
					n++
				}
			}
			return n
		}
		j, kept := AHSLevelOf(hashes, limit)
		if count(j) != kept || kept > limit && j < AHSMax || j > 0 && count(j-1) <= limit {
			t.Fatalf("level %d keeps %d of %d, limit %d", j, kept, len(hashes), limit)
		}
	})
}

func BenchmarkKMVAdd(b *testing.B) {
	s := NewKMV(256)
	rng := rand.New(rand.NewPCG(1, 1))
	for range b.N {
		s.Add(rng.Uint64(), "", 1)
	}
}

package baseline

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestBetaReference(t *testing.T) {
	for _, c := range []struct {
		k, n   uint64
		lo, hi float64
	}{
		{0, 0, 0.050000, 0.950000}, {0, 10, 0.004652, 0.238404}, {0, 20, 0.002440, 0.132946}, {0, 57, 0.000884, 0.050339},
		{0, 58, 0.000869, 0.049508}, {1, 58, 0.006056, 0.077898}, {3, 4, 0.342592, 0.923560}, {4, 4, 0.549280, 0.989794},
		{5, 5, 0.606962, 0.991488}, {10, 10, 0.761596, 0.995348}, {29, 29, 0.904966, 0.998292}, {7, 10, 0.435626, 0.864925},
		{3, 20, 0.067806, 0.329211}, {10, 20, 0.328109, 0.671891}, {12, 20, 0.417199, 0.755006}, {13, 20, 0.464064, 0.794250},
		{14, 20, 0.512611, 0.831824}, {15, 20, 0.563024, 0.867552}, {45, 50, 0.804849, 0.947505}, {86, 100, 0.791821, 0.906169},
		{87, 100, 0.803169, 0.914212}, {95, 100, 0.898731, 0.973815},
	} {
		absNear(t, fmt.Sprintf("LCB95(%d/%d)", c.k, c.n), BetaLCB95(c.k, c.n), c.lo, 1e-6)
		absNear(t, fmt.Sprintf("UCB95(%d/%d)", c.k, c.n), BetaUCB95(c.k, c.n), c.hi, 1e-6)
	}
}

func TestBetaDecisionEdges(t *testing.T) {
	first := func(ok func(v uint64) bool) uint64 {
		for v := range uint64(1000) {
			if ok(v) {
				return v
			}
		}
		return math.MaxUint64
	}
	check := func(what string, got, want uint64) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	check("all SYN > 0.5", first(func(v uint64) bool { return BetaLCB95(v, v) > 0.5 }), 4)
	check("no reply < 0.05", first(func(v uint64) bool { return BetaUCB95(0, v) < 0.05 }), 58)
	check("no reply <= 0.2", first(func(v uint64) bool { return BetaUCB95(0, v) <= 0.2 }), 13)
	check("no reply < 0.3", first(func(v uint64) bool { return BetaUCB95(0, v) < 0.3 }), 8)
	for _, c := range []struct {
		n     uint64
		limit float64
		want  uint64
	}{{10, 0.5, 8}, {20, 0.5, 14}, {50, 0.5, 31}, {10, 0.55, 9}, {20, 0.55, 15}, {50, 0.55, 34}, {22, 0.8, 21}, {50, 0.8, 45}, {100, 0.8, 87}} {
		check(fmt.Sprint(c), first(func(v uint64) bool { return BetaLCB95(v, c.n) > c.limit }), c.want)
	}
}

// binomialTail is P(Bin(m,x) >= a) with 200 bits, the distribution function of
// Beta(a, m-a+1).
func binomialTail(a, m int64, x float64) float64 {
	const prec = 200
	f := func(v float64) *big.Float { return new(big.Float).SetPrec(prec).SetFloat64(v) }
	bx := f(x)
	cx := new(big.Float).SetPrec(prec).Sub(f(1), bx)
	term := f(1) // (1-x)^m, then the next term each time
	for range m {
		term.Mul(term, cx)
	}
	ratio := new(big.Float).SetPrec(prec).Quo(bx, cx)
	sum := f(0)
	for i := int64(0); i <= m; i++ {
		if i >= a {
			sum.Add(sum, term)
		}
		term.Mul(term, ratio)
		term.Mul(term, f(float64(m-i)))
		term.Quo(term, f(float64(i+1)))
	}
	v, _ := sum.Float64()
	return v
}

func TestBetaAgainstBinomial(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(0, 400).Draw(t, "n")
		k := rapid.Uint64Range(0, n).Draw(t, "k")
		q := rapid.SampledFrom([]float64{0.01, 0.05, 0.5, 0.95, 0.99}).Draw(t, "q")
		x := BetaQuantile(k, n, q)
		if p := binomialTail(int64(k)+1, int64(n)+1, x); math.Abs(p-q) > 1e-9 {
			t.Fatalf("CDF(%g) of k=%d n=%d is %g, want %g", x, k, n, p, q)
		}
	})
}

// At every size the quantile inverts the distribution function, the bounds are
// ordered and they mirror.
func TestBetaProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(0, 1<<rapid.IntRange(0, 30).Draw(t, "bits")).Draw(t, "n")
		k := rapid.Uint64Range(0, n).Draw(t, "k")
		lo, hi := BetaLCB95(k, n), BetaUCB95(k, n)
		if !(0 < lo && lo < hi && hi < 1) {
			t.Fatalf("bounds (%g,%g)", lo, hi)
		}
		if m := BetaLCB95(n-k, n); math.Abs(1-hi-m) > 1e-9 {
			t.Fatalf("no mirror: %g and %g", hi, m)
		}
		if k < n && BetaLCB95(k+1, n) < lo {
			t.Fatal("LCB decreases in k")
		}
		// A change of 1e-9 in x must cross the quantile.
		for q, x := range map[float64]float64{0.05: lo, 0.95: hi} {
			for _, d := range []float64{-1e-9, 1e-9} {
				y := x + d
				if y <= 0 || y >= 1 {
					continue
				}
				lp, _ := logBetaInc(y, 1-y, float64(k)+1, float64(n-k)+1)
				if (math.Exp(lp) > q) != (d > 0) {
					t.Fatalf("k=%d n=%d: CDF(%g%+g) = %g on the wrong side of %g", k, n, x, d, math.Exp(lp), q)
				}
			}
		}
	})
}

func TestBetaEdges(t *testing.T) {
	absNear(t, "k > n", BetaLCB95(9, 4), BetaLCB95(4, 4), 0)
	absNear(t, "q = 0", BetaQuantile(1, 2, 0), 0, 0)
	absNear(t, "q = 1", BetaQuantile(1, 2, 1), 1, 0)
	absNear(t, "q NaN", BetaQuantile(1, 2, math.NaN()), 0, 0)
	relNear(t, "no mark in 1e9", BetaUCB95(0, 1e9), -math.Expm1(math.Log(0.05)/(1e9+1)), 1e-7)
}

func BenchmarkBetaLCB95(b *testing.B) {
	for _, n := range []uint64{20, 1000, 30000, 1e6, 1e9} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for i := range uint64(b.N) {
				if BetaLCB95(n/3+i%3, n) <= 0 {
					b.Fatal("no result")
				}
			}
		})
	}
}

package baseline

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestNBTailReference(t *testing.T) {
	const a07 = 1 / 0.7
	for _, c := range []struct {
		y           uint64
		a, mean     float64
		p, surprise float64
	}{
		{0, 2, 3, 1.000000000000e+00, 0.000000000}, {1, 2, 3, 8.400000000000e-01, 0.075720714},
		{5, 2, 3, 2.332800000000e-01, 0.632122493}, {10, 2, 3, 3.023308800000e-02, 1.519517492},
		{20, 2, 3, 3.290542596057e-04, 3.482732483}, {50, 2, 3, 1.697390682676e-10, 9.770218186},
		{5, 1, 0.5, 4.115226337449e-03, 2.385606274}, {10, 1, 0.5, 1.693508780843e-05, 4.771212547},
		{5, 1, 0.01, 9.514656876067e-11, 10.021606869}, {3, 1, 0.05, 1.079796998164e-04, 3.966657884},
		{4, 10, 0.05, 4.226144833703e-07, 6.374055623}, {12, 5, 4, 1.331728845140e-02, 1.875584193},
		{30, 5, 4, 1.335301496787e-07, 6.874420664}, {40, 10, 20, 1.585413613101e-02, 1.799857417},
		{100, 10, 20, 6.448970698558e-10, 9.190509596}, {100, 2, 50, 9.595404055208e-02, 1.017936733},
		{1000, 2, 50, 3.654556781849e-16, 15.437165286},
		{5, a07, 0.01, 3.858295436904e-11, 10.413604521}, {5, a07, 0.5, 2.514132368154e-03, 2.599611861},
		{20, a07, 2, 6.079666091015e-05, 4.216120273}, {100, a07, 5, 5.283063918937e-11, 10.277114135},
		{10000, a07, 1000, 2.289983111580e-06, 5.640167721}, {3, 0.5, 0.1, 1.547421214541e-03, 2.810391453},
		{40, 2.5, 7.5, 2.789655428822e-04, 3.554449436}, {1, 10, 1e-6, 9.999994500002e-07, 6.000000239},
		{2, 10, 1e-6, 5.499995600002e-13, 12.259637658}, {10, 10, 0.2, 6.600982768493e-13, 12.180391401},
		{300, 10, 10, 6.218186319317e-77, 76.206336269}, {10000, 10, 5000, 5.027454126938e-03, 2.298651883},
		{10000, 10, 9000, 3.286996484153e-01, 0.483200760}, {5000, 100, 4000, 1.009659052072e-02, 1.995825257},
		{2000, 4, 20, 2.707413774018e-152, 151.567445366},
	} {
		what := fmt.Sprintf("y=%d a=%g mean=%g", c.y, c.a, c.mean)
		relNear(t, "P "+what, NBTail(c.y, c.a, c.mean), c.p, 1e-11)
		absNear(t, "S "+what, Surprise(c.y, c.a, c.mean), c.surprise, 5.1e-10)
	}
}

// exactTail is the exact tail for an integer shape and a rational mean.
func exactTail(y, a int64, mean *big.Rat) float64 {
	q := new(big.Rat).Quo(big.NewRat(a, 1), new(big.Rat).Add(big.NewRat(a, 1), mean))
	om := new(big.Rat).Sub(big.NewRat(1, 1), q)
	term := big.NewRat(1, 1)
	for range a {
		term.Mul(term, q)
	}
	rest := big.NewRat(1, 1)
	for j := range y {
		rest.Sub(rest, term)
		term.Mul(term, om)
		term.Mul(term, big.NewRat(a+j, j+1))
	}
	v, _ := rest.Float64()
	return v
}

// TestNBTailBig compares with exact fractions (P20).
func TestNBTailBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := rapid.Int64Range(0, 120).Draw(t, "y")
		a := rapid.Int64Range(1, 12).Draw(t, "a")
		num, den := rapid.Int64Range(1, 400).Draw(t, "num"), rapid.Int64Range(1, 64).Draw(t, "den")
		want := exactTail(y, a, big.NewRat(num, den))
		got := NBTail(uint64(y), float64(a), float64(num)/float64(den))
		if math.Abs(got-want) > 1e-11*want {
			t.Fatalf("NBTail(%d, %d, %d/%d) = %g, want %g", y, a, num, den, got, want)
		}
	})
}

// TestNBTailBigSum compares large counts with a sum of 400 bits for an integer
// or half-integer shape (P20).
func TestNBTailBigSum(t *testing.T) {
	const prec = 400
	for _, c := range []struct {
		y       int
		a, mean float64
	}{{10000, 1.5, 2000}, {10000, 0.5, 40}, {9999, 10, 9000}, {4000, 2.5, 0.25}, {10000, 100, 12000}, {700, 3, 700}} {
		f := func(v float64) *big.Float { return new(big.Float).SetPrec(prec).SetFloat64(v) }
		sum := new(big.Float).SetPrec(prec).Add(f(c.a), f(c.mean))
		q := new(big.Float).SetPrec(prec).Quo(f(c.a), sum)
		om := new(big.Float).SetPrec(prec).Quo(f(c.mean), sum)
		term := f(1)
		for range int(c.a) {
			term.Mul(term, q)
		}
		if c.a != math.Trunc(c.a) {
			term.Mul(term, new(big.Float).SetPrec(prec).Sqrt(q))
		}
		step := func(j int) {
			term.Mul(term, om)
			term.Mul(term, f(c.a+float64(j)))
			term.Quo(term, f(float64(j+1)))
		}
		for j := range c.y {
			step(j)
		}
		tail := f(0)
		for j := c.y; ; j++ {
			tail.Add(tail, term)
			step(j)
			if term.MantExp(nil) < tail.MantExp(nil)-80 {
				break
			}
		}
		exp := tail.MantExp(nil)
		m, _ := new(big.Float).SetMantExp(tail, -exp).Float64()
		want := -(math.Log10(m) + float64(exp)*math.Log10(2))
		got := Surprise(uint64(c.y), c.a, c.mean)
		// 1e-9 in S is a relative error of 2.3e-9 in P.
		absNear(t, fmt.Sprintf("S of %v", c), got, want, 1e-9*math.Max(1, want*1e-3))
	}
}

func TestSurpriseThresholds(t *testing.T) {
	for mean, want := range map[float64][8]uint64{
		0.01: {2, 3, 3, 4, 2, 3, 3, 4}, 0.05: {3, 4, 5, 6, 3, 4, 4, 5}, 0.2: {5, 6, 8, 9, 4, 5, 6, 7},
		1: {12, 15, 17, 20, 8, 9, 11, 12}, 5: {42, 51, 60, 70, 20, 23, 26, 29}, 20: {151, 185, 220, 254, 61, 69, 77, 84},
	} {
		for i, w := range want {
			phi := []float64{0.7, 0.1}[i/4]
			if got := smallestX(func(y uint64) bool { return Surprise(y, 1/phi, mean) >= float64(4+i%4) }); got != w {
				t.Errorf("mean %g phi %g S >= %d: y = %d, want %d", mean, phi, 4+i%4, got, w)
			}
		}
	}
	for _, c := range []struct {
		mean, sa float64
		want     [3]uint64
	}{
		{2, 5, [3]uint64{24, 28, 33}}, {5, 4, [3]uint64{42, 51, 60}}, {120, 4, [3]uint64{877, 1078, 1279}},
		{2. / 24, 4, [3]uint64{4, 5, 6}}, {2, 4, [3]uint64{20, 24, 28}}, {0.01 / 24, 4, [3]uint64{2, 2, 2}}, {0.01, 4, [3]uint64{2, 3, 3}},
	} {
		for i, w := range c.want {
			if got := smallestX(func(y uint64) bool { return Surprise(y, 1/PriorPhi, c.mean) >= c.sa+float64(i) }); got != w {
				t.Errorf("prior mean %g S >= %g: y = %d, want %d", c.mean, c.sa+float64(i), got, w)
			}
		}
	}
}

func TestSurpriseExtremes(t *testing.T) {
	// P(Y >= 1) = 1-q^a exactly, far below the range of float64 for many events.
	if s := Surprise(1000, 10, 1e-6); !(s > 5000) || math.IsInf(s, 0) {
		t.Errorf("deep tail: S = %g", s)
	}
	if p := NBTail(1000, 10, 1e-6); p != 0 {
		t.Errorf("deep tail: P = %g", p)
	}
	absNear(t, "mean 0", Surprise(1, 2, 0), MaxSurprise, 0)
	absNear(t, "y 0", Surprise(0, 2, 0), 0, 0)
	absNear(t, "no shape", Surprise(5, 0, 1), 0, 0)
	absNear(t, "NaN mean", Surprise(5, 1, math.NaN()), 0, 0)
	absNear(t, "infinite mean", Surprise(5, 1, math.Inf(1)), 0, 0)
	relNear(t, "Poisson limit", NBTail(9, math.Inf(1), 4), PoissonTail(9, 4), 1e-12)
	relNear(t, "large shape", NBTail(9, 1e12, 4), PoissonTail(9, 4), 1e-9)
	relNear(t, "billions", NBTail(4e9, 1, 1e9), math.Exp(-4e9*math.Log1p(1e-9)), 1e-6)
}

// 0 <= P <= 1, decreasing in y, increasing in the mean; S agrees with P.
func TestNBTailMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := rapid.Uint64Range(1, 1<<rapid.IntRange(1, 22).Draw(t, "bits")).Draw(t, "y")
		a := rapid.Float64Range(0.1, 200).Draw(t, "a")
		mean := math.Exp(rapid.Float64Range(-14, 14).Draw(t, "log mean"))
		p, s := NBTail(y, a, mean), Surprise(y, a, mean)
		if !(p >= 0 && p <= 1) || s < 0 || math.IsNaN(s) {
			t.Fatalf("P = %g, S = %g", p, s)
		}
		if NBTail(y+1, a, mean) > p*(1+1e-12) || Surprise(y+1, a, mean) < s*(1-1e-12)-1e-15 {
			t.Fatal("not decreasing in y")
		}
		if NBTail(y, a, mean*1.01) < p*(1-1e-12) {
			t.Fatal("not increasing in the mean")
		}
		if p > 1e-250 && math.Abs(s+math.Log10(p)) > 1e-12*(1+s) {
			t.Fatalf("S = %g, -log10 P = %g", s, -math.Log10(p))
		}
	})
}

func TestNBQuantile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := rapid.Float64Range(0.001, 0.9999).Draw(t, "q")
		a := rapid.Float64Range(0.1, 20).Draw(t, "a")
		mean := math.Exp(rapid.Float64Range(-8, 12).Draw(t, "log mean"))
		y := NBQuantile(q, a, mean)
		if NBTail(y+1, a, mean) > 1-q+1e-9 || y > 0 && NBTail(y, a, mean) <= 1-q-1e-9 {
			t.Fatalf("%d is not the %g quantile: tails %g, %g", y, q, NBTail(y, a, mean), NBTail(y+1, a, mean))
		}
	})
	for _, c := range []struct {
		q, a, mean float64
		want       uint64
	}{{0, 1, 1, 0}, {0.99, 0, 1, 0}, {0.99, 1, 0, 0}, {0.99, 1, math.NaN(), 0}, {0.99, 1, math.Inf(1), 0}, {0.99, 1.4, 1e-4, 0}} {
		if got := NBQuantile(c.q, c.a, c.mean); got != c.want {
			t.Errorf("NBQuantile(%g,%g,%g) = %d", c.q, c.a, c.mean, got)
		}
	}
	if got := NBQuantile(0.99, 2, 1e300); got != math.MaxUint64>>1 {
		t.Errorf("huge mean: %d", got)
	}
}

func BenchmarkSurprise(b *testing.B) {
	for _, c := range []struct {
		y       uint64
		a, mean float64
	}{{3, 1 / 0.7, 0.01}, {42, 1 / 0.7, 5}, {1000, 2, 900}, {100000, 10, 60000}, {10000000, 10, 6000000}} {
		b.Run(fmt.Sprint(c.y), func(b *testing.B) {
			for range b.N {
				if Surprise(c.y, c.a, c.mean) <= 0 {
					b.Fatal("no surprise")
				}
			}
		})
	}
}

func BenchmarkNBQuantile(b *testing.B) {
	for _, mean := range []float64{0.01, 5, 200, 1e6} {
		b.Run(fmt.Sprint(mean), func(b *testing.B) {
			for range b.N {
				NBQuantile(0.99, 2, mean)
			}
		})
	}
}

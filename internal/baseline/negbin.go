package baseline

import "math"

// MaxSurprise is the largest surprise that is returned, so that every value can
// be written as JSON. It stands for an event that the model excludes.
const MaxSurprise = 1e9

// NBTail returns P(Y >= y) for Y negative binomial with shape a and the given
// mean, q = a/(a+mean). It is 1 for y = 0; a mean that is not above 0 is read as
// 0 and a shape that is not above 0 gives 1: no statement. The relative error is
// below 1e-9 for y <= 1e4 and the result falls to 0 below the range of float64;
// Surprise does not.
//
// The tail is the regularised incomplete beta function I_{1-q}(y, a) from a
// continued fraction. It does not subtract from 1 where the result is small, so
// the separate upper sum below 1e-9 and the normal approximation above 1e5 that
// a term-by-term sum would need are not used: the function is continuous and
// decreasing in y throughout.
func NBTail(y uint64, a, mean float64) float64 { return math.Exp(logNBTail(y, a, mean)) }

// Surprise returns S = -log10 P(Y >= y) for Y negative binomial with shape a and
// the given mean. It is computed on the log scale, never below 0 and at most
// MaxSurprise.
func Surprise(y uint64, a, mean float64) float64 {
	s := -logNBTail(y, a, mean) / math.Ln10
	if !(s > 0) {
		return 0
	}
	return math.Min(s, MaxSurprise)
}

// logNBTail returns ln P(Y >= y).
func logNBTail(y uint64, a, mean float64) float64 {
	switch {
	case y == 0 || !(a > 0) || math.IsNaN(mean) || math.IsInf(mean, 1):
		return 0
	case mean <= 0:
		return math.Inf(-1)
	case math.IsInf(a, 1):
		return math.Log(PoissonTail(y, mean))
	}
	lp, _ := logBetaInc(mean/(a+mean), a/(a+mean), float64(y), a)
	return lp
}

// NBQuantile returns the smallest y with P(Y <= y) >= q for Y negative binomial
// with shape a and the given mean. It is 0 for q <= 0, a mean or shape that is
// not above 0, and math.MaxUint64>>1 is never exceeded.
func NBQuantile(q, a, mean float64) uint64 {
	if !(q > 0) || !(a > 0) || !(mean > 0) || math.IsInf(mean, 1) || math.IsInf(a, 1) {
		return 0
	}
	q = math.Min(q, 1-1e-15)
	if mean <= 256 {
		// Term-by-term sum from 0: at these means a few hundred multiplications.
		om := mean / (a + mean)
		t := math.Exp(-a * math.Log1p(mean/a))
		s := t
		for j := 0.0; j < 1e5; j++ {
			if s >= q {
				return uint64(j)
			}
			t *= (a + j) / (j + 1) * om
			s += t
		}
	}
	above := math.Log1p(-q) // P(Y >= y+1) <= 1-q
	ok := func(y uint64) bool { return logNBTail(y+1, a, mean) <= above }
	const top = math.MaxUint64 >> 1
	lo, hi := uint64(0), uint64(math.Min(2*mean+16, top))
	for !ok(hi) {
		if hi >= top/2 {
			return top
		}
		lo, hi = hi+1, hi*2
	}
	for lo < hi {
		m := lo + (hi-lo)/2
		if ok(m) {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo
}

// SmallestCount returns the smallest count, at most y, whose surprise reaches need;
// surprise must not fall.
func SmallestCount(y uint64, need float64, surprise func(uint64) float64) uint64 {
	lo, hi := uint64(0), y
	for lo < hi {
		mid := (lo + hi) / 2
		if surprise(mid) >= need {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

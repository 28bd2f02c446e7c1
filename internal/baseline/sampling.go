package baseline

import (
	"math"
	"math/bits"
)

// z95 is the 95 % quantile of the standard normal distribution as rounded in the
// published definition of GQ05.
const z95 = 1.645

// Inclusion returns the probability that a connection of k packets leaves at
// least one sampled packet: rec*(1-(1-1/n)^k), where rec in [0,1] is the
// probability of the record stage. The result is 0 for an unknown rate (n = 0)
// and for k <= 0.
func Inclusion(n uint32, rec float64, k float64) float64 {
	if n == 0 || !(k > 0) || !(rec > 0) {
		return 0
	}
	rec = math.Min(rec, 1)
	if n == 1 {
		return rec
	}
	return rec * -math.Expm1(k*math.Log1p(-1/float64(n)))
}

// CombineRates returns the inclusion probability of two independent samplers
// that see the same packets: 1-(1-p1)(1-p2). Arguments are clamped to [0,1].
func CombineRates(p1, p2 float64) float64 {
	p1, p2 = unit(p1), unit(p2)
	return p1 + p2 - p1*p2
}

// CSyn estimates the number of TCP connections from sampled packets with SYN and
// without ACK, N*n_SYN. It is 0 when the rate is unknown: no estimate.
func CSyn(n uint32, syn uint64) float64 { return float64(n) * float64(syn) }

// C2 is Duffield's second estimator of the number of TCP connections,
// F_obs + (N-1)*F_SYNonly, from the observed flows and those of them whose only
// sampled packet is the SYN. It is unbiased and is the choice below 1:64. It is
// 0 when the rate is unknown.
func C2(n uint32, flows, synOnly uint64) float64 {
	if n == 0 {
		return 0
	}
	return float64(flows) + float64(n-1)*float64(synOnly)
}

// CPkt estimates the number of connections from x sampled client packets when
// one connection of the service has k of them on average: N*X/k. It is 0 when
// the rate is unknown or k <= 0.
func CPkt(n uint32, x uint64, k float64) float64 {
	if !(k > 0) {
		return 0
	}
	return float64(n) * float64(x) / k
}

// GQ05 returns the 5 % lower bound of a Poisson mean after x events in the
// Wilson-Hilferty form x*(1 - 1/(9x) - 1.645/(3*sqrt(x)))^3, and 0 for x = 0.
func GQ05(x uint64) float64 {
	if x == 0 {
		return 0
	}
	v := float64(x)
	c := 1 - 1/(9*v) - z95/(3*math.Sqrt(v))
	return v * c * c * c
}

// GQ95 returns the 95 % upper bound of a Poisson mean after x events, the
// counterpart of GQ05 in the same Wilson-Hilferty form:
// (x+1)*(1 - 1/(9(x+1)) + 1.645/(3*sqrt(x+1)))^3. The pair (GQ05, GQ95) is a
// two-sided interval of 90 %.
func GQ95(x uint64) float64 {
	v := float64(x) + 1
	c := 1 - 1/(9*v) + z95/(3*math.Sqrt(v))
	return v * c * c * c
}

// Quantiles that make a two-sided interval of 95 %.
const z975 = 1.959963984540054

// PoissonInterval95 returns the two-sided 95 % interval of a Poisson mean after
// x events, by the Wilson-Hilferty forms of GQ05 and GQ95 with the 97.5 %
// normal quantile. Multiply both ends by N (and divide by k) for the interval of
// an estimate.
func PoissonInterval95(x uint64) (lo, hi float64) {
	v := float64(x)
	if x > 0 {
		c := 1 - 1/(9*v) - z975/(3*math.Sqrt(v))
		lo = math.Max(0, v*c*c*c)
	}
	v++
	c := 1 - 1/(9*v) + z975/(3*math.Sqrt(v))
	return lo, v * c * c * c
}

// CPktInterval95 returns the two-sided 95 % interval of CPkt, N/k times that of
// the Poisson mean of x. At n = 1 it covers the spread of k that one count shows,
// not an error of sampling. It is (0, 0) when there is no estimate.
func CPktInterval95(n uint32, x uint64, k float64) (lo, hi float64) {
	if n == 0 || !(k > 0) {
		return 0, 0
	}
	lo, hi = PoissonInterval95(x)
	return lo * float64(n) / k, hi * float64(n) / k
}

// C2Interval95 returns the two-sided 95 % interval of C2. The spread is that of
// the SYN-only flows, each of which stands for N connections; the lower end is
// not below the flows observed. At n = 1 both ends are flows. It is (0, 0) when
// the rate is unknown.
func C2Interval95(n uint32, flows, synOnly uint64) (lo, hi float64) {
	f := float64(flows)
	switch n {
	case 0:
		return 0, 0
	case 1:
		return f, f
	}
	synOnly = min(synOnly, flows)
	lo, hi = PoissonInterval95(synOnly)
	rest := f - float64(synOnly)
	return math.Max(f, rest+lo*float64(n)), rest + hi*float64(n)
}

// LowerConnections returns L, the lower bound on the true number of connections
// of a key: max(D, N*GQ05(X)/k), where d distinct client ports and x client
// packets were sampled. With an unknown rate (n = 0) or k <= 0 it is D. At n = 1
// the rule wants the exact count of connections, which the caller has.
func LowerConnections(n uint32, x, d uint64, k float64) float64 {
	l := float64(d)
	if n == 0 || !(k > 0) {
		return l
	}
	return math.Max(l, float64(n)*GQ05(x)/k)
}

// RateLower returns the lower bound of a packet rate in packets per second after
// x sampled packets in a pane: N*GQ05(X)/seconds. It is 0 when the rate of
// sampling is unknown or seconds <= 0.
func RateLower(n uint32, x uint64, seconds float64) float64 {
	if !(seconds > 0) {
		return 0
	}
	return float64(n) * GQ05(x) / seconds
}

// Bounds of the session-count bound. Above sessionMax packets the pair is scaled
// down to it.
const sessionMax = 60

// SessionBound returns L_b(D,X): the smallest number n of equal sessions for
// which x sampled packets touch at least d distinct sessions with probability
// 0.05 or more. Equal sizes are the least favourable, so the true number of
// sessions is at least L_b with 95 % confidence whatever their sizes and
// whatever the sampling rate. For x > 60 the pair is scaled to 60 packets and
// floor(60*d/x) sessions; rounding down keeps the bound conservative. d > x is
// read as d = x. The result is 0 for d = 0 and may be below d after scaling.
//
// The values come from a table (see OccupancyTail for what it holds), so a call
// costs a few nanoseconds.
func SessionBound(d, x uint64) uint64 {
	d = min(d, x)
	if x > sessionMax {
		hi, lo := bits.Mul64(d, sessionMax)
		d, _ = bits.Div64(hi, lo, x) // d <= x keeps the quotient at or below 60
		x = sessionMax
	}
	if d == 0 {
		return 0
	}
	i := 2 * (x*(x-1)/2 + d - 1)
	return uint64(sessionBounds[i])<<8 | uint64(sessionBounds[i+1])
}

// OccupancyTail returns the probability that x packets thrown into n equally
// likely sessions touch at least d of them, by the occupancy recursion
// v'[j] = v[j]*j/n + v[j-1]*(n-j+1)/n. It costs x*min(x,n) steps; x is limited
// to 4096, more is read as 4096.
func OccupancyTail(d, x, n uint64) float64 {
	x = min(x, 4096)
	if d == 0 {
		return 1
	}
	top := min(x, n)
	if d > top {
		return 0
	}
	v := make([]float64, top+1)
	v[0] = 1
	in := 1 / float64(n)
	for i := range x {
		for j := min(i+1, top); j > 0; j-- {
			v[j] = v[j]*float64(j)*in + v[j-1]*float64(n-j+1)*in
		}
		v[0] = 0
	}
	var s float64
	for _, p := range v[d:] {
		s += p
	}
	return math.Min(s, 1)
}

// Increments of the control-mark likelihood ratio: brute force has about two
// control packets in 13 to 15, long sessions about two in more than 300.
const (
	controlShareShort = 0.12
	controlShareLong  = 0.006
)

// ControlLLR returns the base-10 log-likelihood ratio that the sampled client
// packets come from short connections and not from long sessions: control
// packets (SYN, FIN or RST) add log10(0.12/0.006), each other packet adds
// log10(0.88/0.994).
func ControlLLR(control, other uint64) float64 {
	return float64(control)*math.Log10(controlShareShort/controlShareLong) -
		float64(other)*math.Log10((1-controlShareLong)/(1-controlShareShort))
}

// RhoExpected returns rho_e, the expected ratio of distinct client ports to
// client packets of connections with k packets: (1-(1-p)^k)/(k*p), and 1/k at
// n = 1. With an unknown rate (n = 0) it is 1, the limit for large N and the
// strictest value of the test. k below 1 is read as 1.
func RhoExpected(n uint32, k float64) float64 {
	if !(k > 1) || n == 0 {
		return 1
	}
	if n == 1 {
		return 1 / k
	}
	p := 1 / float64(n)
	return -math.Expm1(k*math.Log1p(-p)) / (k * p)
}

// Chao1 returns the lower-bound estimate of the number of distinct items,
// D + f1(f1-1)/(2(f2+1)), from d items observed, f1 of them once and f2 twice
// (A. Chao, bias-corrected form). usable tells whether it may be reported as an
// estimate: D >= 20 and f2 >= 3.
func Chao1(d, f1, f2 uint64) (est float64, usable bool) {
	est = float64(d)
	if f1 > 1 {
		est += float64(f1) * float64(f1-1) / (2 * (float64(f2) + 1))
	}
	return est, d >= 20 && f2 >= 3
}

// Concentration returns G = sum n_i(n_i-1)/(X(X-1)) with X = sum n_i, the
// unbiased estimate of the sum of squared traffic shares at every sampling rate.
// It is 0 for X < 2.
func Concentration(counts []uint64) (g float64) {
	var x, s float64
	for _, c := range counts {
		v := float64(c)
		x += v
		s += v * (v - 1)
	}
	if x < 2 {
		return 0
	}
	return s / (x * (x - 1))
}

// InverseSimpson returns the effective number of items 1/G, and +Inf for g = 0:
// no two sampled packets fell on the same item. Do not serialise the result
// without a check.
func InverseSimpson(g float64) float64 {
	if !(g > 0) {
		return math.Inf(1)
	}
	return 1 / g
}

// MaxShare returns the largest count divided by the sum, 0 for an empty or
// all-zero slice.
func MaxShare(counts []uint64) float64 {
	var x, top float64
	for _, c := range counts {
		x += float64(c)
		top = math.Max(top, float64(c))
	}
	if x == 0 {
		return 0
	}
	return top / x
}

// LinearCount estimates the number of distinct items hashed into a bitmap of the
// given size of which zero bits are still clear: -bits*ln(zero/bits)
// (Whang, Vander-Zanden, Taylor 1990). A full bitmap is read as one clear bit:
// the result is then a lower bound. It is 0 for bits <= 0.
func LinearCount(zero, bits int) float64 {
	if bits <= 0 {
		return 0
	}
	zero = max(1, min(zero, bits))
	return -float64(bits) * math.Log(float64(zero)/float64(bits))
}

// Rarefy predicts the number of distinct items seen when the inclusion
// probability changes by the factor ratio = p2/p1: d*ratio^(f1/d), from d items
// of which f1 were seen once. The elasticity f1/d is clamped to [0,1]. It is 0
// for d <= 0 or ratio <= 0.
func Rarefy(d float64, f1 float64, ratio float64) float64 {
	if !(d > 0) || !(ratio > 0) {
		return 0
	}
	return d * math.Pow(ratio, unit(f1/d))
}

// DistinctExposure returns the exposure of a distinct count, base*(p/pRef)^eta,
// where base is the exposure without the correction (for example the length of
// the window), p and pRef the inclusion probabilities now and at reference, and
// eta the elasticity in [0,1] (Rate.Elasticity). It is 0 unless p and pRef are
// above 0.
func DistinctExposure(base, p, pRef, eta float64) float64 {
	if !(p > 0) || !(pRef > 0) {
		return 0
	}
	return base * math.Pow(p/pRef, unit(eta))
}

// unit clamps v to [0,1]; NaN gives 0.
func unit(v float64) float64 {
	if !(v > 0) {
		return 0
	}
	return math.Min(v, 1)
}

// SecondMomentSD is the standard deviation of Duffield's second estimator for
// one connection of k packets (reference values, section 1).
func SecondMomentSD(n uint32, k float64) float64 {
	p := 1 / float64(n)
	syn := p * math.Pow(1-p, k-1)
	m2 := float64(n)*float64(n)*syn + (1 - math.Pow(1-p, k) - syn)
	return math.Sqrt(math.Max(m2-1, 0))
}

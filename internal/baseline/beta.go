package baseline

import "math"

// BetaLCB95 returns the 5 % quantile of Beta(1+k, 1+n-k), the one-sided 95 %
// lower bound of a share after k marks among n packets under a uniform prior.
// k > n is read as k = n. The absolute error is below 1e-8.
func BetaLCB95(k, n uint64) float64 { return BetaQuantile(k, n, 0.05) }

// BetaUCB95 returns the 95 % quantile of Beta(1+k, 1+n-k), the one-sided 95 %
// upper bound of a share. k > n is read as k = n. The absolute error is below
// 1e-8.
func BetaUCB95(k, n uint64) float64 { return BetaQuantile(k, n, 0.95) }

// cornishFisherMin is the smaller beta parameter from which the Cornish-Fisher
// expansion to the fourth cumulant is used: its absolute error in the share is
// then below 1e-9 for the quantiles of the rules (checked against bisection).
const cornishFisherMin = 2e4

// BetaQuantile returns the q quantile of Beta(1+k, 1+n-k) for q in (0,1), 0 for
// q <= 0 and 1 for q >= 1. k > n is read as k = n.
func BetaQuantile(k, n uint64, q float64) float64 {
	k = min(k, n)
	switch {
	case !(q > 0):
		return 0
	case q >= 1:
		return 1
	}
	if k > n-k {
		// The smaller quantile is found with full relative precision.
		return 1 - BetaQuantile(n-k, n, 1-q)
	}
	a, b := float64(k)+1, float64(n-k)+1
	x := betaQuantileStart(a, b, q)
	if math.Min(a, b) >= cornishFisherMin {
		return x
	}
	// Newton steps on the distribution function inside a shrinking bracket;
	// a step that leaves the bracket becomes a bisection.
	lq := math.Log(q)
	lo, hi := 0.0, 1.0
	for range 200 {
		lp, _ := logBetaInc(x, 1-x, a, b)
		d := math.Expm1(lp-lq) * q // P - q without losing small differences
		if d < 0 {
			lo = x
		} else {
			hi = x
		}
		pdf := math.Exp(logBetaPrefactor(x, 1-x, a, b)) / (x * (1 - x))
		next := x - d/pdf
		if !(next > lo && next < hi) {
			next = (lo + hi) / 2
		}
		if math.Abs(next-x) <= 1e-12*math.Max(x, 1e-6) || hi-lo < 1e-15 {
			return next
		}
		x = next
	}
	return x
}

// betaQuantileStart is the Cornish-Fisher expansion of the quantile up to the
// fourth cumulant, kept inside (0,1).
func betaQuantileStart(a, b, q float64) float64 {
	z := normalQuantile(q)
	s := a + b
	mean := a / s
	sd := math.Sqrt(a * b / (s * s * (s + 1)))
	skew := 2 * (b - a) * math.Sqrt(s+1) / ((s + 2) * math.Sqrt(a*b))
	kurt := 6 * ((a-b)*(a-b)*(s+1) - a*b*(s+2)) / (a * b * (s + 2) * (s + 3))
	w := z + (z*z-1)*skew/6 + (z*z*z-3*z)*kurt/24 - (2*z*z*z-5*z)*skew*skew/36
	x := mean + sd*w
	if !(x > 0 && x < 1) {
		x = mean
	}
	return x
}

// normalQuantile returns the q quantile of the standard normal distribution.
func normalQuantile(q float64) float64 { return math.Sqrt2 * math.Erfinv(2*q-1) }

// logBetaInc returns the natural logarithms of the regularised incomplete beta
// function I_x(a,b) and of its complement, where xc = 1-x is passed so that
// neither end loses digits. Both keep their relative precision: the smaller one
// comes from the continued fraction, never from a subtraction. a and b are above
// 0. The continued fraction is that of DLMF 8.17.22, evaluated by the modified
// Lentz method.
func logBetaInc(x, xc, a, b float64) (logP, logQ float64) {
	switch {
	case !(x > 0):
		return math.Inf(-1), 0
	case !(xc > 0):
		return 0, math.Inf(-1)
	}
	pre := logBetaPrefactor(x, xc, a, b)
	if x < (a+1)/(a+b+2) {
		logP = math.Min(0, pre-math.Log(a)+math.Log(betaFraction(x, a, b)))
		return logP, log1mExp(logP)
	}
	logQ = math.Min(0, pre-math.Log(b)+math.Log(betaFraction(xc, b, a)))
	return log1mExp(logQ), logQ
}

// logBetaPrefactor returns ln(x^a*(1-x)^b/B(a,b)) in the saddle-point form
// (C. Loader, Fast and accurate computation of binomial probabilities, 2000).
// The deviances replace the cancelling log-gamma terms, so that the precision
// does not fall with the size of a and b.
func logBetaPrefactor(x, xc, a, b float64) float64 {
	s := a + b
	// The differences to the expectations are equal and opposite; the smaller of x
	// and xc gives them without the rounding of the larger.
	d := a - s*x
	if xc < x {
		d = s*xc - b
	}
	return -deviance(a, s*x, d) - deviance(b, s*xc, -d) +
		0.5*math.Log(a*(b/s)/(2*math.Pi)) -
		stirlingError(a) - stirlingError(b) + stirlingError(s)
}

// deviance returns v*ln(v/m) + m - v for v > 0 and m > 0, where d = v-m, without
// cancellation when d is small.
func deviance(v, m, d float64) float64 {
	u := d / (v + m)
	if math.Abs(u) >= 0.1 {
		return v*math.Log(v/m) - d
	}
	// ln(v/m) = 2*atanh(u); the first term of its series and the difference
	// combine to d*u.
	s := d * u
	e := 2 * v * u
	for j := 1; j < 64; j++ {
		e *= u * u
		next := s + e/float64(2*j+1)
		if next == s {
			break
		}
		s = next
	}
	return s
}

// stirlingError returns ln Gamma(v) - [(v-1/2)*ln v - v + ln(2*pi)/2] for v > 0.
func stirlingError(v float64) float64 {
	if v < 16 {
		lg, _ := math.Lgamma(v)
		return lg - ((v-0.5)*math.Log(v) - v + 0.5*math.Log(2*math.Pi))
	}
	// Stirling series; the first omitted term is below 1e-16 from v = 16 on.
	i := 1 / v
	i2 := i * i
	return i * (1.0/12 - i2*(1.0/360-i2*(1.0/1260-i2*(1.0/1680-i2*(1.0/1188-i2*(691.0/360360-i2/156))))))
}

// betaFraction is the continued fraction of the incomplete beta function. It
// needs in the order of sqrt(max(a,b)) steps; the limit is out of reach for the
// counts of this package.
func betaFraction(x, a, b float64) float64 {
	const (
		tiny  = 1e-300
		eps   = 1e-16
		limit = 1_000_000
	)
	guard := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c := 1.0
	d := 1 / guard(1-(a+b)*x/(a+1))
	h := d
	for m := 1.0; m < limit; m++ {
		am := a + 2*m
		t := m * (b - m) * x / ((am - 1) * am)
		d = 1 / guard(1+t*d)
		c = guard(1 + t/c)
		h *= d * c
		t = -(a + m) * (a + b + m) * x / (am * (am + 1))
		d = 1 / guard(1+t*d)
		c = guard(1 + t/c)
		r := d * c
		h *= r
		if math.Abs(r-1) <= 2*eps {
			break
		}
	}
	return h
}

// log1mExp returns ln(1-exp(l)) for l <= 0.
func log1mExp(l float64) float64 {
	if l > -math.Ln2 {
		return math.Log(-math.Expm1(l))
	}
	return math.Log1p(-math.Exp(l))
}

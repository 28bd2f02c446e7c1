package baseline

import "math"

// lambdaD4 solves P(Poisson(lambda) >= 4) = 0.95.
const lambdaD4 = 7.753656527932727

// powerPorts is the number of distinct client ports that the contact bound asks
// for.
const powerPorts = 4

// PowerC95 returns the contact bound: the number of connections of k client
// packets in one window at which at least four distinct client ports are sampled
// with probability 0.95, D being Poisson with mean C*(1-(1-1/n)^k). At n = 1
// every connection is seen and the bound is 4 exactly. An unknown rate or k <= 0
// gives 0: there is no bound.
func PowerC95(n uint32, k float64) uint64 {
	if n == 1 && k > 0 {
		return powerPorts
	}
	h := Inclusion(n, 1, k)
	if h <= 0 {
		return 0
	}
	return uint64(math.Ceil(lambdaD4 / h))
}

// PowerC95Binomial is PowerC95 with D binomial instead of Poisson: the smallest
// C with P(Bin(C, h) >= 4) >= 0.95. It is at most PowerC95.
func PowerC95Binomial(n uint32, k float64) uint64 {
	h := Inclusion(n, 1, k)
	if h <= 0 {
		return 0
	}
	lo, hi := uint64(powerPorts), max(PowerC95(n, k), powerPorts)
	for lo < hi {
		m := lo + (hi-lo)/2
		// P(Bin(m,h) >= 4) is the incomplete beta function I_h(4, m-3).
		lp, _ := logBetaInc(h, 1-h, powerPorts, float64(m-powerPorts+1))
		if math.Exp(lp) >= 0.95 {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo
}

// ContactProbability returns P(D >= 4) for c true connections of k client
// packets sampled 1:n, D being Poisson with mean c*(1-(1-1/n)^k).
func ContactProbability(n uint32, k, c float64) float64 {
	return PoissonTail(powerPorts, c*Inclusion(n, 1, k))
}

// PoissonTail returns P(Y >= x) for Y Poisson with the given mean; a mean that is
// not above 0 is read as 0. The relative error is below 1e-10.
func PoissonTail(x uint64, mean float64) float64 {
	switch {
	case x == 0:
		return 1
	case !(mean > 0):
		return 0
	case math.IsInf(mean, 1):
		return 1
	}
	// The sum always runs away from the mode, so it converges geometrically and
	// subtracts from 1 only where the result is not small.
	if v := float64(x); v > mean {
		t := poissonPMF(v, mean)
		s := t
		for j := v + 1; t > s*1e-17; j++ {
			t *= mean / j
			s += t
		}
		return math.Min(s, 1)
	}
	t := poissonPMF(float64(x-1), mean)
	s := t
	for j := float64(x - 1); j > 0 && t > s*1e-17; j-- {
		t *= j / mean
		s += t
	}
	return math.Max(0, 1-s)
}

// poissonPMF is the probability of v events by the saddle-point form, which keeps
// its relative precision at large means.
func poissonPMF(v, mean float64) float64 {
	if v == 0 {
		return math.Exp(-mean)
	}
	return math.Exp(-deviance(v, mean, v-mean)-stirlingError(v)) / math.Sqrt(2*math.Pi*v)
}

package baseline

import (
	"math"
	"slices"
)

// SPOTQuantile returns the peaks-over-threshold quantile (Siffer et al. 2017)
// z_q = t + sigma/gamma*((q*n/nt)^-gamma - 1), and t - sigma*ln(q*n/nt) for
// gamma = 0: the level exceeded with probability q when nt of n observations lie
// above t with generalised Pareto excesses. It is for the calibration report and
// takes part in no decision. It is t unless q, sigma, n and nt are above 0.
func SPOTQuantile(t, sigma, gamma, q float64, n, nt uint64) float64 {
	if !(q > 0) || !(sigma > 0) || n == 0 || nt == 0 {
		return t
	}
	r := q * float64(n) / float64(nt)
	if math.Abs(gamma) < 1e-9 {
		return t - sigma*math.Log(r)
	}
	return t + sigma/gamma*(math.Pow(r, -gamma)-1)
}

// Conditions of the calibration report.
const (
	spotLevel   = 0.98
	spotMinimum = 1000
)

// FitSPOT proposes a threshold for the values of one detector outside episodes:
// the level exceeded with probability q per test. The excesses over the 98 %
// level are fitted by probability-weighted moments (Hosking and Wallis 1987),
// with the shape kept in [-0.5, 0.5]. ok is false below 1000 values or without
// spread above the level. values is not changed; not finite values are left out.
func FitSPOT(values []float64, q float64) (z float64, ok bool) {
	v := make([]float64, 0, len(values))
	for _, x := range values {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			v = append(v, x)
		}
	}
	if len(v) < spotMinimum || !(q > 0 && q < 1) {
		return 0, false
	}
	slices.Sort(v)
	i := int(spotLevel * float64(len(v)))
	t := v[i-1]
	tail := v[i:]
	var a0, a1 float64
	n := float64(len(tail))
	for j, x := range tail {
		e := x - t
		a0 += e / n
		a1 += e * (1 - (float64(j)+0.65)/n) / n
	}
	den := a0 - 2*a1
	if !(a0 > 0) || !(den > 0) {
		return 0, false
	}
	gamma := math.Max(-0.5, math.Min(2-a0/den, 0.5))
	sigma := a0 * (1 - gamma)
	return SPOTQuantile(t, sigma, gamma, q, uint64(len(v)), uint64(len(tail))), true
}

// BudgetQuantile returns the probability per test that spends a budget of false
// alerts: perDay false alerts a day over 1000 resources, tests a day of one
// resource. It is 0 for tests not above 0.
func BudgetQuantile(perDay, tests float64) float64 {
	if !(tests > 0) {
		return 0
	}
	return perDay / (1000 * tests)
}

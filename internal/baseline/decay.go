package baseline

import (
	"math"
	"time"
)

// Decay returns the decayed score of an indicator, the polynomial of MISP:
// base*(1-(t/tau)^(1/delta)), where t is the time since the last sighting and
// tau the lifetime in the same unit. It is base for t <= 0 and 0 for t >= tau,
// or for tau or delta not above 0.
func Decay(base, t, tau, delta float64) float64 {
	if !(tau > 0) || !(delta > 0) || !(t < tau) {
		return 0
	}
	if t <= 0 {
		return base
	}
	return base * (1 - math.Pow(t/tau, 1/delta))
}

// DecayTime returns the time after which Decay falls to level:
// tau*(1-level/base)^delta, 0 when base is not above level.
func DecayTime(base, level, tau, delta float64) float64 {
	if !(base > level) || !(tau > 0) || !(delta > 0) {
		return 0
	}
	return tau * math.Pow(1-math.Max(0, level)/base, delta)
}

// CombineScores combines scores of independent sources in [0,100]:
// 100*(1-prod(1-s/100)). The caller keeps one score for each origin feed; see
// CombineSources. The order of the scores may change the last bits: sort them
// first where that matters.
func CombineScores(scores []float64) float64 {
	rest := 1.0
	for _, s := range scores {
		rest *= 1 - unit(s/100)
	}
	return 100 * (1 - rest)
}

// CombineSources is CombineScores over the best score of each origin, in the
// order of first appearance. origins[i] is the origin feed of scores[i]; scores
// without one are left out.
func CombineSources(scores []float64, origins []string) float64 {
	best := make([]float64, 0, len(scores))
	at := make(map[string]int, len(scores))
	for i, s := range scores {
		if i >= len(origins) {
			break
		}
		if j, ok := at[origins[i]]; ok {
			best[j] = math.Max(best[j], s)
			continue
		}
		at[origins[i]] = len(best)
		best = append(best, s)
	}
	return CombineScores(best)
}

// CombineConfidence combines independent confidences in [0,1]: 1-prod(1-c).
func CombineConfidence(c ...float64) float64 {
	rest := 1.0
	for _, v := range c {
		rest *= 1 - unit(v)
	}
	return 1 - rest
}

// SurpriseConfidence returns the part of the confidence that a surprise gives:
// S/10, at least 0 and at most 0.9.
func SurpriseConfidence(s float64) float64 { return math.Min(unit(s/10), 0.9) }

// DirectionConfidence returns 1/(1+10^-|lo|) for the log10 odds lo that the
// source is the client.
func DirectionConfidence(lo float64) float64 {
	return 1 / (1 + math.Pow(10, -math.Abs(lo)))
}

// directionLimit is the absolute log10 odds from which the client is decided.
const directionLimit = 1.5

// DirectionDecided tells whether the log10 odds decide who the client is.
func DirectionDecided(lo float64) bool { return math.Abs(lo) >= directionLimit }

// Reply share of two-way TCP and the visibility below which a view is one-way.
const (
	replyShareUsual = 0.45
	visibilityMin   = 0.05
)

// ReplyShare corrects a reply share q for the visibility v of the resource, its
// long-run reply share: q/(v/0.45), at most 1. ok is false for v < 0.05: the
// view is one-way and reply tests are off.
func ReplyShare(q, v float64) (share float64, ok bool) {
	if !(v >= visibilityMin) {
		return 0, false
	}
	return unit(q / (v / replyShareUsual)), true
}

// QEff returns the quiet time that ends an episode under sampling:
// max(q, 5/packetsPerSecond), where packetsPerSecond is the expected number of
// sampled packets per second of the episode. It is q for a rate that is not
// above 0, and never more than 30 days unless q is.
func QEff(q time.Duration, packetsPerSecond float64) time.Duration {
	if !(packetsPerSecond > 0) {
		return q
	}
	const limit = 30 * 24 * time.Hour
	thin := 5 / packetsPerSecond * float64(time.Second)
	if thin >= float64(limit) {
		return max(q, limit)
	}
	return max(q, time.Duration(thin))
}

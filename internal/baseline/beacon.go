package baseline

import (
	"math"
	"slices"
)

// BeaconMin is the number of points below which there is never a beacon score.
const BeaconMin = 16

// Grid of the phase test: periods from 45 s to 1 h, false-alarm level 1e-3 over
// the whole grid.
const (
	beaconLow   = 1.0 / 3600
	beaconLevel = 1e-3
	// beaconPoints limits the points of one test; later ones are left out.
	beaconPoints = 4096
	// beaconWindow limits the window to 30 days, which bounds the grid.
	beaconWindow = 30 * 86400
	// beaconResync is the number of rotation steps between exact evaluations.
	beaconResync = 128
)

// BeaconGrid returns M_f, the number of frequencies 1/3600 + j/(2*window) Hz,
// j = 0..M_f-1, up to 1/45 Hz: floor(79*window/1800)+1 for a window in seconds,
// 3793 for one day. It is 0 for a window that is not above 0; windows above 30
// days count as 30 days.
func BeaconGrid(window float64) int {
	if !(window > 0) {
		return 0
	}
	return int(math.Floor(79*math.Min(window, beaconWindow)/1800)) + 1
}

// BeaconThreshold returns ln(M_f/1e-3), the level that R* must exceed: the
// exponential tail of the periodogram with a Bonferroni correction for the grid.
func BeaconThreshold(window float64) float64 {
	m := BeaconGrid(window)
	if m == 0 {
		return math.Inf(1)
	}
	return math.Log(float64(m) / beaconLevel)
}

// BeaconFrequency returns the frequency in Hz of grid index j for a window in
// seconds.
func BeaconFrequency(index int, window float64) float64 {
	return beaconLow + float64(index)/(2*math.Min(window, beaconWindow))
}

// BeaconR is the phase test for beacons under sampling. times are seconds on any
// origin, one for each connection and second, all within one window of the given
// length in seconds. It returns R* = max over the grid of
// |sum_j exp(2*pi*i*f*t_j)|^2/n, the lowest grid index that attains it, and
// whether R* exceeds BeaconThreshold with at least BeaconMin points. Without
// points, with a window not above 0 or with a time that is not finite it is
// (0, 0, false). At most the first 4096 times are used. The cost is n*M_f
// complex multiplications, about 0.3 ms for 28 points in one day.
func BeaconR(times []float64, window float64) (r float64, index int, significant bool) {
	m := BeaconGrid(window)
	times = times[:min(len(times), beaconPoints)]
	n := len(times)
	if n == 0 || m == 0 {
		return 0, 0, false
	}
	sumRe, sumIm := make([]float64, m), make([]float64, m)
	step := 1 / (2 * math.Min(window, beaconWindow))
	for _, t := range times {
		// The modulus of the sum does not depend on the origin; a near one keeps
		// the phases precise.
		t -= times[0]
		if math.IsNaN(t) || math.IsInf(t, 0) {
			return 0, 0, false
		}
		_, fr := math.Modf(step * t)
		rotIm, rotRe := math.Sincos(2 * math.Pi * fr)
		var re, im float64
		for j := range m {
			if j%beaconResync == 0 {
				_, fr = math.Modf((beaconLow + float64(j)*step) * t)
				im, re = math.Sincos(2 * math.Pi * fr)
			}
			sumRe[j] += re
			sumIm[j] += im
			re, im = re*rotRe-im*rotIm, re*rotIm+im*rotRe
		}
	}
	for j := range m {
		if v := (sumRe[j]*sumRe[j] + sumIm[j]*sumIm[j]) / float64(n); v > r {
			r, index = v, j
		}
	}
	return r, index, n >= BeaconMin && r > BeaconThreshold(window)
}

// BeaconJitterLoss returns the factor by which uniform jitter of +-u periods
// multiplies the mean power of a beacon: (sin(2*pi*u)/(2*pi*u))^2. The mean of R
// at the true frequency is 1+(n-1) times it.
func BeaconJitterLoss(u float64) float64 {
	if u == 0 {
		return 1
	}
	v := math.Sin(2*math.Pi*u) / (2 * math.Pi * u)
	return v * v
}

// Parts of the beacon score without sampling.
const (
	beaconMinTimes  = 4  // timestamps for the interval score
	beaconMinDeltas = 3  // non-zero intervals for the interval score
	bowleySpread    = 10 // quartile spread below which the skew is 0
	beaconBars      = 24 // bins of the histogram
	bimodalMinBars  = 11 // non-empty bins for the bimodal fit
	bimodalOutlier  = 1  // bins that the bimodal fit may ignore
	modeBin         = 0.05
	durationMinBars = 6
	durationRun     = 12
)

// BeaconParts are the four sub-scores of BeaconScore, each in [0,1].
type BeaconParts struct {
	Interval  float64 `json:"interval"`
	Size      float64 `json:"size"`
	Histogram float64 `json:"histogram"`
	Duration  float64 `json:"duration"`
}

// Score returns the mean of the four parts, rounded to 3 decimals.
func (p BeaconParts) Score() float64 {
	return math.Round((p.Interval+p.Size+p.Histogram+p.Duration)/4*1000) / 1000
}

// BeaconScore is the beacon score of unsampled traffic (n = 1) by the published
// formula of RITA v5. times are the starts of the connections in seconds, sizes
// their bytes (any order, may be empty), start the beginning and window the
// length of the observed window in seconds. ok is false below BeaconMin
// connections: there is no score then.
func BeaconScore(times, sizes []float64, start, window float64) (score float64, parts BeaconParts, ok bool) {
	if len(times) < BeaconMin || !(window > 0) {
		return 0, BeaconParts{}, false
	}
	sorted := slices.Clone(times)
	slices.Sort(sorted)
	bars := beaconHistogram(sorted, start, window)
	parts = BeaconParts{
		Interval:  IntervalScore(sorted),
		Size:      regularity(slices.Sorted(slices.Values(sizes)), 1),
		Histogram: histogramScore(bars),
		Duration:  durationScore(bars, (sorted[len(sorted)-1]-sorted[0])/window),
	}
	return parts.Score(), parts, true
}

// IntervalScore returns the regularity in [0,1] of the intervals between sorted
// times: ((1-|Bowley skew|) + max(0,(median-MAD)/median))/2 over the non-zero
// intervals, 0 below 4 times or 3 such intervals.
func IntervalScore(sorted []float64) float64 {
	if len(sorted) < beaconMinTimes {
		return 0
	}
	deltas := make([]float64, 0, len(sorted)-1)
	for i := 1; i < len(sorted); i++ {
		if d := sorted[i] - sorted[i-1]; d > 0 {
			deltas = append(deltas, d)
		}
	}
	if len(deltas) < beaconMinDeltas {
		return 0
	}
	slices.Sort(deltas)
	return regularity(deltas, 0)
}

// regularity is the mean of the symmetry and the tightness of a sorted sample,
// and 0 for an empty one. The tightness is 0 for a median that is 0 or below
// least.
func regularity(sorted []float64, least float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	q1, q2, q3 := quartiles(sorted)
	tight := 0.0
	if q2 >= least && q2 > 0 {
		tight = math.Max(0, (q2-medianDeviation(sorted, q2))/q2)
	}
	return (1 - math.Abs(Bowley(q1, q2, q3)) + tight) / 2
}

// Bowley returns the quartile skewness (Q1+Q3-2*Q2)/(Q3-Q1), forced to 0 when
// the spread Q3-Q1 is below 10 or Q2 equals another quartile.
func Bowley(q1, q2, q3 float64) float64 {
	if q3-q1 < bowleySpread || q2 == q1 || q2 == q3 {
		return 0
	}
	return (q1 + q3 - 2*q2) / (q3 - q1)
}

// quartiles splits a sorted, non-empty sample at its median, which belongs to
// neither half, and takes the medians of the halves.
func quartiles(sorted []float64) (q1, q2, q3 float64) {
	n := len(sorted)
	q2 = median(sorted)
	if n == 1 {
		return q2, q2, q2
	}
	return median(sorted[:n/2]), q2, median(sorted[(n+1)/2:])
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

func medianDeviation(sorted []float64, center float64) float64 {
	dev := make([]float64, len(sorted))
	for i, v := range sorted {
		dev[i] = math.Abs(v - center)
	}
	slices.Sort(dev)
	return median(dev)
}

// beaconHistogram counts the times in 24 equal parts of the window; times
// outside it fall into the nearest part.
func beaconHistogram(times []float64, start, window float64) [beaconBars]int {
	var bars [beaconBars]int
	for _, t := range times {
		i := math.Floor((t - start) / window * beaconBars)
		if !(i > 0) {
			i = 0
		}
		bars[int(math.Min(i, beaconBars-1))]++
	}
	return bars
}

// histogramScore is max(1-CV, bimodal fit) of the bars.
func histogramScore(bars [beaconBars]int) float64 {
	var sum, sq float64
	top, filled := 0, 0
	for _, b := range bars {
		sum += float64(b)
		sq += float64(b) * float64(b)
		top = max(top, b)
		if b > 0 {
			filled++
		}
	}
	if sum == 0 {
		return 0
	}
	mean := sum / beaconBars
	cv := math.Sqrt(math.Max(0, sq/beaconBars-mean*mean)) / mean
	score := math.Max(0, 1-cv)
	if filled < bimodalMinBars {
		return score
	}
	width := int(math.Ceil(modeBin * float64(top)))
	modes := make(map[int]int, filled)
	for _, b := range bars {
		if b > 0 {
			modes[b/width]++
		}
	}
	first, second := 0, 0
	for _, c := range modes { // order does not matter: only the two largest counts are used
		if c > first {
			first, second = c, first
		} else if c > second {
			second = c
		}
	}
	fit := float64(first+second) / float64(max(filled-bimodalOutlier, 1))
	return math.Max(score, math.Min(fit, 1))
}

// durationScore is max(coverage, longest run of non-empty bars/12), 0 below 6
// non-empty bars.
func durationScore(bars [beaconBars]int, coverage float64) float64 {
	filled, run, longest := 0, 0, 0
	for _, b := range bars {
		if b == 0 {
			run = 0
			continue
		}
		filled++
		run++
		longest = max(longest, run)
	}
	if filled < durationMinBars {
		return 0
	}
	return unit(math.Max(coverage, float64(longest)/durationRun))
}

package baseline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

const dayS = 86400.0

func TestBeaconGrid(t *testing.T) {
	for _, c := range []struct {
		w         float64
		m         int
		threshold float64
		n         float64
	}{{dayS, 3793, 15.148667821, 16}, {7 * dayS, 26545, 17.094351964, 18}} {
		if got := BeaconGrid(c.w); got != c.m {
			t.Errorf("W=%g: grid %d, want %d", c.w, got, c.m)
		}
		absNear(t, "threshold", BeaconThreshold(c.w), c.threshold, 1e-9)
		if th := BeaconThreshold(c.w); !(c.n > th && c.n-1 <= th) {
			t.Errorf("W=%g: smallest n is not %g", c.w, c.n)
		}
		absNear(t, "top frequency", BeaconFrequency(c.m-1, c.w), 1./45, 1e-12)
	}
	if BeaconGrid(0) != 0 || BeaconGrid(math.NaN()) != 0 || BeaconGrid(1e300) > 115000 || !math.IsInf(BeaconThreshold(0), 1) {
		t.Error("degenerate windows")
	}
}

func fixedTimes(n int, jitter float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = 60*float64((37*i*i+11*i)%1433) + jitter*math.Sin(1.7*float64(i))
	}
	return out
}

func TestBeaconR(t *testing.T) {
	lcg := make([]float64, 28)
	x := uint64(12345)
	for i := range lcg {
		x = (1103515245*x + 12345) % (1 << 31)
		lcg[i] = dayS * float64(x) / (1 << 31)
	}
	absNear(t, "t_1", lcg[0], 56605.309787, 1e-6)
	absNear(t, "t_2", lcg[1], 26335.957535, 1e-6)
	for _, c := range []struct {
		times []float64
		r     float64
		j     int
		sig   bool
	}{
		{fixedTimes(15, 0), 15, 2832, false}, {fixedTimes(16, 0), 16, 2832, true}, {fixedTimes(28, 0), 28, 2832, true},
		{fixedTimes(28, 6), 22.912312, 2832, true}, {lcg, 7.704235, 2173, false},
	} {
		r, j, sig := BeaconR(c.times, dayS)
		absNear(t, fmt.Sprintf("R* of n=%d", len(c.times)), r, c.r, 1e-6)
		if j != c.j || sig != c.sig {
			t.Errorf("n=%d: index %d significant %v, want %d %v", len(c.times), j, sig, c.j, c.sig)
		}
	}
	absNear(t, "f of 2832", BeaconFrequency(2832, dayS), 1./60, 1e-12)
	for _, bad := range [][]float64{nil, {1, math.NaN()}, {0, math.Inf(1)}} {
		if r, _, sig := BeaconR(bad, dayS); r != 0 || sig {
			t.Errorf("%v: R* = %g", bad, r)
		}
	}
	if r, _, _ := BeaconR([]float64{1, 2}, 0); r != 0 {
		t.Error("no window")
	}
}

// The rotation agrees with the direct sum at every grid point near the maximum,
// and R* is between the mean power and n, whatever the origin.
func TestBeaconDirect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		w := rapid.Float64Range(3600, 2*dayS).Draw(t, "w")
		times := make([]float64, n)
		origin := rapid.Float64Range(0, 2e9).Draw(t, "origin")
		for i := range times {
			times[i] = origin + rapid.Float64Range(0, w).Draw(t, "t")
		}
		r, j, _ := BeaconR(times, w)
		var re, im float64
		for _, v := range times {
			s, c := math.Sincos(2 * math.Pi * BeaconFrequency(j, w) * (v - times[0]))
			re, im = re+c, im+s
		}
		if d := (re*re + im*im) / float64(n); math.Abs(d-r) > 1e-6 || r > float64(n)+1e-9 {
			t.Fatalf("R* = %g, direct sum %g, n = %d", r, d, n)
		}
	})
}

func TestBeaconFalsePositives(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	hits := 0
	for range 60 {
		times := make([]float64, 30)
		for i := range times {
			times[i] = rng.Float64() * dayS
		}
		if _, _, sig := BeaconR(times, dayS); sig {
			hits++
		}
	}
	if hits > 1 {
		t.Errorf("%d of 60 random samples are significant", hits)
	}
}

func TestBeaconJitter(t *testing.T) {
	for _, c := range [][5]float64{{0, 1, 16, 28, 16}, {0.1, 0.875140, 14.127103, 24.628785, 18}, {0.3, 0.254572, 4.818578, 7.873440, 57}} {
		s2 := BeaconJitterLoss(c[0])
		absNear(t, "s2", s2, c[1], 1e-6)
		absNear(t, "mean R, n=16", 1+15*s2, c[2], 1e-6)
		absNear(t, "mean R, n=28", 1+27*s2, c[3], 1e-6)
		absNear(t, "n of the threshold", math.Ceil(1+(BeaconThreshold(dayS)-1)/s2), c[4], 0)
	}
	// Expected sampled beacons of 10 packets in 24 h.
	for T, want := range map[float64][]float64{60: {937.9030, 137.6898, 28.5422, 14.3354, 3.5118}, 300: {187.5806, 27.5380, 5.7084, 2.8671, 0.7024}} {
		for i, n := range []uint32{10, 100, 500, 1000, 4096} {
			absNear(t, fmt.Sprintf("beacons T=%g N=%d", T, n), dayS/T*Inclusion(n, 1, 10), want[i], 1e-4)
		}
	}
}

func TestBeaconPieces(t *testing.T) {
	absNear(t, "constant deltas", IntervalScore([]float64{0, 60, 120, 180, 240}), 1, 0)
	absNear(t, "Bowley of constant deltas", Bowley(60, 60, 60), 0, 0)
	absNear(t, "Bowley", Bowley(40, 60, 100), 1./3, 1e-9)
	absNear(t, "narrow spread", Bowley(40, 43, 49), 0, 0)
	absNear(t, "ts score", (1-Bowley(40, 60, 100)+(60.0-10)/60)/2, 0.75, 1e-12)
	absNear(t, "mean", BeaconParts{1, 0.9, 0.8, 0.5}.Score(), 0.8, 1e-12)
	absNear(t, "too few times", IntervalScore([]float64{0, 60, 120}), 0, 0)
	absNear(t, "too few intervals", IntervalScore([]float64{0, 0, 60, 60, 120}), 0, 0)
	// Deltas 40, 50, 60, 70, 100: quartiles 45, 60, 85; MAD 10.
	absNear(t, "by hand", IntervalScore([]float64{0, 40, 90, 150, 220, 320}), ((1-0.25)+50./60)/2, 1e-12)
	absNear(t, "small sizes", regularity([]float64{0.5, 0.5, 0.5}, 1), 0.5, 0)
	absNear(t, "no sizes", regularity(nil, 1), 0, 0)
}

func TestBeaconHistogramParts(t *testing.T) {
	var flat, few, two [beaconBars]int
	for i := range flat {
		flat[i] = 10
		two[i] = 10 + 30*(i%2)
	}
	few[0], few[1], few[2], few[3], few[4] = 1, 1, 1, 1, 1
	absNear(t, "flat", histogramScore(flat), 1, 0)
	absNear(t, "two modes", histogramScore(two), 1, 0)
	absNear(t, "empty", histogramScore([beaconBars]int{}), 0, 0)
	absNear(t, "few bars have no bimodal fit", histogramScore(few), 0, 0)
	absNear(t, "few bars have no duration", durationScore(few, 1), 0, 0)
	few[10] = 3
	absNear(t, "run of five", durationScore(few, 0.1), 5./12, 1e-12)
	absNear(t, "coverage", durationScore(few, 0.7), 0.7, 0)
	absNear(t, "clamped", durationScore(flat, 0.7), 1, 0)
}

func TestBeaconScore(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	var beacon, browse, equal, mixed []float64
	for i := range 1440 {
		beacon = append(beacon, 60*float64(i))
		equal = append(equal, 120)
	}
	at := 0.0
	for range 300 {
		at += math.Exp(3 + 2*rng.NormFloat64())
		browse = append(browse, math.Mod(at, 6*3600))
		mixed = append(mixed, math.Exp(6+2*rng.NormFloat64()))
	}
	s, parts, ok := BeaconScore(beacon, equal, 0, dayS)
	if !ok || s != 1 {
		t.Errorf("perfect beacon: %g %+v", s, parts)
	}
	if s, parts, ok := BeaconScore(browse, mixed, 0, dayS); !ok || s > 0.6 {
		t.Errorf("browsing: %g %+v", s, parts)
	}
	if _, _, ok := BeaconScore(beacon[:15], equal, 0, dayS); ok {
		t.Error("a score below 16 connections")
	}
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Float64Range(-1e5, 1e6), 16, 60).Draw(t, "times")
		s, p, ok := BeaconScore(times, rapid.SliceOf(rapid.Float64Range(0, 1e9)).Draw(t, "sizes"), 0, dayS)
		if !ok || s < 0 || s > 1 || math.IsNaN(s) {
			t.Fatalf("score %g %+v", s, p)
		}
	})
}

func BenchmarkBeaconR(b *testing.B) {
	times := fixedTimes(28, 6)
	for range b.N {
		BeaconR(times, dayS)
	}
}

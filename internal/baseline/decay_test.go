package baseline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDecay(t *testing.T) {
	for _, c := range []struct {
		base, tau, delta float64
		at               map[float64]float64
	}{
		{80, 120, 2, map[float64]float64{0: 80, 1: 72.697033, 7: 60.678164, 15: 51.715729, 30: 40, 60: 23.431458, 90: 10.717968, 119: 0.334031, 120: 0}},
		{80, 30, 2, map[float64]float64{0: 80, 1: 65.394065, 4: 50.788130, 4.21875: 50, 7.5: 40, 11.71875: 30, 20: 14.680274, 29: 1.344634, 30: 0}},
		{100, 30, 2, map[float64]float64{0: 100, 3: 68.377223, 7.5: 50, 14.7: 30, 15: 29.289322}},
		{80, 60, 2, map[float64]float64{0: 80, 5: 56.905989, 8.4375: 50, 15: 40, 23.4375: 30, 30: 23.431458}},
		{80, 14, 2, map[float64]float64{0: 80, 1: 58.619101, 1.96875: 50, 3.5: 40, 5.46875: 30, 7: 23.431458, 14: 0}},
		{80, 120, 1, map[float64]float64{60: 40}},
	} {
		for at, want := range c.at {
			absNear(t, fmt.Sprintf("base %g tau %g t %g", c.base, c.tau, at), Decay(c.base, at, c.tau, c.delta), want, 1e-6)
		}
	}
	for _, c := range [][4]float64{{80, 14, 1.968750, 5.468750}, {80, 30, 4.218750, 11.718750}, {80, 60, 8.437500, 23.437500}, {80, 120, 16.875, 46.875},
		{100, 14, 3.5, 6.86}, {100, 30, 7.5, 14.7}, {100, 60, 15, 29.4}, {100, 120, 30, 58.8}} {
		absNear(t, "to 50", DecayTime(c[0], 50, c[1], 2), c[2], 1e-6)
		absNear(t, "to 30", DecayTime(c[0], 30, c[1], 2), c[3], 1e-6)
	}
	absNear(t, "future sighting", Decay(80, -5, 30, 2), 80, 0)
	for _, c := range [][4]float64{{80, 1, 0, 2}, {80, 1, 30, 0}, {80, math.NaN(), 30, 2}, {80, 1, math.NaN(), 2}} {
		absNear(t, fmt.Sprint("degenerate ", c), Decay(c[0], c[1], c[2], c[3]), 0, 0)
	}
	absNear(t, "never", DecayTime(40, 50, 30, 2), 0, 0)
}

func TestCombine(t *testing.T) {
	absNear(t, "{40,30}", CombineScores([]float64{40, 30}), 58, 1e-9)
	absNear(t, "{50,50,30}", CombineScores([]float64{50, 50, 30}), 82.5, 1e-9)
	absNear(t, "{80}", CombineScores([]float64{80}), 80, 1e-9)
	absNear(t, "none", CombineScores(nil), 0, 0)
	absNear(t, "same origin", CombineSources([]float64{40, 40}, []string{"a", "a"}), 40, 1e-9)
	absNear(t, "best of an origin", CombineSources([]float64{20, 30, 40}, []string{"a", "b", "a"}), 58, 1e-9)
	absNear(t, "without origin", CombineSources([]float64{40, 40}, []string{"a"}), 40, 1e-9)
	absNear(t, "pair", CombineConfidence(0.5, 0.5, 0.3), 0.825, 1e-9)
	absNear(t, "pair with S=9", CombineConfidence(0.5, 0.5, 0.3, SurpriseConfidence(9)), 0.9825, 1e-9)
	absNear(t, "S=4", CombineConfidence(SurpriseConfidence(4)), 0.4, 1e-9)
	absNear(t, "S=12", CombineConfidence(SurpriseConfidence(12)), 0.9, 1e-9)
}

func TestDirectionConfidence(t *testing.T) {
	for _, c := range []struct {
		lo, conf float64
		decided  bool
	}{{3, 0.999001, true}, {5, 0.999990, true}, {-5, 0.999990, true}, {1.5, 0.969347, true}, {1, 0.909091, false}, {2.5, 0.996848, true},
		{-0.5, 0.759747, false}, {2, 0.990099, true}, {4, 0.999900, true}, {0.954243, 0.9, false}} {
		absNear(t, fmt.Sprintf("LO %g", c.lo), DirectionConfidence(c.lo), c.conf, 1e-6)
		if DirectionDecided(c.lo) != c.decided {
			t.Errorf("LO %g: decided = %v", c.lo, !c.decided)
		}
	}
}

func TestReplyShare(t *testing.T) {
	for _, c := range []struct {
		q, v, want float64
		ok         bool
	}{{0.2, 0.45, 0.2, true}, {0.2, 0.3, 0.3, true}, {0.2, 0.04, 0, false}, {0.9, 0.1, 1, true}, {0.2, math.NaN(), 0, false}} {
		got, ok := ReplyShare(c.q, c.v)
		absNear(t, fmt.Sprint(c), got, c.want, 1e-12)
		if ok != c.ok {
			t.Errorf("%v: ok = %v", c, ok)
		}
	}
}

func TestQEff(t *testing.T) {
	const q = 30 * time.Minute
	for _, c := range []struct {
		conn, k, n, pps, want float64
	}{{2, 13, 1, 26, 1800}, {1, 13, 1000, 0.013, 1800}, {2, 13, 4096, 0.006347656, 1800}, {0.1, 13, 4096, 0.000317383, 15753.846}, {0.1, 13, 1000, 0.0013, 3846.154}} {
		pps := c.conn * c.k / c.n
		absNear(t, "packets per second", pps, c.pps, 5.1e-10)
		absNear(t, fmt.Sprint(c), QEff(q, pps).Seconds(), c.want, 5.1e-4)
	}
	// Seconds for one sampled packet at 0.5 connections a second (P12).
	for n, want := range map[float64]float64{256: 39.384615, 1000: 153.846154, 4096: 630.153846, 8192: 1260.307692} {
		absNear(t, "P12", QEff(0, 0.5*13/n).Seconds()/5, want, 1e-6)
	}
	if QEff(q, 0) != q || QEff(q, -1) != q || QEff(q, math.NaN()) != q || QEff(q, 1e-300) != 30*24*time.Hour || QEff(1000*time.Hour, 1e-300) != 1000*time.Hour {
		t.Error("degenerate rates")
	}
}

func TestCoverage(t *testing.T) {
	for _, c := range []struct {
		f1, n  uint64
		want   float64
		mature bool
	}{{2, 100, 0.98, true}, {3, 100, 0.97, false}, {1, 50, 0.98, true}, {20, 100, 0.8, false}, {0, 0, 0, false}, {9, 4, 0, false}} {
		got, mature := Coverage(c.f1, c.n)
		absNear(t, fmt.Sprint(c), got, c.want, 1e-12)
		if mature != c.mature {
			t.Errorf("%v: mature = %v", c, mature)
		}
	}
}

func TestSPOT(t *testing.T) {
	for _, c := range [][3]float64{{1e-4, 0.1, 6.493232323}, {1e-4, 0, 5.649158683}, {1e-5, 0.1, 8.692346000}, {1e-5, 0, 6.800451230}} {
		absNear(t, fmt.Sprint(c), SPOTQuantile(3, 0.5, c[1], c[0], 10000, 200), c[2], 1e-9)
	}
	absNear(t, "no observations", SPOTQuantile(3, 0.5, 0.1, 1e-4, 0, 0), 3, 0)
	q := BudgetQuantile(0.2, 150)
	absNear(t, "budget", q, 1.333333e-06, 1e-12)
	absNear(t, "-log10", -math.Log10(q), 5.875061, 1e-6)
	absNear(t, "no tests", BudgetQuantile(0.2, 0), 0, 0)
	// Surprises of a right model are exponential with mean 1/ln 10.
	rng := rand.New(rand.NewPCG(9, 9))
	s := make([]float64, 50000)
	for i := range s {
		s[i] = rng.ExpFloat64() / math.Ln10
	}
	z, ok := FitSPOT(s, 1e-4)
	if !ok || math.Abs(z-4) > 0.5 {
		t.Errorf("z = %g, %v", z, ok)
	}
	if _, ok := FitSPOT(s[:999], 1e-4); ok {
		t.Error("a proposal from 999 values")
	}
	if _, ok := FitSPOT(make([]float64, 5000), 1e-4); ok {
		t.Error("a proposal without spread")
	}
	if _, ok := FitSPOT(s, math.NaN()); ok {
		t.Error("a proposal for q = NaN")
	}
}

// Scores stay in their range and never grow with age.
func TestDecayProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Float64Range(0, 100).Draw(t, "base")
		tau := rapid.Float64Range(0.1, 365).Draw(t, "tau")
		delta := rapid.Float64Range(0.2, 5).Draw(t, "delta")
		at := rapid.Float64Range(0, 400).Draw(t, "t")
		s := Decay(base, at, tau, delta)
		if s < 0 || s > base || Decay(base, at*1.1, tau, delta) > s {
			t.Fatalf("score %g", s)
		}
		level := rapid.Float64Range(0, 100).Draw(t, "level")
		if d := DecayTime(base, level, tau, delta); d > 0 && d < tau && math.Abs(Decay(base, d, tau, delta)-level) > 1e-6 {
			t.Fatalf("Decay at DecayTime is %g, want %g", Decay(base, d, tau, delta), level)
		}
		c := rapid.SliceOf(rapid.Float64Range(-1, 2)).Draw(t, "c")
		if v := CombineConfidence(c...); v < 0 || v > 1 || CombineConfidence(append(c, 0.3)...) < v {
			t.Fatalf("confidence %g", v)
		}
	})
}

package baseline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func TestNBCusumIncrement(t *testing.T) {
	absNear(t, "alarm", CusumAlarm, 11.512925465, 5e-10)
	ys := []uint64{0, 1, 5, 10, 20, 40}
	for _, c := range []struct {
		a, m float64
		want []float64
	}{
		{2, 5, []float64{-1.077993, -0.923842, -0.307240, 0.463514, 2.005021, 5.088034}},
		{10, 5, []float64{-2.876821, -2.471356, -0.849495, 1.177830, 5.232481, 13.341784}},
		{10, 0.5, []float64{-0.465200, 0.181427, 2.767936, 6.001071, 12.467343, 25.399886}},
		{1 / 0.7, 5, []float64{-0.821949, -0.704166, -0.233034, 0.355882, 1.533712, 3.889373}},
	} {
		for i, y := range ys {
			absNear(t, fmt.Sprintf("a=%g m=%g y=%d", c.a, c.m, y), NBCusumIncrement(y, c.a, c.m), c.want[i], 1e-6)
		}
	}
	for _, c := range [][2]float64{{0, 5}, {5, 0}, {math.NaN(), 1}, {1, math.NaN()}, {math.Inf(1), 1}, {1, math.Inf(1)}} {
		absNear(t, fmt.Sprint("degenerate ", c), NBCusumIncrement(9, c[0], c[1]), 0, 0)
	}
}

func TestCusumTrace(t *testing.T) {
	levels := []float64{0, 0, 0, 1.583295, 3.977521, 5.966282, 6.738647, 9.538338, 11.527098, 13.921324, 17.126480}
	var c Cusum
	for i, y := range []uint64{4, 6, 3, 11, 13, 12, 9, 14, 12, 13, 15} {
		alarm := c.Add(y, 10, 5, int64(100+i))
		absNear(t, fmt.Sprintf("level after window %d", i+1), c.Level, levels[i], 1e-6)
		if alarm != (i+1 >= 9) {
			t.Errorf("window %d: alarm = %v", i+1, alarm)
		}
		if want := int64(103); i >= 3 && c.Since != want || i < 3 && c.Since != 0 {
			t.Errorf("window %d: since = %d", i+1, c.Since)
		}
	}
	c.Add(0, 1e6, 1e6, 999)
	if c != (Cusum{}) {
		t.Errorf("after the reset: %+v", c)
	}
	for _, w := range []struct {
		a, m float64
		want int
	}{{2, 5, 25}, {10, 5, 10}, {1 / 0.7, 5, 33}, {10, 0.5, 64}} {
		var c Cusum
		n := 1
		for !c.Add(uint64(2*w.m), w.a, w.m, 1) {
			n++
		}
		if n != w.want {
			t.Errorf("a=%g m=%g: alarm after %d windows, want %d", w.a, w.m, n, w.want)
		}
	}
}

// Traffic at the expected mean does not alarm; doubled traffic does.
func TestCusumBenign(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	alarms := 0
	for range 40 {
		var c Cusum
		for range 24 * 30 {
			if c.Add(uint64(poisson(rng, 10*gammaTwo(rng)/2)), 2, 10, 1) {
				alarms++
				c = Cusum{}
			}
		}
	}
	if alarms > 1 {
		t.Errorf("%d alarms in 40 months", alarms)
	}
}

func TestPMCusum(t *testing.T) {
	absNear(t, "alarm", PMAlarm, 13.815510558, 5e-10)
	for _, c := range []struct {
		t0, t1, one, zero, half, even float64
		n                             int
	}{
		{0.2, 0.6, 1.098612, -0.693147, 0.202733, 0.386853, 13}, {0.3, 0.6, 0.693147, -0.559616, 0.066766, 0.446705, 20},
		{0.45, 0.6, 0.287682, -0.318454, -0.015386, 0.525383, 49}, {0.5, 0.75, 0.405465, -0.693147, -0.143841, 0.630930, 35},
		{0.7, 0.85, 0.194156, -0.693147, -0.249496, 0.781184, 72},
	} {
		t0, t1, double, disabled := PMParams(c.t0)
		absNear(t, "t0", t0, c.t0, 1e-12)
		absNear(t, "t1", t1, c.t1, 1e-12)
		if double != (c.t0 >= 0.5) || disabled {
			t.Errorf("t0=%g: double %v, disabled %v", c.t0, double, disabled)
		}
		absNear(t, "f=1", PMIncrement(1, t0, t1), c.one, 1e-6)
		absNear(t, "f=0", PMIncrement(0, t0, t1), c.zero, 1e-6)
		absNear(t, "f=0.5", PMIncrement(0.5, t0, t1), c.half, 1e-6)
		absNear(t, "break-even", PMIncrement(c.even, t0, t1), 0, 2e-6)
		var w PMCusum
		n := 1
		for !w.Add(1, t0, t1) {
			n++
		}
		if n != c.n {
			t.Errorf("t0=%g: alarm after %d connections, want %d", c.t0, n, c.n)
		}
	}
	if _, _, double, disabled := PMParams(0.8); !double || !disabled {
		t.Error("t0 = 0.8 is not disabled")
	}
	if t0, t1, double, disabled := PMParams(math.NaN()); t0 != 0.2 || t1 != 0.6 || double || disabled {
		t.Error("NaN is not read as unknown")
	}
	absNear(t, "degenerate", PMIncrement(1, 0.6, 0.2), 0, 0)
	absNear(t, "NaN share", PMIncrement(math.NaN(), 0.2, 0.6), 0, 0)
}

func TestPMCusumTraces(t *testing.T) {
	run := func(seq [][2]float64, levels []float64) {
		t.Helper()
		var w PMCusum
		for i, c := range seq {
			alarm := w.Add(c[1]/c[0], 0.2, 0.6)
			absNear(t, fmt.Sprintf("level after %d", i+1), w.Level, levels[i], 1e-6)
			if alarm != (i == 16) {
				t.Errorf("connection %d: alarm = %v", i+1, alarm)
			}
		}
	}
	one := [2]float64{1, 1}
	run([][2]float64{one, one, one, one, {2, 1}, {3, 0}, {5, 1}, one, one, one, one, one, one, one, one, one, one},
		[]float64{1.098612, 2.197225, 3.295837, 4.394449, 4.597182, 3.904035, 3.569239, 4.667852, 5.766464, 6.865076,
			7.963688, 9.062301, 10.160913, 11.259525, 12.358138, 13.456750, 14.555362})
	run([][2]float64{one, {8, 1}, {8, 1}, {8, 1}, one}, []float64{1.098612, 0.629435, 0.160258, 0, 1.098612})
}

// Levels never fall below 0 and grow with the evidence.
func TestCusumProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, m := rapid.Float64Range(0.05, 50).Draw(t, "a"), math.Exp(rapid.Float64Range(-9, 9).Draw(t, "log m"))
		y := rapid.Uint64Range(0, 1e6).Draw(t, "y")
		c := Cusum{Level: rapid.Float64Range(0, 20).Draw(t, "level"), Since: 1}
		more := c
		c.Add(y, a, m, 7)
		more.Add(y+1, a, m, 7)
		if c.Level < 0 || more.Level < c.Level || math.IsNaN(c.Level) {
			t.Fatalf("levels %g, %g", c.Level, more.Level)
		}
		own := rapid.Float64Range(0, 1).Draw(t, "own")
		t0, t1, _, disabled := PMParams(own)
		if !disabled && !(t0 < t1 && t1 < 1 && PMIncrement(1, t0, t1) > 0 && PMIncrement(0, t0, t1) < 0) {
			t.Fatalf("t0=%g t1=%g", t0, t1)
		}
	})
}

package baseline

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSeasonWeight(t *testing.T) {
	for n, want := range map[float64]float64{0: 0, 5: 0.2, 20: 0.5, 60: 0.75, -1: 0} {
		absNear(t, "n/(n+20)", SeasonWeight(n), want, 1e-12)
	}
}

// teach gives s the hourly windows of days, counts by rate of the hour start.
func teach(s *Season, days int, rate func(at int64) float64) int64 {
	at := t0
	for range days * 24 {
		y := rate(at)
		at += int64(time.Hour)
		s.Update(y, 1, time.Hour, at)
	}
	return at
}

func TestSeasonFactor(t *testing.T) {
	// Working hours carry ten times the traffic of the night, weekends half.
	rate := func(at int64) float64 {
		y := 10.0
		if h := hourOf(at); h >= 8 && h < 18 {
			y = 100
		}
		if weekend(at) {
			y /= 2
		}
		return y
	}
	var s Season
	end := teach(&s, 13, rate)
	absNear(t, "before 14 days", s.Factor(end), 1, 0)
	absNear(t, "before 14 days, window", s.FactorOver(end, time.Hour), 1, 0)
	s = Season{}
	end = teach(&s, 70, rate) // ten weeks, so a Wednesday again
	noon, night := s.Factor(end+12*int64(time.Hour)), s.Factor(end+3*int64(time.Hour))
	if r := noon / night; r < 4 || r > 10 {
		t.Errorf("noon/night = %g", r)
	}
	sunday := s.Factor(end + 4*int64(day) + 12*int64(time.Hour))
	if r := sunday / noon; r < 0.45 || r > 0.65 {
		t.Errorf("Sunday/Wednesday = %g", r)
	}
	// A day's factor is the mean of its hours and near 1 on a weekday.
	var sum float64
	for h := range 24 {
		sum += s.Factor(end+int64(h)*int64(time.Hour)+int64(30*time.Minute)) / 24
	}
	absNear(t, "mean of the day", s.FactorOver(end+int64(day), day), sum, 1e-12)
	absNear(t, "an hour's window is its midpoint", s.FactorOver(end+13*int64(time.Hour), time.Hour), noon, 1e-12)
	absNear(t, "weekday", sum, 1.05, 0.25)
}

func TestSeasonLevelTraffic(t *testing.T) {
	var s Season
	end := teach(&s, 60, func(int64) float64 { return 5 })
	for h := range 24 * 7 {
		absNear(t, "factor of level traffic", s.Factor(end+int64(h)*int64(time.Hour)), 1, 1e-3)
	}
	s = Season{}
	end = teach(&s, 60, func(int64) float64 { return 0 })
	absNear(t, "factor of no traffic", s.Factor(end), 1, 0)
}

func TestSeasonProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Season
		at := t0
		for range rapid.IntRange(1, 60).Draw(t, "windows") {
			w := rapid.SampledFrom([]time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour, 40 * 24 * time.Hour}).Draw(t, "w")
			at += int64(w)
			s.Update(rapid.Float64Range(0, 1e6).Draw(t, "y"), rapid.Float64Range(1e-4, 1e4).Draw(t, "e"), w, at)
		}
		when := at + rapid.Int64Range(0, 60*int64(day)).Draw(t, "ahead")
		f, g := s.Factor(when), s.FactorOver(when, 24*time.Hour)
		if !(f > 0 && g > 0) || math.IsInf(f, 0) || math.IsInf(g, 0) {
			t.Fatalf("factors %g, %g", f, g)
		}
		if s.Factor(when+7*int64(day)) != f && s.Active(when) {
			t.Fatal("not weekly") // P8
		}
	})
}

func TestWeekend(t *testing.T) {
	for _, c := range []time.Time{
		time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC), time.Date(2024, 3, 2, 0, 0, 0, 0, time.UTC), time.Date(2024, 3, 3, 23, 59, 59, 0, time.UTC),
		time.Date(2024, 3, 4, 0, 0, 0, 0, time.UTC), time.Date(1969, 12, 27, 5, 0, 0, 0, time.UTC), time.Date(1969, 12, 29, 5, 0, 0, 0, time.UTC),
	} {
		want := c.Weekday() == time.Saturday || c.Weekday() == time.Sunday
		if got := weekend(c.UnixNano()); got != want {
			t.Errorf("%v: weekend = %v", c, got)
		}
		if got := hourOf(c.UnixNano()); got != c.Hour() {
			t.Errorf("%v: hour = %d", c, got)
		}
	}
}

package beat

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestScheduled(t *testing.T) {
	const runs = 300
	start := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC).UnixNano()
	second := float64(time.Second)
	for _, c := range []struct {
		name      string
		share     float64 // that is sampled
		count     int
		next      func(rng *rand.Rand, at float64) float64 // s after the one at s
		low, high float64
	}{
		{"a check a minute, an hour", 1, 60, func(_ *rand.Rand, at float64) float64 { return at + 60 }, 1, 1},
		{"a check a minute with a jitter of 2 s, sampled", 0.02, 1440, func(rng *rand.Rand, at float64) float64 {
			return 60*float64(int(at/60+1.5)) + 4*rng.Float64() - 2
		}, 0.99, 1},
		{"every ten minutes for a day", 1, 144, func(_ *rand.Rand, at float64) float64 { return at + 600 }, 1, 1},
		{"nine checks", 1, 9, func(_ *rand.Rand, at float64) float64 { return at + 60 }, 0, 0},
		{"as fast as the server answers", 1, 2000, func(rng *rand.Rand, at float64) float64 { return at + 1.5 + 0.5*rng.Float64() }, 0, 0},
		{"fast, and sampled", 0.01, 2000, func(rng *rand.Rand, at float64) float64 { return at + 1.5 + 0.5*rng.Float64() }, 0, 0.01},
		{"one every two seconds", 1, 1800, func(_ *rand.Rand, at float64) float64 { return at + 2 }, 0, 0},
		{"a minute of sleep after each answer", 1, 600, func(rng *rand.Rand, at float64) float64 { return at + 60.4 + 0.4*rng.Float64() }, 0, 0.02},
		{"at random", 1, 100, func(rng *rand.Rand, at float64) float64 { return at + 60*rng.ExpFloat64() }, 0, 0.01},
		{"within five minutes", 1, 60, func(rng *rand.Rand, at float64) float64 { return at + 5*rng.Float64() }, 0, 0.01},
	} {
		rng := rand.New(rand.NewPCG(7, uint64(c.count)))
		yes := 0
		for range runs {
			var k Clock
			at := 7.0
			for range c.count {
				if rng.Float64() < c.share {
					k.Add(start + int64(at*second))
				}
				at = c.next(rng, at)
			}
			if k.Scheduled(start + int64(at*second)) {
				yes++
			}
		}
		if got := float64(yes) / runs; got < c.low || got > c.high {
			t.Errorf("%s: %.3f look scheduled, want %g to %g", c.name, got, c.low, c.high)
		}
	}
}

// TestClockDoesNotDependOnOrder: any order of a day gives the same sample.
func TestClockDoesNotDependOnOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	times := make([]int64, 1000)
	for i := range times {
		times[i] = rng.Int64N(int64(24 * time.Hour))
	}
	var want Clock
	for _, at := range times {
		want.Add(at)
	}
	if len(want.Seconds) != clockMost {
		t.Fatalf("%d seconds", len(want.Seconds))
	}
	for range 5 {
		rng.Shuffle(len(times), func(i, j int) { times[i], times[j] = times[j], times[i] })
		var got Clock
		for _, at := range times {
			got.Add(at)
		}
		if !slices.Equal(got.Seconds, want.Seconds) {
			t.Fatal("another order gives another sample")
		}
	}
}

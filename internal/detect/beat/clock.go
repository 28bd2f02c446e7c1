package beat

import (
	"math"
	"slices"
	"time"
)

const (
	clockMost = 48             // seconds of one clock
	clockSpan = 24 * time.Hour // how long a second counts
	clockMin  = 10             // cycles that must have been met
	coherent  = 0.8            // mean resultant of the phases, squared: a spread of 8 % of the period
	clockOdds = 1e-3           // level over all periods
)

// schedules returns the periods in seconds at which schedulers run checks: those
// that reach the floors of the rules on guessing (30 an hour, 100 a day), and none
// so short that only a guesser is as busy.
func schedules() [7]float64 { return [...]float64{30, 60, 120, 180, 240, 300, 600} }

// Clock is a sample of the seconds at which a peer was seen: those with the
// lowest hash, so that what it holds does not depend on the order of arrival. The
// zero value is empty. The field is exported for encoding alone.
type Clock struct {
	Seconds []int64 // by hash
}

// Add notes that a peer was seen at t (Unix ns).
func (c *Clock) Add(t int64) {
	second := t / int64(time.Second)
	h := scramble(second)
	i, found := slices.BinarySearchFunc(c.Seconds, h, func(s int64, h uint64) int {
		switch g := scramble(s); {
		case g < h:
			return -1
		case g > h:
			return 1
		}
		return 0
	})
	if found || i == clockMost {
		return
	}
	if len(c.Seconds) == clockMost {
		c.Seconds = c.Seconds[:clockMost-1]
	}
	c.Seconds = slices.Insert(c.Seconds, i, second)
}

// scramble is a bijection (the finalizer of splitmix64), so different seconds
// never have the same hash.
func scramble(s int64) uint64 {
	z := uint64(s) + 0x9e3779b97f4a7c15 //nolint:gosec // the bits matter, not the sign
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Scheduled reports whether the peer of the last day before now (Unix ns) came at
// a constant period, as a health check does: at the same phase of one of the
// usual periods in at least ten cycles. Sampling leaves a subset of the same
// phases (detection reference, section 3.5). Somebody who guesses as fast as the
// server answers, or sleeps between two answers, drifts through all phases.
func (c *Clock) Scheduled(now int64) bool {
	old := (now - int64(clockSpan)) / int64(time.Second)
	c.Seconds = slices.DeleteFunc(c.Seconds, func(s int64) bool { return s < old })
	n := float64(len(c.Seconds))
	if len(c.Seconds) < clockMin {
		return false
	}
	periods := schedules()
	for _, period := range periods {
		var re, im float64
		for _, s := range c.Seconds {
			sin, cos := math.Sincos(2 * math.Pi * math.Mod(float64(s), period) / period)
			re, im = re+cos, im+sin
		}
		r := (re*re + im*im) / n
		if r < coherent*n || r <= math.Log(float64(len(periods))/clockOdds) {
			continue
		}
		phase := math.Atan2(im, re) / (2 * math.Pi)
		cycles := make([]int64, len(c.Seconds))
		for i, s := range c.Seconds {
			cycles[i] = int64(math.Round(float64(s)/period - phase))
		}
		slices.Sort(cycles)
		if len(slices.Compact(cycles)) >= clockMin {
			return true
		}
	}
	return false
}

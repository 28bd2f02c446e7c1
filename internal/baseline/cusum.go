package baseline

import "math"

// CusumAlarm is h_u = ln(1e5), the alarm level of the peer-count CUSUM.
const CusumAlarm = 5 * math.Ln10

// NBCusumIncrement returns the log-likelihood ratio of a count y between a
// negative binomial of shape a with mean 2m and one with mean m:
// a*ln((a+m)/(a+2m)) + y*(ln(2m/(a+2m)) - ln(m/(a+m))). It is 0 unless a and m
// are above 0 and finite.
func NBCusumIncrement(y uint64, a, m float64) float64 {
	if !(a > 0) || !(m > 0) || math.IsInf(a, 1) || math.IsInf(m, 1) {
		return 0
	}
	r := math.Log1p(m / (a + m)) // ln((a+2m)/(a+m))
	return -a*r + float64(y)*(math.Ln2-r)
}

// Cusum is the Page CUSUM on the number of peers: the sum of log-likelihood
// ratios, reset at 0. The zero value is ready for use; it is comparable and
// serialises.
type Cusum struct {
	// Level is the sum, at least 0.
	Level float64 `json:"level"`
	// Since is the time given with the first window of the excursion above 0, 0
	// while the level is 0. Peers first seen since then are attributed.
	Since int64 `json:"since"`
}

// Add takes the count y of one closed window that began at the time at, with
// shape a and mean m expected, and tells whether the level has reached
// CusumAlarm. The level is not reset by an alarm.
func (c *Cusum) Add(y uint64, a, m float64, at int64) bool {
	before := c.Level
	c.Level = math.Max(0, before+NBCusumIncrement(y, a, m))
	switch {
	case c.Level == 0:
		c.Since = 0
	case before == 0:
		c.Since = at
	}
	return c.Alarm()
}

// Alarm tells whether the level stands at or above CusumAlarm.
func (c *Cusum) Alarm() bool { return c.Level >= CusumAlarm }

// PMAlarm is h_pm = ln(1e6), the alarm level of PMCusum.
const PMAlarm = 6 * math.Ln10

// Limits of the SYN shares of PMCusum.
const (
	pmT0Min     = 0.2
	pmT1        = 0.6
	pmT0Double  = 0.5
	pmT0Disable = 0.8
)

// PMParams returns the SYN share under normal use t0 and under a scan t1 for a
// resource whose own SYN share has the upper bound ownSynShareQ95 (the 95 %
// quantile of its beta posterior; 0 when nothing is known). t0 is at least 0.2.
// From t0 = 0.5 on t1 is (1+t0)/2 and twice the number of destinations is
// required (double); from 0.8 on the test is disabled, the resource being
// SYN-heavy.
func PMParams(ownSynShareQ95 float64) (t0, t1 float64, double, disabled bool) {
	t0 = math.Max(pmT0Min, unit(ownSynShareQ95))
	t1 = pmT1
	if t0 >= pmT0Double {
		t1, double = (1+t0)/2, true
	}
	return t0, t1, double, t0 >= pmT0Disable
}

// PMIncrement returns the increment of PMCusum for one connection of which the
// share f in [0,1] of the sampled packets were bare SYNs:
// f*ln(t1/t0) + (1-f)*ln((1-t1)/(1-t0)). It is 0 unless 0 < t0 < t1 < 1.
func PMIncrement(f, t0, t1 float64) float64 {
	if !(t0 > 0 && t0 < t1 && t1 < 1) || math.IsNaN(f) {
		return 0
	}
	f = unit(f)
	return f*math.Log(t1/t0) + (1-f)*math.Log((1-t1)/(1-t0))
}

// PMCusum is the packet-mark CUSUM of outgoing scans, reset at 0. The zero value
// is ready for use; it is comparable and serialises. Setting it to its zero
// value is the reset after 24 h idle.
type PMCusum struct {
	// Level is the sum, at least 0.
	Level float64 `json:"level"`
}

// Add takes one connection to a destination outside the known set and tells
// whether the level is above PMAlarm.
func (c *PMCusum) Add(f, t0, t1 float64) bool {
	c.Level = math.Max(0, c.Level+PMIncrement(f, t0, t1))
	return c.Alarm()
}

// Alarm tells whether the level stands above PMAlarm.
func (c *PMCusum) Alarm() bool { return c.Level > PMAlarm }

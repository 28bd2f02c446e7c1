package baseline

import (
	"math"
	"time"
)

// Constants of the seasonality.
const (
	// SeasonAfter is the age from which the factors take part.
	SeasonAfter = 14 * 24 * time.Hour
	// seasonShrink is the number of windows at which a log factor weighs half.
	seasonShrink = 20
	day          = 24 * time.Hour
)

// Season holds what is learnt about the hour of the day and the weekend of one
// key: discounted counts and exposures per UTC hour, from which 24 log factors
// and a weekend factor follow. Local time needs no handling: a fixed offset only
// renames the hours. The zero value is an empty season ready for use. It is 216
// bytes and comparable.
type Season struct {
	// Count and Exposure are the discounted sums per UTC hour. Exposure is without
	// the seasonal factor.
	Count    [24]float32 `json:"count"`
	Exposure [24]float32 `json:"exposure"`
	// WeekendCount and WeekendExposure are the part of the sums that fell on a
	// Saturday or Sunday (UTC).
	WeekendCount    float32 `json:"weekendCount"`
	WeekendExposure float32 `json:"weekendExposure"`
	// First is the start of the first window learnt, Unix nanoseconds.
	First int64 `json:"first"`
	// Windows is the number of windows learnt, without discount.
	Windows uint32 `json:"windows"`
}

// Update learns one closed window that ended at the time at, with count y
// (already winsorised, if the caller wants that) over exposure e, the exposure
// without the seasonal factor. A window longer than an hour is spread evenly
// over its hours. Values are ignored as by Rate.Update.
func (s *Season) Update(y, e float64, window time.Duration, at int64) {
	if !(e > 0) || math.IsInf(e, 1) || !(y >= 0) || math.IsInf(y, 1) || window <= 0 {
		return
	}
	g := float32(Discount(window))
	for h := range s.Count {
		s.Count[h] *= g
		s.Exposure[h] *= g
	}
	s.WeekendCount *= g
	s.WeekendExposure *= g
	steps := seasonSteps(window)
	dy, de := float32(y/float64(steps)), float32(e/float64(steps))
	for i := range steps {
		t := seasonStep(at, window, i, steps)
		h := hourOf(t)
		s.Count[h] += dy
		s.Exposure[h] += de
		if weekend(t) {
			s.WeekendCount += dy
			s.WeekendExposure += de
		}
	}
	if s.Windows == 0 {
		s.First = at - int64(window)
	}
	if s.Windows < math.MaxUint32 {
		s.Windows++
	}
}

// Factor returns the seasonal factor of the instant at, 1 during the first 14
// days: the factor of its UTC hour times that of weekend or weekday. It is above
// 0 and finite.
func (s *Season) Factor(at int64) float64 {
	if !s.Active(at) {
		return 1
	}
	return math.Exp(s.logFactor(at, s.sums(), true))
}

// FactorOver returns the seasonal factor of the window that ends at the time at:
// that of its midpoint, or the mean over its hours if it is longer than one.
func (s *Season) FactorOver(at int64, window time.Duration) float64 { return s.over(at, window, true) }

// CourseOver is FactorOver without the shrinkage: the course of the day as it was
// seen, however few days there are.
func (s *Season) CourseOver(at int64, window time.Duration) float64 { return s.over(at, window, false) }

func (s *Season) over(at int64, window time.Duration, shrunk bool) float64 {
	if !s.Active(at) || window <= 0 {
		return 1
	}
	steps := seasonSteps(window)
	sums := s.sums()
	var f float64
	for i := range steps {
		f += math.Exp(s.logFactor(seasonStep(at, window, i, steps), sums, shrunk))
	}
	return f / float64(steps)
}

// Active tells whether the factors take part at the time at: 14 days after the
// first window.
func (s *Season) Active(at int64) bool {
	return s.Windows > 0 && at > s.First && time.Duration(at-s.First) >= SeasonAfter
}

// seasonSums are the totals over the hours.
type seasonSums struct{ count, exposure float64 }

func (s *Season) sums() seasonSums {
	var t seasonSums
	for h := range s.Count {
		t.count += float64(s.Count[h])
		t.exposure += float64(s.Exposure[h])
	}
	return t
}

func (s *Season) logFactor(at int64, t seasonSums, shrunk bool) float64 {
	h := hourOf(at)
	l := s.logRatio(float64(s.Count[h]), float64(s.Exposure[h]), t, shrunk)
	if weekend(at) {
		return l + s.logRatio(float64(s.WeekendCount), float64(s.WeekendExposure), t, shrunk)
	}
	return l + s.logRatio(t.count-float64(s.WeekendCount), t.exposure-float64(s.WeekendExposure), t, shrunk)
}

// logRatio returns the log of observed over expected of one part, shrunk by
// n/(n+20), n being the part's share of the windows by exposure. One event is
// added to both sides, so that a quiet part of a thin baseline stays finite.
func (s *Season) logRatio(count, exposure float64, t seasonSums, shrunk bool) float64 {
	if !(exposure > 0) || !(t.exposure > 0) || !(t.count > 0) {
		return 0
	}
	n := float64(s.Windows) * exposure / t.exposure
	expected := t.count / t.exposure * exposure
	w := 1.0
	if shrunk {
		w = SeasonWeight(n)
	}
	return w * math.Log((math.Max(0, count)+1)/(expected+1))
}

// SeasonWeight returns n/(n+20), the weight of a log factor learnt from n
// windows, 0 for n <= 0.
func SeasonWeight(n float64) float64 {
	if !(n > 0) {
		return 0
	}
	return n / (n + seasonShrink)
}

// seasonSteps is the number of whole hours of a window, at least 1, at most 168.
func seasonSteps(window time.Duration) int {
	return int(min(max(window/time.Hour, 1), 168))
}

// seasonStep is the midpoint of part i of steps of the window that ends at the
// time at.
func seasonStep(at int64, window time.Duration, i, steps int) int64 {
	part := int64(window) / int64(steps)
	return at - int64(window) + part*int64(i) + part/2
}

func hourOf(at int64) int { return int(mod(at, int64(day)) / int64(time.Hour)) }

// weekend tells whether the instant is a Saturday or Sunday in UTC. Day 0 of the
// epoch is a Thursday.
func weekend(at int64) bool {
	d := (at - mod(at, int64(day))) / int64(day)
	w := mod(d, 7) // 0 = Thursday
	return w == 2 || w == 3
}

func mod(v, m int64) int64 {
	v %= m
	if v < 0 {
		v += m
	}
	return v
}

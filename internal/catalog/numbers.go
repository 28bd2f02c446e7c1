package catalog

import (
	"math"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/weir-net/weir"
)

// count writes a whole number with grouped digits.
func count(n uint64) string {
	if n > math.MaxInt64 {
		n = math.MaxInt64
	}
	return humanize.Comma(int64(n))
}

// number writes a number for reading: whole from 100 on, one decimal from 1
// on, two significant digits below.
func number(x float64) string {
	x = finite(x)
	switch size := math.Abs(x); {
	case size >= 1e15:
		return strconv.FormatFloat(x, 'g', 3, 64)
	case size >= 100:
		return humanize.Comma(int64(math.Round(x)))
	case size >= 1 || x == 0:
		return humanize.Ftoa(math.Round(x*10) / 10)
	}
	return strconv.FormatFloat(x, 'g', 2, 64)
}

// amount writes a number of a unit; bit rates with an SI prefix.
func amount(x float64, unit weir.Unit) string {
	if unit == weir.UnitBitsPerS && finite(x) >= 1000 && finite(x) < 1e15 {
		return humanize.SIWithDigits(x, 1, "bit/s")
	}
	if unit == weir.UnitBitsPerS {
		return number(x) + " bit/s"
	}
	return number(x)
}

// interval writes the estimate of s with its 95 % interval: as ± where the two
// sides differ by less than a fifth, else by both ends.
func interval(s weir.Sampling, unit weir.Unit) string {
	estimate := amount(*s.Estimate, unit)
	if s.Low95 == nil || s.High95 == nil {
		return estimate
	}
	below, above := finite(*s.Estimate)-finite(*s.Low95), finite(*s.High95)-finite(*s.Estimate)
	if below < 0 || above < 0 || below == 0 && above == 0 {
		return estimate
	}
	if math.Abs(above-below) <= 0.2*max(above, below) {
		return estimate + " ± " + amount(max(above, below), unit)
	}
	return estimate + " [" + amount(*s.Low95, unit) + "–" + amount(*s.High95, unit) + "]"
}

// plural writes a number with its noun.
func plural(n string, lang Lang, one, many string, ja message) string {
	if lang == JA {
		return ja.format(map[string]string{"n": n}, "")
	}
	if n == "1" {
		return n + " " + one
	}
	return n + " " + many
}

// duration writes a span of time in its largest whole unit.
func duration(d time.Duration, lang Lang) string {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return plural(count(uint64(d/(24*time.Hour))), lang, "day", "days", "%{n} 日間")
	case d >= time.Hour && d%time.Hour == 0:
		return plural(count(uint64(d/time.Hour)), lang, "h", "h", "%{n} 時間")
	case d >= time.Minute && d%time.Minute == 0:
		return plural(count(uint64(d/time.Minute)), lang, "min", "min", "%{n} 分間")
	}
	return plural(number(max(d.Seconds(), 0)), lang, "s", "s", "%{n} 秒間")
}

// days writes an age in days.
func days(age float64, lang Lang) string {
	age = finite(age)
	if age < 1 {
		return string(either(lang, "less than a day", "1 日未満"))
	}
	return plural(number(math.Floor(age)), lang, "day", "days", "%{n} 日")
}
